#include "conf/generation.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "conf/openfile.h"

bl_options bl_opts;
bl_generation *bl_current;

static void close_files(void *data)
{
    bl_open_files_close(data);
}

static bl_generation *new_generation(const bl_options *options, const bl_generation *before)
{
    bl_pool *pool = bl_pool_new();
    bl_generation *g = BL_NEW(pool, bl_generation);
    bl_str path[] = {options->prefix, options->conf_path};
    bool absolute = options->conf_path.len && options->conf_path.p[0] == '/';

    g->pool = pool;
    g->refs = 1;
    g->number = before ? before->number + 1 : 1;
    g->prefix = bl_pool_str(pool, options->prefix);
    g->conf_path = absolute ? bl_pool_str(pool, path[1]) : bl_pool_concat(pool, path, 2);
    const char *slash = memrchr(g->conf_path.p, '/', g->conf_path.len);
    size_t folder = slash ? (size_t)(slash - g->conf_path.p) + 1 : 0;
    g->conf_prefix = bl_pool_str(pool, bl_str_of(g->conf_path.p, folder));
    bl_list_init(&g->listeners);
    bl_list_init(&g->open_files);
    bl_index_init(&g->file_names, pool);
    bl_list_init(&g->zones);
    bl_list_init(&g->thread_pools);
    bl_pool_cleanup(pool, close_files, g);
    return g;
}

static bool load_tree(bl_generation *g, const bl_options *options, bl_diag *diag)
{
    bl_loader loader = {.pool = g->pool, .diag = diag, .conf_prefix = g->conf_prefix};
    bl_str name = options->text.p ? options->conf_path : g->conf_path;

    loader.text = options->text;
    g->tree = bl_load(&loader, name, options->globals);
    g->files = loader.files;
    return g->tree != NULL;
}

/* Directives become settings; settings get their defaults; modules look at the whole. Each step
 * goes on behind errors of its own, none behind errors of the step before. */
static bool apply_tree(bl_generation *g, bl_conf *cf)
{
    g->settings.of[BL_MAIN] = bl_settings_create(cf, &bl_main_modules, BL_MAIN);
    bl_conf_apply(cf, g->tree, &bl_main_modules, BL_IN_MAIN, &g->settings, NULL);
    if (cf->errors || cf->diag->errors)
        return false;
    return bl_settings_merge(cf, &bl_main_modules, BL_MAIN, NULL, g->settings.of[BL_MAIN]) &&
           bl_modules_finish(cf, &bl_main_modules, g->settings.of[BL_MAIN]) && cf->errors == 0 &&
           cf->diag->errors == 0;
}

/* Something reads the errors: a terminal while there is one, and the log once it is open. */
static void direct(bl_diag *diag, const bl_options *options)
{
    diag->to_log = !options->test && bl_log_process.targets != bl_log_stderr_targets;
    diag->to_stderr = bl_log_to_stderr || !diag->to_log;
}

bl_generation *bl_generation_load(const bl_options *options, bl_generation *before)
{
    bl_generation *g = new_generation(options, before);
    bl_diag diag;

    bl_diag_init(&diag, g->pool);
    direct(&diag, options);
    bl_conf cf = {.generation = g, .pool = g->pool, .diag = &diag, .test = options->test};
    if (load_tree(g, options, &diag) && apply_tree(g, &cf))
        return g;
    if (diag.said > BL_DIAG_MAX)
        bl_diag_say(&diag, BL_LOG_EMERG, (bl_diag_place){0}, "… and %d more",
                    diag.said - BL_DIAG_MAX);
    bl_generation_drop(g);
    return NULL;
}

void bl_generation_drop(bl_generation *g)
{
    BL_ASSERT(g->refs > 0);
    if (--g->refs == 0)
        bl_pool_free(g->pool);
}

/* The lists whose modules take part: those of blocks that the configuration has. */
static size_t lists_of(const bl_generation *g, const bl_module_list *lists[3])
{
    size_t count = 0;

    lists[count++] = &bl_main_modules;
    if (g->http)
        lists[count++] = &bl_http_modules;
    if (g->stream)
        lists[count++] = &bl_stream_modules;
    return count;
}

typedef bool (*hook)(const bl_module *module, bl_generation *g);

static bool each_module(bl_generation *g, hook call)
{
    const bl_module_list *lists[3];
    size_t count = lists_of(g, lists);

    for (size_t l = 0; l < count; l++) {
        for (int i = 0; i < lists[l]->count; i++) {
            if (!call(lists[l]->modules[i], g))
                return false;
        }
    }
    return true;
}

static bool open_one(const bl_module *module, bl_generation *g)
{
    return module->open == NULL || module->open(g);
}

static bool start_one(const bl_module *module, bl_generation *g)
{
    return module->start_worker == NULL || module->start_worker(g);
}

static bool quit_one(const bl_module *module, bl_generation *g)
{
    if (module->quit_worker)
        module->quit_worker(g);
    return true;
}

bool bl_generation_open(bl_generation *g)
{
    return each_module(g, open_one);
}

bool bl_generation_start_worker(bl_generation *g)
{
    return each_module(g, start_one);
}

void bl_generation_quit_worker(bl_generation *g)
{
    each_module(g, quit_one);
}

/* In the reverse order of starting. */
void bl_generation_stop_worker(bl_generation *g)
{
    const bl_module_list *lists[3];

    for (size_t l = lists_of(g, lists); l-- > 0;) {
        for (int i = lists[l]->count; i-- > 0;) {
            if (lists[l]->modules[i]->stop_worker)
                lists[l]->modules[i]->stop_worker(g);
        }
    }
}
