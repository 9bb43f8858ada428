#include "http/modules/name_table.h"

typedef struct key {
    bl_str text; /* of wildcards: with its dot, without the star */
    const void *entry;
} key;

typedef struct pattern {
    const bl_regex_use *regex;
    const void *entry;
} pattern;

struct bl_name_table {
    bl_pool *pool;
    bool hostnames;
    key *exact; /* open addressing over lower-cased text */
    uint32_t mask, used;
    bl_array heads, tails; /* key: *.x and x.*, the longest first */
    bl_array patterns;
};

enum {
    SIZE_AT_FIRST = 32,
};

bl_name_table *bl_name_table_new(bl_conf *cf, bool hostnames)
{
    bl_name_table *t = BL_NEW(cf->pool, bl_name_table);

    t->pool = cf->pool;
    t->hostnames = hostnames;
    t->mask = SIZE_AT_FIRST - 1;
    t->exact = BL_NEW_ARRAY(cf->pool, key, SIZE_AT_FIRST);
    bl_array_init(&t->heads, cf->pool, sizeof(key));
    bl_array_init(&t->tails, cf->pool, sizeof(key));
    bl_array_init(&t->patterns, cf->pool, sizeof(pattern));
    return t;
}

static key *place_of(const bl_name_table *t, bl_str text)
{
    uint32_t at = bl_hash_lower(text.p, text.len) & t->mask;

    while (t->exact[at].entry && !bl_str_ieq(t->exact[at].text, text))
        at = (at + 1) & t->mask;
    return &t->exact[at];
}

static void grow(bl_name_table *t)
{
    key *old = t->exact;
    uint32_t size = t->mask + 1;

    t->mask = 2 * size - 1;
    t->exact = BL_NEW_ARRAY(t->pool, key, 2 * size);
    for (uint32_t i = 0; i < size; i++) {
        if (old[i].entry)
            *place_of(t, old[i].text) = old[i];
    }
}

static bool conflict(bl_conf *cf, const bl_conf_node *node)
{
    return bl_conf_error(cf, node, 0, "conflicting parameter \"%.*s\"",
                         BL_STR_ARG(bl_conf_arg(node, 0)));
}

static bool add_exact(bl_conf *cf, bl_name_table *t, const bl_conf_node *node, bl_str text,
                      const void *entry)
{
    key *k = place_of(t, text);

    if (k->entry)
        return conflict(cf, node);
    *k = (key){text, entry};
    if (++t->used * 2 > t->mask)
        grow(t);
    return true;
}

static bool add_wildcard(bl_conf *cf, bl_array *keys, const bl_conf_node *node, bl_str text,
                         const void *entry)
{
    BL_ARRAY_EACH (key, k, keys) {
        if (bl_str_ieq(k->text, text))
            return conflict(cf, node);
    }
    bl_array_push(keys);
    key *all = keys->items;
    uint32_t at = keys->count - 1;
    for (; at > 0 && all[at - 1].text.len < text.len; at--)
        all[at] = all[at - 1];
    all[at] = (key){text, entry};
    return true;
}

static bool add_pattern(bl_conf *cf, bl_name_table *t, const bl_conf_node *node, bl_str text,
                        const void *entry)
{
    bool caseless = text.len > 1 && text.p[1] == '*';
    size_t mark = caseless ? 2 : 1;
    bl_regex_use *regex = bl_regex_use_new(cf, node, 0, bl_str_of(text.p + mark, text.len - mark),
                                           caseless ? BL_REGEX_CASELESS : 0);

    if (regex == NULL)
        return false;
    *(pattern *)bl_array_push(&t->patterns) = (pattern){regex, entry};
    return true;
}

static bool add_hostname(bl_conf *cf, bl_name_table *t, const bl_conf_node *node, bl_str text,
                         const void *entry)
{
    bl_str behind = bl_str_of(text.p + 1, text.len - 1);

    if (text.len > 2 && text.p[0] == '*' && text.p[1] == '.')
        return add_wildcard(cf, &t->heads, node, behind, entry);
    if (text.len > 1 && text.p[0] == '.')
        return add_exact(cf, t, node, behind, entry) &&
               add_wildcard(cf, &t->heads, node, text, entry);
    if (text.len > 2 && text.p[text.len - 1] == '*' && text.p[text.len - 2] == '.')
        return add_wildcard(cf, &t->tails, node, bl_str_of(text.p, text.len - 1), entry);
    return add_exact(cf, t, node, text, entry);
}

bool bl_name_table_add(bl_conf *cf, bl_name_table *t, const bl_conf_node *node, const void *entry)
{
    bl_str text = bl_conf_arg(node, 0);

    if (text.len && text.p[0] == '~')
        return add_pattern(cf, t, node, text, entry);
    if (text.len && text.p[0] == '\\')
        text = bl_str_of(text.p + 1, text.len - 1);
    if (t->hostnames && text.len)
        return add_hostname(cf, t, node, text, entry);
    return add_exact(cf, t, node, text, entry);
}

/* ------------------------------------------------------------- looking up */

static bool ends_with(bl_str s, bl_str end)
{
    return s.len > end.len && bl_str_ieq(bl_str_of(s.p + s.len - end.len, end.len), end);
}

static const void *find_hostname(const bl_name_table *t, bl_str name)
{
    BL_ARRAY_EACH (key, k, &t->heads) {
        if (ends_with(name, k->text))
            return k->entry;
    }
    BL_ARRAY_EACH (key, k, &t->tails) {
        if (name.len > k->text.len && bl_str_istarts(name, k->text))
            return k->entry;
    }
    return NULL;
}

const void *bl_name_table_find(bl_request *r, const bl_name_table *t, bl_str text)
{
    const void *entry;
    bl_str name = text;

    if (t->hostnames && name.len && name.p[name.len - 1] == '.')
        name.len--;
    if ((entry = place_of(t, name)->entry) != NULL)
        return entry;
    if (t->hostnames && (entry = find_hostname(t, name)) != NULL)
        return entry;
    BL_ARRAY_EACH (pattern, p, &t->patterns) {
        if (bl_regex_use_match(r, p->regex, text) > 0)
            return p->entry;
    }
    return NULL;
}
