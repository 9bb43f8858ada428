#include "conf/names.h"
#include "core/mem.h"

#include <stdlib.h>

enum {
    LISTS = 8,
    NEAR_MAX = 64,
};

/* Open addressing; rows of one name stand behind each other in the order of the modules. */
struct bl_names {
    size_t mask;
    bl_row slots[];
};

static bl_module_list *lists[LISTS];
static int list_count;

static struct bl_names *make_index(size_t rows)
{
    size_t size = 16;

    while (size < 2 * rows)
        size *= 2;
    struct bl_names *names = bl_zalloc(sizeof *names + bl_size_mul(size, sizeof(bl_row)));
    names->mask = size - 1;
    return names;
}

static void insert(struct bl_names *names, bl_row row)
{
    size_t i = bl_hash(row.directive->name, strlen(row.directive->name)) & names->mask;

    while (names->slots[i].directive)
        i = (i + 1) & names->mask;
    names->slots[i] = row;
}

void bl_modules_number(bl_module_list *list)
{
    size_t rows = 0;

    list->count = 0;
    for (bl_module *const *m = list->modules; *m; m++) {
        (*m)->index = list->count++;
        for (const bl_directive *d = (*m)->directives; d && d->name; d++)
            rows++;
    }
    list->names = make_index(rows);
    for (bl_module *const *m = list->modules; *m; m++) {
        for (const bl_directive *d = (*m)->directives; d && d->name; d++)
            insert(list->names, (bl_row){d, *m});
    }
    for (int i = 0; i < list_count; i++) {
        if (lists[i] == list)
            return;
    }
    BL_ASSERT(list_count < LISTS);
    lists[list_count++] = list;
}

/* Calls for each row of the name, until one fits the context. */
static bl_row find(const struct bl_names *names, bl_str name, uint32_t context, uint32_t *contexts)
{
    size_t i = bl_hash(name.p, name.len) & names->mask;

    for (; names->slots[i].directive; i = (i + 1) & names->mask) {
        bl_row row = names->slots[i];
        if (!bl_str_eq(name, bl_str_c(row.directive->name)))
            continue;
        *contexts |= row.directive->where;
        if (row.directive->where & context)
            return row;
    }
    return (bl_row){NULL, NULL};
}

bl_row bl_names_find(const bl_module_list *modules, bl_str name, uint32_t context)
{
    uint32_t ignored = 0;

    BL_ASSERT(modules->names != NULL);
    return find(modules->names, name, context, &ignored);
}

uint32_t bl_names_contexts(bl_str name)
{
    uint32_t contexts = 0;

    for (int i = 0; i < list_count; i++)
        find(lists[i]->names, name, 0, &contexts);
    return contexts;
}

bl_str bl_names_of_contexts(bl_pool *pool, uint32_t contexts)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {BL_IN_MAIN, "main"},
        {BL_IN_EVENTS, "events"},
        {BL_IN_HTTP, "http"},
        {BL_IN_SERVER, "server"},
        {BL_IN_LOCATION, "location"},
        {BL_IN_SERVER_IF, "if in server"},
        {BL_IN_LOCATION_IF, "if in location"},
        {BL_IN_LIMIT_EXCEPT, "limit_except"},
        {BL_IN_UPSTREAM, "upstream"},
        {BL_IN_STREAM, "stream"},
        {BL_IN_STREAM_SERVER, "server in stream"},
        {BL_IN_STREAM_UPSTREAM, "upstream in stream"},
    };
    bl_str text = BL_STR("");

    for (size_t i = 0; i < BL_COUNTOF(names); i++) {
        if (contexts & names[i].bit)
            text = bl_pool_printf(pool, "%.*s%s%s", BL_STR_ARG(text), text.len ? ", " : "",
                                  names[i].name);
    }
    return text;
}

static int min3(int a, int b, int c)
{
    return BL_MIN(a, BL_MIN(b, c));
}

/* Three rows of the usual matrix; row i is the prefix of `a` with i bytes. */
int bl_names_distance(bl_str a, bl_str b, int limit)
{
    int rows[3][NEAR_MAX + 1];
    int *above2 = rows[0], *above = rows[1], *now = rows[2];

    if (a.len > NEAR_MAX || b.len > NEAR_MAX || abs((int)a.len - (int)b.len) > limit)
        return limit + 1;
    for (int j = 0; j <= (int)b.len; j++)
        above[j] = j;
    for (int i = 1; i <= (int)a.len; i++) {
        now[0] = i;
        for (int j = 1; j <= (int)b.len; j++) {
            int differ = a.p[i - 1] != b.p[j - 1];
            now[j] = min3(above[j] + 1, now[j - 1] + 1, above[j - 1] + differ);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                now[j] = BL_MIN(now[j], above2[j - 2] + 1);
        }
        int *last = above2;
        above2 = above;
        above = now;
        now = last;
    }
    return BL_MIN(above[b.len], limit + 1);
}

static const char *nearest_in(const bl_module_list *modules, bl_str name, uint32_t context,
                              int *best)
{
    const char *nearest = NULL;

    for (size_t i = 0; i <= modules->names->mask; i++) {
        const bl_directive *d = modules->names->slots[i].directive;
        if (d == NULL || !(d->where & context))
            continue;
        int distance = bl_names_distance(name, bl_str_c(d->name), *best - 1);
        if (distance < *best) {
            *best = distance;
            nearest = d->name;
        }
    }
    return nearest;
}

const char *bl_names_nearest(const bl_module_list *modules, bl_str name, uint32_t context,
                             bool *elsewhere)
{
    int best = 1 + BL_MAX(1, BL_MIN(3, (int)BL_MIN(name.len, (size_t)NEAR_MAX) / 3));
    const char *nearest = nearest_in(modules, name, context, &best);

    *elsewhere = nearest == NULL;
    for (int i = 0; i < list_count && *elsewhere; i++) {
        const char *other = nearest_in(lists[i], name, ~0u, &best);
        nearest = other ? other : nearest;
    }
    return nearest;
}
