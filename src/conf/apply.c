#include "conf/diag.h"
#include "conf/names.h"

/* A `;` that was forgotten makes the next line's directive an argument. */
static void hint_semicolon(bl_conf *cf, const bl_conf_node *node)
{
    for (int i = 1; i < node->count; i++) {
        const bl_conf_word *w = &node->words[i];
        if (w->line > w[-1].line && !w->quoted && bl_names_contexts(w->text)) {
            bl_conf_hint(cf, "is a \";\" missing at the end of line %d?", w[-1].line);
            return;
        }
    }
}

bool bl_conf_error(bl_conf *cf, const bl_conf_node *node, int word, const char *format, ...)
{
    va_list args;

    cf->errors++;
    if (cf->diag->hint.len == 0)
        hint_semicolon(cf, node);
    va_start(args, format);
    bl_diag_vsay(cf->diag, BL_LOG_EMERG, bl_diag_node(node, word), format, args);
    va_end(args);
    return false;
}

void bl_conf_warn(bl_conf *cf, const bl_conf_node *node, int word, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bl_diag_vsay(cf->diag, BL_LOG_WARN, bl_diag_node(node, word), format, args);
    va_end(args);
}

void bl_conf_hint(bl_conf *cf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    cf->diag->hint = bl_pool_vprintf(cf->diag->pool, format, args);
    va_end(args);
}

bool bl_conf_invalid(bl_conf *cf, const bl_conf_node *node, int word)
{
    return bl_conf_error(cf, node, word, "invalid value \"%.*s\" in \"%.*s\" directive",
                         BL_STR_ARG(bl_conf_arg(node, word)), BL_STR_ARG(bl_conf_arg(node, 0)));
}

static bool unknown(bl_conf *cf, const bl_conf_node *node)
{
    bl_str name = bl_conf_arg(node, 0);
    uint32_t contexts = bl_names_contexts(name);
    bool elsewhere;

    if (contexts) {
        bl_str where = bl_names_of_contexts(cf->diag->pool, contexts);
        bl_conf_hint(cf, "\"%.*s\" is a directive of %.*s", BL_STR_ARG(name), BL_STR_ARG(where));
        return bl_conf_error(cf, node, 0, "\"%.*s\" directive is not allowed here",
                             BL_STR_ARG(name));
    }
    const char *near = bl_names_nearest(cf->modules, name, cf->context, &elsewhere);
    if (near && elsewhere) {
        bl_str where = bl_names_of_contexts(cf->diag->pool, bl_names_contexts(bl_str_c(near)));
        bl_conf_hint(cf, "did you mean \"%s\"? It is a directive of %.*s", near, BL_STR_ARG(where));
    } else if (near) {
        bl_conf_hint(cf, "did you mean \"%s\"?", near);
    }
    return bl_conf_error(cf, node, 0, "unknown directive \"%.*s\"", BL_STR_ARG(name));
}

static bool right_number(uint32_t args, int count)
{
    if (args & BL_TAKE_ANY)
        return true;
    if (args & BL_TAKE_1MORE)
        return count >= 1;
    if (args & BL_TAKE_2MORE)
        return count >= 2;
    return count <= 7 && (args & (1u << count));
}

static bool check_form(bl_conf *cf, const bl_directive *d, const bl_conf_node *node)
{
    bool wants_block = d->args & (BL_TAKE_BLOCK | BL_TAKE_LUA);

    if (node->block && !wants_block)
        return bl_conf_error(cf, node, 0, "directive \"%s\" is not terminated by \";\"", d->name);
    if (!node->block && wants_block)
        return bl_conf_error(cf, node, 0, "directive \"%s\" has no opening \"{\"", d->name);
    if (!right_number(d->args, node->count - 1)) {
        return bl_conf_error(cf, node, 0, "invalid number of arguments in \"%s\" directive",
                             d->name);
    }
    return true;
}

/* The same directive further up in its block. */
static const bl_conf_node *earlier(const bl_conf_node *node)
{
    if (node->parent == NULL)
        return NULL;
    for (const bl_conf_node *n = node->parent->children; n && n != node; n = n->next) {
        if (bl_str_eq(bl_conf_arg(n, 0), bl_conf_arg(node, 0)))
            return n;
    }
    return NULL;
}

static bool check_duplicate(bl_conf *cf, const bl_directive *d, const bl_conf_node *node)
{
    const bl_conf_node *first = d->args & BL_REPEATS ? NULL : earlier(node);

    if (first == NULL)
        return true;
    if (first->file->command_line)
        bl_conf_hint(cf, "it was given by -g");
    else
        bl_conf_hint(cf, "the first stands in %.*s:%d", BL_STR_ARG(first->file->path),
                     first->words[0].line);
    return bl_conf_error(cf, node, 0, "\"%s\" directive is duplicate", d->name);
}

static void *field_of(const bl_conf *cf, bl_row row)
{
    void **settings = cf->settings ? cf->settings->of[row.directive->level] : NULL;
    char *own = settings ? settings[row.module->index] : NULL;

    return own ? own + row.directive->offset : NULL;
}

static bool read_value(bl_conf *cf, bl_row row, const bl_conf_node *node)
{
    const bl_directive *d = row.directive;
    bl_conf_read_fn read = d->set ? d->set : d->type->read;
    void *field = field_of(cf, row);

    if (read && !read(cf, d, node, field))
        return false;
    return d->check == NULL || d->check(cf, d, node, field);
}

bool bl_conf_apply_node(bl_conf *cf, const bl_conf_node *node)
{
    bl_row row = bl_names_find(cf->modules, bl_conf_arg(node, 0), cf->context);
    const bl_conf_node *outer = cf->node;

    if (row.directive == NULL)
        return unknown(cf, node);
    if (!check_form(cf, row.directive, node) || !check_duplicate(cf, row.directive, node))
        return false;
    cf->node = node;
    bool ok = read_value(cf, row, node);
    cf->node = outer;
    return ok;
}

bool bl_conf_apply(bl_conf *cf, const bl_conf_node *block, const bl_module_list *modules,
                   uint32_t context, bl_settings *settings, void *room_block)
{
    bl_conf outer = *cf;
    bool ok = true;

    cf->modules = modules;
    cf->context = context;
    cf->settings = settings;
    cf->block = room_block;
    for (const bl_conf_node *node = block->children; node; node = node->next) {
        if (!bl_conf_apply_node(cf, node))
            ok = false;
    }
    outer.errors = cf->errors;
    *cf = outer;
    return ok;
}
