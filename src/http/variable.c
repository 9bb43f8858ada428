#include "http/variable.h"
#include "http/http_block.h"

/* Rows by name in a hash; rows that were mentioned also by index. Families are few and searched. */
typedef struct bl_var_table {
    bl_variable **by_name; /* open addressing, size a power of two */
    uint32_t mask, used;
    bl_array families; /* bl_variable *, longest prefix first */
    bl_array indexed;  /* bl_variable *: NULL while nobody has defined the name */
    bl_array mentions; /* mention: in the order of indices */
    bl_pool *pool;
} bl_var_table;

typedef struct mention {
    bl_str name;
    const bl_conf_node *node;
} mention;

/* ------------------------------------------------------------- the table */

bool bl_var_table_new(bl_conf *cf, bl_http *http)
{
    bl_var_table *t = BL_NEW(cf->pool, bl_var_table);

    t->pool = cf->pool;
    t->mask = 255;
    t->by_name = BL_NEW_ARRAY(cf->pool, bl_variable *, t->mask + 1u);
    bl_array_init(&t->families, cf->pool, sizeof(bl_variable *));
    bl_array_init(&t->indexed, cf->pool, sizeof(bl_variable *));
    bl_array_init(&t->mentions, cf->pool, sizeof(mention));
    http->vars = t;
    return true;
}

static bl_variable **place_of(bl_var_table *t, bl_str name)
{
    uint32_t at = bl_hash_lower(name.p, name.len) & t->mask;

    while (t->by_name[at] && !bl_str_ieq(t->by_name[at]->name, name))
        at = (at + 1) & t->mask;
    return &t->by_name[at];
}

static void grow(bl_var_table *t)
{
    bl_variable **old = t->by_name;
    uint32_t size = t->mask + 1;

    t->mask = size * 2 - 1;
    t->by_name = BL_NEW_ARRAY(t->pool, bl_variable *, size * 2);
    for (uint32_t i = 0; i < size; i++) {
        if (old[i])
            *place_of(t, old[i]->name) = old[i];
    }
}

static bl_variable *find(bl_var_table *t, bl_str name)
{
    return *place_of(t, name);
}

static void add_family(bl_var_table *t, bl_variable *v)
{
    bl_array_push(&t->families);
    bl_variable **all = t->families.items;
    uint32_t at = t->families.count - 1;

    while (at > 0 && all[at - 1]->name.len < v->name.len) {
        all[at] = all[at - 1];
        at--;
    }
    all[at] = v;
}

static const bl_variable *find_family(const bl_var_table *t, bl_str name)
{
    BL_ARRAY_EACH (bl_variable *, v, &t->families) {
        if (name.len >= (*v)->name.len && bl_str_istarts(name, (*v)->name))
            return *v;
    }
    return NULL;
}

bl_variable *bl_var_define(bl_conf *cf, bl_str name, bl_var_get_fn get, bl_var_set_fn set,
                           const void *data, uint32_t flags)
{
    bl_var_table *t = bl_http_of(cf)->vars;
    bl_variable *v = flags & BL_VAR_PREFIX ? NULL : find(t, name);

    if (name.len == 0) {
        bl_conf_error(cf, cf->node, 0, "invalid variable name \"$\"");
        return NULL;
    }
    if (v) {
        if (!(v->flags & BL_VAR_CHANGEABLE)) {
            bl_conf_error(cf, cf->node, 0, "the duplicate \"%.*s\" variable", BL_STR_ARG(name));
            return NULL;
        }
        if (!(flags & BL_VAR_WEAK)) {
            v->flags &= flags | ~(uint32_t)BL_VAR_WEAK;
            if (get) {
                v->get = get;
                v->set = set;
                v->data = data;
                v->flags |= flags & BL_VAR_VOLATILE;
            }
        }
        return v;
    }
    v = BL_NEW(cf->pool, bl_variable);
    *v = (bl_variable){.name = bl_pool_str(cf->pool, name),
                       .get = get,
                       .set = set,
                       .data = data,
                       .flags = flags,
                       .index = -1};
    bl_str_lower(v->name.p, v->name);
    if (flags & BL_VAR_PREFIX) {
        add_family(t, v);
        return v;
    }
    *place_of(t, name) = v;
    if (++t->used * 2 > t->mask)
        grow(t);
    return v;
}

bool bl_var_define_all(bl_conf *cf, const bl_variable *rows)
{
    for (; rows->name.len; rows++) {
        if (bl_var_define(cf, rows->name, rows->get, rows->set, rows->data, rows->flags) == NULL)
            return false;
    }
    return true;
}

int bl_var_index(bl_conf *cf, bl_str name)
{
    bl_var_table *t = bl_http_of(cf)->vars;

    if (name.len == 0) {
        bl_conf_error(cf, cf->node, 0, "invalid variable name \"$\"");
        return -1;
    }
    BL_ARRAY_EACH (mention, m, &t->mentions) {
        if (bl_str_ieq(m->name, name))
            return (int)(m - (mention *)t->mentions.items);
    }
    mention *m = bl_array_push(&t->mentions);
    m->name = bl_pool_str(cf->pool, name);
    bl_str_lower(m->name.p, m->name);
    m->node = cf->node;
    bl_array_push(&t->indexed);
    return (int)t->mentions.count - 1;
}

