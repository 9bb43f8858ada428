/* map: a variable whose value depends on another text. */
#include "http/modules/map.h"
#include "http/modules/name_table.h"
#include "http/variable.h"

typedef struct map {
    bl_value *source;
    bl_name_table *table;
    bl_value *otherwise; /* of `default`; NULL: the empty string */
    bool is_volatile;
} map;

typedef struct main_settings {
    int64_t hash_max_size, hash_bucket_size;
} main_settings;

static bool get_map(bl_request *r, const bl_variable *v, bl_str name BL_UNUSED, bl_str *value)
{
    const map *m = v->data;
    const bl_value *found = bl_name_table_find(r, m->table, bl_value_eval(r, m->source));

    if (found == NULL)
        found = m->otherwise;
    *value = found ? bl_value_eval(r, found) : BL_STR("");
    return true;
}

/* ------------------------------------------------------------- configuration */

static bool is_word(const bl_conf_node *node, const char *word)
{
    return node->count == 1 && bl_str_eq(bl_conf_arg(node, 0), bl_str_c(word));
}

static bool read_entry(bl_conf *cf, map *m, const bl_conf_node *node)
{
    if (is_word(node, "hostnames"))
        return true; /* seen before the first entry */
    if (is_word(node, "volatile")) {
        m->is_volatile = true;
        return true;
    }
    if (node->count != 2)
        return bl_conf_error(cf, node, 0, "invalid number of the map parameters");
    bl_value *value = bl_value_compile(cf, node, 1, bl_conf_arg(node, 1));
    if (value == NULL)
        return false;
    if (!bl_str_eq(bl_conf_arg(node, 0), BL_STR("default")))
        return bl_name_table_add(cf, m->table, node, value);
    if (m->otherwise)
        return bl_conf_error(cf, node, 0, "duplicate default map parameter");
    m->otherwise = value;
    return true;
}

static bool has_hostnames(const bl_conf_node *block)
{
    for (const bl_conf_node *n = block->children; n; n = n->next) {
        if (is_word(n, "hostnames"))
            return true;
    }
    return false;
}

static bool read_map(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field BL_UNUSED)
{
    map *m = BL_NEW(cf->pool, map);
    bl_str name = bl_conf_arg(node, 2);
    bool ok = true;

    if (name.len < 2 || name.p[0] != '$')
        return bl_conf_error(cf, node, 2, "invalid variable name \"%.*s\"", BL_STR_ARG(name));
    m->source = bl_value_compile(cf, node, 1, bl_conf_arg(node, 1));
    if (m->source == NULL)
        return false;
    m->table = bl_name_table_new(cf, has_hostnames(node));
    for (const bl_conf_node *n = node->children; n; n = n->next)
        ok = read_entry(cf, m, n) && ok;
    uint32_t flags = BL_VAR_CHANGEABLE | (m->is_volatile ? BL_VAR_VOLATILE : 0u);
    return bl_var_define(cf, bl_str_of(name.p + 1, name.len - 1), get_map, NULL, m, flags) && ok;
}

// clang-format off
static const bl_directive directives[] = {
    {"map", BL_IN_HTTP, BL_TAKE2 | BL_TAKE_BLOCK | BL_REPEATS, &bl_type_action, .set = read_map},
    {"map_hash_max_size", BL_IN_HTTP, BL_TAKE1, &bl_type_num, BL_MAIN, offsetof(main_settings, hash_max_size), "2048"},
    {"map_hash_bucket_size", BL_IN_HTTP, BL_TAKE1, &bl_type_num, BL_MAIN, offsetof(main_settings, hash_bucket_size), "64"},
    {0},
};
// clang-format on

bl_module bl_map_module = {
    .name = "map",
    .directives = directives,
    .size = {[BL_MAIN] = sizeof(main_settings)},
};
