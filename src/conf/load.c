#include "conf/load.h"
#include "conf/parse.h"
#include "os/slurp.h"

#include <errno.h>
#include <glob.h>

static void say_unreadable(bl_loader *loader, bl_diag_place at, bl_str path, size_t max, int err)
{
    if (err == EFBIG)
        bl_diag_say(loader->diag, BL_LOG_EMERG, at, "\"%.*s\" is larger than %zu bytes",
                    BL_STR_ARG(path), max);
    else if (err == EISDIR)
        bl_diag_say(loader->diag, BL_LOG_EMERG, at, "\"%.*s\" is not a file", BL_STR_ARG(path));
    else
        bl_diag_say(loader->diag, BL_LOG_EMERG, at, "open() \"%.*s\" failed (%d: %s)",
                    BL_STR_ARG(path), err, strerror(err));
}

static bl_conf_file *add_file(bl_loader *loader, bl_str path, bl_str text)
{
    bl_conf_file *file = BL_NEW(loader->pool, bl_conf_file);

    file->path = path;
    file->text = text;
    *loader->files_tail = file;
    loader->files_tail = &file->next;
    bl_index_add(&loader->names, path, file);
    return file;
}

/* They would end paths and names before their time. */
static void refuse_zero_bytes(bl_loader *loader, const bl_conf_file *file)
{
    const char *at = memchr(file->text.p, '\0', file->text.len);
    bl_diag_place place = {.file = file, .line = 1};

    if (at == NULL)
        return;
    for (const char *p = file->text.p; (p = memchr(p, '\n', (size_t)(at - p))) != NULL; p++)
        place.line++;
    bl_diag_hint(loader->diag, "is it UTF-16? Configurations are UTF-8");
    bl_diag_say(loader->diag, BL_LOG_EMERG, place, "unexpected zero byte");
}

/* `at`: the include that asks for it. */
static bl_conf_file *read_file(bl_loader *loader, bl_str path, bl_diag_place at)
{
    bl_conf_file *file = bl_index_find(&loader->names, path);
    size_t max = loader->file_max ? loader->file_max : BL_LOAD_FILE_MAX;
    bl_str text;

    if (file)
        return file;
    path = bl_pool_str(loader->pool, path);
    int err = bl_slurp(loader->pool, path.p, max, &text);
    if (err) {
        say_unreadable(loader, at, path, max, err);
        return NULL;
    }
    file = add_file(loader, path, text);
    refuse_zero_bytes(loader, file);
    return file;
}

static void expand(bl_loader *loader, bl_conf_node *block);

/* Hangs the directives of a file into the list at `tail`; returns the list's new tail. */
static bl_conf_node **splice(bl_loader *loader, const bl_conf_file *file, bl_conf_node *parent,
                             bl_conf_node **tail)
{
    bl_conf_node *root = bl_conf_parse(loader->pool, file, loader->diag);

    expand(loader, root);
    *tail = root->children;
    for (bl_conf_node *node = root->children; node; node = node->next) {
        node->parent = parent;
        tail = &node->next;
    }
    return tail;
}

/* The paths of a mask, sorted. A mask without wildcards stands for itself, there or not. */
static void match(const char *mask, glob_t *found)
{
    bool wild = strpbrk(mask, "*?[") != NULL;

    if (glob(mask, wild ? 0 : GLOB_NOCHECK, NULL, found) != 0)
        *found = (glob_t){0};
}

static bool may_include(bl_loader *loader, const bl_conf_node *node)
{
    bl_diag_place at = bl_diag_node(node, 0);

    if (node->count != 2 || node->block) {
        bl_diag_say(loader->diag, BL_LOG_EMERG, at,
                    "invalid number of arguments in \"include\" directive");
        return false;
    }
    if (loader->depth == BL_LOAD_DEPTH || loader->includes >= BL_LOAD_INCLUDES) {
        bl_diag_hint(loader->diag, "does a file include itself?");
        bl_diag_say(loader->diag, BL_LOG_EMERG, at,
                    loader->depth == BL_LOAD_DEPTH ? "includes are nested too deep"
                                                   : "too many includes");
        loader->includes = BL_LOAD_INCLUDES;
        return false;
    }
    return true;
}

static bl_str absolute(bl_loader *loader, bl_str path)
{
    bl_str parts[] = {loader->conf_prefix, path};

    if (path.len && path.p[0] == '/')
        return bl_pool_str(loader->pool, path);
    return bl_pool_concat(loader->pool, parts, BL_COUNTOF(parts));
}

static bl_conf_node **include(bl_loader *loader, const bl_conf_node *node, bl_conf_node **tail)
{
    glob_t found;

    if (!may_include(loader, node))
        return tail;
    match(absolute(loader, bl_conf_arg(node, 1)).p, &found);
    loader->depth++;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        loader->includes++;
        bl_conf_file *file = read_file(loader, bl_str_c(found.gl_pathv[i]), bl_diag_node(node, 1));
        if (file)
            tail = splice(loader, file, node->parent, tail);
    }
    loader->depth--;
    globfree(&found);
    return tail;
}

static void expand(bl_loader *loader, bl_conf_node *block)
{
    bl_conf_node **tail = &block->children, *next;

    for (bl_conf_node *node = block->children; node; node = next) {
        next = node->next;
        if (bl_str_eq(bl_conf_arg(node, 0), BL_STR("include"))) {
            tail = include(loader, node, tail);
            continue;
        }
        if (node->children)
            expand(loader, node);
        *tail = node;
        tail = &node->next;
    }
    *tail = NULL;
}

static bl_conf_node *parse_globals(bl_loader *loader, bl_str globals)
{
    bl_conf_file *file = BL_NEW(loader->pool, bl_conf_file);

    file->path = BL_STR("command line");
    file->text = bl_pool_str(loader->pool, globals);
    file->command_line = true;
    bl_conf_node *root = bl_conf_parse(loader->pool, file, loader->diag);
    expand(loader, root);
    return root;
}

bl_conf_node *bl_load(bl_loader *loader, bl_str path, bl_str globals)
{
    loader->files_tail = &loader->files;
    bl_index_init(&loader->names, loader->pool);
    bl_conf_node *root = parse_globals(loader, globals);
    bl_conf_node **tail = &root->children;
    bl_conf_file *file = loader->text.p ? add_file(loader, path, loader->text)
                                        : read_file(loader, path, (bl_diag_place){0});

    if (file == NULL)
        return NULL;
    while (*tail)
        tail = &(*tail)->next;
    splice(loader, file, root, tail);
    root->file = file;
    return root;
}