/* A member of a family gets a row of its own when it is mentioned. */
static bl_variable *row_of_member(bl_conf *cf, bl_var_table *t, bl_str name)
{
    const bl_variable *family = find_family(t, name);

    if (family == NULL)
        return NULL;
    bl_variable *v = BL_NEW(cf->pool, bl_variable);
    *v = *family;
    v->name = name;
    v->member = bl_str_of(name.p + family->name.len, name.len - family->name.len);
    return v;
}

bool bl_var_check_all(bl_conf *cf)
{
    bl_var_table *t = bl_http_of(cf)->vars;
    bool ok = true;
    int index = 0;

    BL_ARRAY_EACH (mention, m, &t->mentions) {
        bl_variable *v = find(t, m->name);
        if (v == NULL)
            v = row_of_member(cf, t, m->name);
        if (v == NULL)
            ok = bl_conf_error(cf, m->node, 0, "unknown \"%.*s\" variable", BL_STR_ARG(m->name));
        else
            v->index = index;
        ((bl_variable **)t->indexed.items)[index++] = v;
    }
    return ok;
}

/* ------------------------------------------------------------- of a request */

static bl_var_slot *slots_of(bl_request *r)
{
    if (BL_UNLIKELY(r->vars == NULL))
        r->vars = BL_NEW_ARRAY(r->pool, bl_var_slot, r->http->vars->indexed.count + 1u);
    return r->vars;
}

static bool ask(bl_request *r, const bl_variable *v, bl_str member, bl_str *value)
{
    *value = BL_STR("");
    if (v->get && v->get(r, v, member, value)) {
        if (value->p == NULL)
            *value = BL_STR("");
        return true;
    }
    *value = BL_STR("");
    return false;
}

bool bl_var_get(bl_request *r, int index, bl_str *value)
{
    bl_var_slot *slot = slots_of(r) + index;
    const bl_variable *v = ((bl_variable **)r->http->vars->indexed.items)[index];

    if (slot->state != BL_VAR_UNKNOWN && !(v->flags & BL_VAR_VOLATILE)) {
        *value = slot->value;
        return slot->state == BL_VAR_FOUND;
    }
    if (v->get == NULL && slot->state == BL_VAR_UNKNOWN) {
        *value = BL_STR("");
        return false;
    }
    if (v->get == NULL) {
        *value = slot->value;
        return slot->state == BL_VAR_FOUND;
    }
    bool found = ask(r, v, v->member, value);
    slot = slots_of(r) + index;
    slot->value = *value;
    slot->state = found ? BL_VAR_FOUND : BL_VAR_NOT_FOUND;
    return found;
}

/* By the row, whether it has a slot or not. */
static bool get_row(bl_request *r, const bl_variable *v, bl_str *value)
{
    return v->index >= 0 ? bl_var_get(r, v->index, value) : ask(r, v, v->member, value);
}

int bl_var_number(bl_http *http, bl_str name)
{
    bl_variable **place = place_of(http->vars, name);

    return *place ? (int)(place - http->vars->by_name) : -1;
}

bool bl_var_get_numbered(bl_request *r, int number, bl_str *value)
{
    return get_row(r, r->http->vars->by_name[number], value);
}

bool bl_var_get_by_name(bl_request *r, bl_str name, bl_str *value, bool *known)
{
    const bl_variable *v = find(r->http->vars, name);

    *known = true;
    *value = BL_STR("");
    if (v)
        return get_row(r, v, value);
    const bl_variable *family = find_family(r->http->vars, name);
    if (family == NULL) {
        *known = false;
        return false;
    }
    return ask(r, family, bl_str_of(name.p + family->name.len, name.len - family->name.len), value);
}

void bl_var_set(bl_request *r, int index, bl_str value)
{
    const bl_variable *v = ((bl_variable **)r->http->vars->indexed.items)[index];
    bl_var_slot *slot = slots_of(r) + index;

    if (v->set) {
        v->set(r, v, value);
        slot->state = BL_VAR_UNKNOWN;
        return;
    }
    slot->value = value.p ? value : BL_STR("");
    slot->state = BL_VAR_FOUND;
}

bool bl_var_set_by_name(bl_request *r, bl_str name, bl_str value)
{
    const bl_variable *v = find(r->http->vars, name);

    if (v == NULL)
        return false;
    if (v->set)
        return v->set(r, v, value);
    if (!(v->flags & BL_VAR_CHANGEABLE) || v->index < 0)
        return false;
    bl_var_set(r, v->index, value);
    return true;
}

int bl_var_find(bl_http *http, bl_str name)
{
    const bl_variable *v = find(http->vars, name);

    return v ? v->index : -1;
}

const bl_variable *bl_var_row(bl_http *http, int index)
{
    return ((bl_variable **)http->vars->indexed.items)[index];
}

size_t bl_var_count(const bl_http *http)
{
    return http->vars->indexed.count;
}

void bl_var_flush(bl_request *r)
{
    const bl_variable **rows = r->http->vars->indexed.items;

    if (r->vars == NULL)
        return;
    for (uint32_t i = 0; i < r->http->vars->indexed.count; i++) {
        if (rows[i]->flags & BL_VAR_VOLATILE && rows[i]->get)
            r->vars[i].state = BL_VAR_UNKNOWN;
    }
}
