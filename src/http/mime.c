#include "http/mime.h"
#include "http/core_module.h"
#include "http/request.h"

/* Open addressing over lower-cased extensions. */
struct bl_mime_table {
    uint32_t mask;
    bl_mime_type entries[];
};

struct bl_mime_set {
    bool any;
    bl_array types; /* bl_str */
};

static bool read_types(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                       void *field)
{
    bl_array **types = field;

    if (*types == BL_UNSET_PTR)
        *types = bl_array_new(cf->pool, sizeof(bl_mime_type));
    for (const bl_conf_node *n = node->children; n; n = n->next) {
        for (int i = 1; i < n->count; i++) {
            bl_mime_type *type = bl_array_push(*types);
            type->type = bl_conf_arg(n, 0);
            type->exten = bl_pool_str(cf->pool, bl_conf_arg(n, i));
            bl_str_lower(type->exten.p, type->exten);
        }
    }
    return true;
}

const bl_type bl_type_types = {"{ type extension …; }", sizeof(bl_array *), read_types};

bl_array *bl_mime_defaults(bl_conf *cf)
{
    static const bl_mime_type defaults[] = {
        {BL_STR_INIT("html"), BL_STR_INIT("text/html")},
        {BL_STR_INIT("gif"), BL_STR_INIT("image/gif")},
        {BL_STR_INIT("jpg"), BL_STR_INIT("image/jpeg")},
    };
    bl_array *types = bl_array_new(cf->pool, sizeof(bl_mime_type));

    for (size_t i = 0; i < BL_COUNTOF(defaults); i++)
        *(bl_mime_type *)bl_array_push(types) = defaults[i];
    return types;
}

bl_mime_table *bl_mime_table_new(bl_conf *cf, const bl_array *types)
{
    uint32_t size = 8;

    while (size < types->count * 2)
        size *= 2;
    bl_mime_table *table = bl_pool_zalloc(cf->pool, sizeof *table + size * sizeof *table->entries);
    table->mask = size - 1;
    BL_ARRAY_EACH (bl_mime_type, type, types) {
        uint32_t at = bl_hash(type->exten.p, type->exten.len) & table->mask;
        while (table->entries[at].type.p && !bl_str_eq(table->entries[at].exten, type->exten))
            at = (at + 1) & table->mask;
        table->entries[at] = *type;
    }
    return table;
}

bl_str bl_mime_find(const bl_mime_table *table, bl_str exten)
{
    uint32_t at = bl_hash_lower(exten.p, exten.len) & table->mask;

    for (; table->entries[at].type.p; at = (at + 1) & table->mask) {
        if (bl_str_ieq(table->entries[at].exten, exten))
            return table->entries[at].type;
    }
    return BL_STR_NONE;
}

bl_str bl_mime_of(const bl_request *r)
{
    if (r->out.content_type.len) /* by who redirected here */
        return r->out.content_type;
    if (r->exten.len) {
        bl_str type = bl_mime_find(r->loc->core->mime, r->exten);
        if (type.p)
            return type;
    }
    return r->loc->core->default_type;
}

static bool read_set(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field)
{
    bl_mime_set **set = field;

    if (*set == BL_UNSET_PTR) {
        *set = BL_NEW(cf->pool, bl_mime_set);
        bl_array_init(&(*set)->types, cf->pool, sizeof(bl_str));
        *(bl_str *)bl_array_push(&(*set)->types) = BL_STR("text/html");
    }
    for (int i = 1; i < node->count; i++) {
        if (bl_str_eq(bl_conf_arg(node, i), BL_STR("*")))
            (*set)->any = true;
        else
            *(bl_str *)bl_array_push(&(*set)->types) = bl_conf_arg(node, i);
    }
    return true;
}

const bl_type bl_type_mime_set = {"mime-type …", sizeof(bl_mime_set *), read_set};

bool bl_mime_set_has(const bl_mime_set *set, bl_str type)
{
    ssize_t semicolon = bl_str_chr(type, ';');

    if (semicolon >= 0)
        type = bl_str_trim(bl_str_of(type.p, (size_t)semicolon));
    if (type.len == 0)
        return false;
    if (set->any)
        return true;
    BL_ARRAY_EACH (bl_str, one, &set->types) {
        if (bl_str_ieq(*one, type))
            return true;
    }
    return false;
}
