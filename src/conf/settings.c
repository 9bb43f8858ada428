/* The structs that directives fill: made, merged with the level above, and finished. */
#include "conf/conf.h"
#include "core/mem.h"

static bool is_unset(const void *field, size_t size)
{
    const unsigned char *bytes = field;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0xff)
            return false;
    }
    return true;
}

static void *create_one(bl_conf *cf, const bl_module *module, int level)
{
    if (module->size[level] == 0)
        return NULL;
    char *own = bl_pool_zalloc(cf->pool, module->size[level]);
    for (const bl_directive *d = module->directives; d && d->name; d++) {
        if (d->level == level && d->type->size) {
            BL_ASSERT(d->offset + d->type->size <= module->size[level]);
            memset(own + d->offset, 0xff, d->type->size);
        }
    }
    if (module->create)
        module->create(cf, level, own);
    return own;
}

void **bl_settings_create(bl_conf *cf, const bl_module_list *modules, int level)
{
    void **all = BL_NEW_ARRAY(cf->pool, void *, (size_t)modules->count + 1);

    for (int i = 0; i < modules->count; i++)
        all[i] = create_one(cf, modules->modules[i], level);
    return all;
}

/* A node as if `name def;` stood in a file: the words of a default have no quotes. */
static bl_conf_node *default_node(bl_pool *pool, const bl_directive *d)
{
    static const bl_conf_file defaults = {.path = BL_STR_INIT("the defaults")};
    bl_conf_node *node = BL_NEW(pool, bl_conf_node);
    const char *at = d->def;

    node->file = &defaults;
    node->words = BL_NEW_ARRAY(pool, bl_conf_word, strlen(d->def) / 2 + 2);
    node->words[node->count++].text = bl_str_c(d->name);
    while (*(at += strspn(at, " "))) {
        size_t len = strcspn(at, " ");
        node->words[node->count++].text = bl_str_of(at, len);
        at += len;
    }
    if (node->count == 1)
        node->words[node->count++].text = BL_STR("");
    return node;
}

static bool set_default(bl_conf *cf, const bl_directive *d, void *field)
{
    if (d->def == NULL || d->type->read == NULL) {
        memset(field, 0, d->type->size);
        return true;
    }
    return d->type->read(cf, d, default_node(cf->pool, d), field);
}

static bool merge_rows(bl_conf *cf, const bl_module *module, int level, const char *parent,
                       char *child)
{
    bool ok = true;

    for (const bl_directive *d = module->directives; d && d->name; d++) {
        if (d->level != level || d->type->size == 0)
            continue;
        char *field = child + d->offset;
        if (!is_unset(field, d->type->size))
            continue;
        if (parent)
            memcpy(field, parent + d->offset, d->type->size);
        else
            ok &= set_default(cf, d, field);
    }
    return ok;
}

bool bl_settings_merge(bl_conf *cf, const bl_module_list *modules, int level, void **parent,
                       void **child)
{
    bool ok = true;

    for (int i = 0; i < modules->count; i++) {
        const bl_module *module = modules->modules[i];
        void *above = parent ? parent[i] : NULL;
        if (child[i] == NULL)
            continue;
        if (!merge_rows(cf, module, level, above, child[i]))
            ok = false;
        else if (module->merge && !module->merge(cf, level, above, child[i]))
            ok = false;
    }
    return ok;
}

bool bl_modules_finish(bl_conf *cf, const bl_module_list *modules, void **main_settings)
{
    bool ok = true;

    for (int i = 0; i < modules->count; i++) {
        const bl_module *module = modules->modules[i];
        if (module->finish && !module->finish(cf, main_settings[i]))
            ok = false;
    }
    return ok;
}
