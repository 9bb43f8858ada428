#include "process/core.h"
#include "conf/diag.h"
#include "event/thread_pool.h"
#include "event/tls_source.h"
#include "os/affinity.h"
#include "os/environ.h"
#include "process/features.h"

#include <config.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* -1: no number of workers. */
static int64_t workers_of(bl_str value)
{
    int64_t n = bl_str_eq(value, BL_STR("auto")) ? bl_affinity_count() : bl_str_to_int(value);

    return n >= 1 && n <= 1024 ? n : -1;
}

static bool set_workers(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                        void *field)
{
    int64_t *workers = field;

    *workers = workers_of(bl_conf_arg(node, 1));
    if (*workers > 0)
        return true;
    bl_conf_hint(cf, "it must be \"auto\" or a number from 1 to 1024");
    return bl_conf_invalid(cf, node, 1);
}

int bl_conf_workers(const bl_conf *cf)
{
    int64_t workers = bl_core_of(cf->generation)->workers;

    if (workers > 0)
        return (int)workers;
    for (const bl_conf_node *n = cf->generation->tree->children; n; n = n->next) {
        if (n->count == 2 && bl_str_eq(bl_conf_arg(n, 0), BL_STR("worker_processes")))
            workers = workers_of(bl_conf_arg(n, 1));
    }
    return workers > 0 ? (int)workers : 1;
}

static bool set_user(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field)
{
    bl_core_settings *core = field;
    bl_str name = bl_conf_arg(node, 1), group = bl_conf_arg(node, node->count - 1);
    const struct passwd *user = getpwnam(bl_pool_cstr(cf->pool, name));

    core->user_given = true;
    if (geteuid() != 0)
        bl_conf_warn(cf, node, 0,
                     "the \"user\" directive makes sense only if the master process runs with "
                     "super-user privileges, ignored");
    if (geteuid() != 0)
        return true;
    if (user == NULL)
        return bl_conf_error(cf, node, 1, "getpwnam(\"%.*s\") failed", BL_STR_ARG(name));
    core->user = user->pw_uid;
    core->group = user->pw_gid;
    core->user_name = bl_pool_str(cf->pool, name);
    if (node->count == 2)
        return true;
    const struct group *found = getgrnam(bl_pool_cstr(cf->pool, group));
    if (found == NULL)
        return bl_conf_error(cf, node, 2, "getgrnam(\"%.*s\") failed", BL_STR_ARG(group));
    core->group = found->gr_gid;
    return true;
}

static bool set_priority(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                         void *field)
{
    bl_str value = bl_conf_arg(node, 1);
    bool minus = value.len && value.p[0] == '-';
    int64_t n = bl_str_to_int(bl_str_of(value.p + minus, value.len - minus));

    if (n < 0 || n > 20)
        return bl_conf_invalid(cf, node, 1);
    *(int *)field = (int)(minus ? -n : n);
    return true;
}

static bool set_rlimit_core(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                            void *field)
{
    int64_t size = bl_conf_off(bl_conf_arg(node, 1));

    if (size < 0)
        return bl_conf_invalid(cf, node, 1);
    *(int64_t *)field = size;
    return true;
}

static bool add_mask(bl_conf *cf, const bl_conf_node *node, int word, bl_core_settings *core)
{
    bl_str mask = bl_conf_arg(node, word);
    const char *wrong = bl_affinity_parse(mask, bl_array_push(core->affinity));

    if (wrong == NULL)
        return true;
    return bl_conf_error(cf, node, word, "invalid character \"%c\" in \"worker_cpu_affinity\"",
                         *wrong);
}

static bool set_affinity(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                         void *field)
{
    bl_core_settings *core = field;
    int first = 1;

    core->affinity = bl_array_new(cf->pool, sizeof(cpu_set_t));
    core->affinity_auto = bl_str_eq(bl_conf_arg(node, 1), BL_STR("auto"));
    if (core->affinity_auto && node->count > 3)
        return bl_conf_error(cf, node, 0,
                             "invalid number of arguments in \"worker_cpu_affinity\" directive");
    if (core->affinity_auto && node->count == 2)
        bl_affinity_allowed(bl_array_push(core->affinity));
    for (first += core->affinity_auto; first < node->count; first++) {
        if (!add_mask(cf, node, first, core))
            return false;
    }
    return true;
}

bool bl_core_affinity(const bl_core_settings *core, int worker, cpu_set_t *set)
{
    if (core->affinity == NULL)
        return false;
    uint32_t last = core->affinity->count - 1;
    if (core->affinity_auto)
        bl_affinity_nth(bl_array_at(core->affinity, last), worker, set);
    else
        *set = *(cpu_set_t *)bl_array_at(core->affinity, BL_MIN((uint32_t)worker, last));
    return true;
}

static bool set_env(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                    void *field)
{
    bl_core_settings *core = field;

    *(bl_str *)bl_array_push(core->env) = bl_pool_str(cf->pool, bl_conf_arg(node, 1));
    return true;
}

static bool set_error_log(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                          void *field BL_UNUSED)
{
    return bl_conf_log_target(cf, node, &cf->generation->log);
}

static bool load_module(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                        void *field BL_UNUSED)
{
    bl_str path = bl_conf_arg(node, 1);
    const char *slash = memrchr(path.p, '/', path.len);
    size_t folder = slash ? (size_t)(slash - path.p) + 1 : 0;
    bl_str name = bl_str_of(path.p + folder, path.len - folder);

    for (const char *const *m = bl_feature_modules; *m; m++) {
        if (bl_str_eq(name, bl_str_c(*m)))
            return true;
    }
    bl_conf_hint(cf, "modules are built in, they can't be loaded");
    return bl_conf_error(cf, node, 1, "the module \"%.*s\" is not available", BL_STR_ARG(name));
}

static bool set_thread_pool(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                            void *field BL_UNUSED)
{
    return bl_thread_pool_read(cf, node);
}

static bool set_ssl_engine(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                           void *field BL_UNUSED)
{
    bl_conf_hint(cf, "OpenSSL 3 has providers in place of engines; they are chosen in openssl.cnf");
    return bl_conf_error(cf, node, 1, "the SSL engine \"%.*s\" is not available",
                         BL_STR_ARG(bl_conf_arg(node, 1)));
}

static const bl_conf_word_value debug_points[] = {
    {"abort", BL_DEBUG_POINTS_ABORT}, {"stop", BL_DEBUG_POINTS_STOP}, {NULL, 0}};

#define MAIN(name, args, type, member, def, arg)                                                   \
    {                                                                                              \
        name, BL_IN_MAIN, args, &type, BL_MAIN, offsetof(bl_core_settings, member), def, arg,      \
            NULL, NULL                                                                             \
    }
#define MAIN_SET(name, args, type, member, def, set)                                               \
    {                                                                                              \
        name, BL_IN_MAIN, args, &type, BL_MAIN, offsetof(bl_core_settings, member), def, NULL,     \
            set, NULL                                                                              \
    }
/* `set` gets the whole settings. */
#define MAIN_ACTION(name, args, set)                                                               \
    {                                                                                              \
        name, BL_IN_MAIN, args, &bl_type_action, BL_MAIN, 0, NULL, NULL, set, NULL                 \
    }

static const bl_directive directives[] = {
    MAIN("daemon", BL_TAKE_FLAG, bl_type_flag, daemon, "on", NULL),
    MAIN("master_process", BL_TAKE_FLAG, bl_type_flag, master_process, "on", NULL),
    MAIN("timer_resolution", BL_TAKE1, bl_type_msec, timer_resolution, NULL, NULL),
    MAIN("pid", BL_TAKE1, bl_type_str, pid, BL_PID_PATH, NULL),
    MAIN("lock_file", BL_TAKE1, bl_type_str, lock_file, "logs/nginx.lock", NULL),
    MAIN_SET("worker_processes", BL_TAKE1, bl_type_num, workers, "1", set_workers),
    MAIN("debug_points", BL_TAKE1, bl_type_enum, debug_points, NULL, debug_points),
    MAIN_ACTION("user", BL_TAKE12, set_user),
    MAIN_SET("worker_priority", BL_TAKE1, bl_type_action, priority, NULL, set_priority),
    MAIN_ACTION("worker_cpu_affinity", BL_TAKE_1MORE, set_affinity),
    MAIN("worker_rlimit_nofile", BL_TAKE1, bl_type_num, rlimit_nofile, NULL, NULL),
    MAIN_SET("worker_rlimit_core", BL_TAKE1, bl_type_action, rlimit_core, NULL, set_rlimit_core),
    MAIN("worker_shutdown_timeout", BL_TAKE1, bl_type_msec, shutdown_timeout, NULL, NULL),
    MAIN("working_directory", BL_TAKE1, bl_type_str, working_directory, NULL, NULL),
    MAIN_ACTION("env", BL_TAKE1 | BL_REPEATS, set_env),
    MAIN_ACTION("load_module", BL_TAKE1 | BL_REPEATS, load_module),
    MAIN_ACTION("error_log", BL_TAKE_1MORE | BL_REPEATS, set_error_log),
    MAIN("pcre_jit", BL_TAKE_FLAG, bl_type_flag, pcre_jit, "off", NULL),
    MAIN_ACTION("thread_pool", BL_TAKE23 | BL_REPEATS, set_thread_pool),
    MAIN("ssl_object_cache_inheritable", BL_TAKE_FLAG, bl_type_flag, ssl_inherit, "off", NULL),
    MAIN_ACTION("ssl_engine", BL_TAKE1, set_ssl_engine),
    {0},
};

static bool create(bl_conf *cf, int level BL_UNUSED, void *settings)
{
    bl_core_settings *core = settings;

    core->rlimit_core = -1;
    core->user = (uid_t)-1;
    core->group = (gid_t)-1;
    core->env = bl_array_new(cf->pool, sizeof(bl_str));
    return true;
}

static bool default_user(bl_conf *cf, bl_core_settings *core)
{
    const struct passwd *user = getpwnam(BL_USER);
    const struct group *group = BL_GROUP[0] ? getgrnam(BL_GROUP) : NULL;

    if (user == NULL || (BL_GROUP[0] && group == NULL)) {
        bl_diag_hint(cf->diag, "name another with the directive \"user\"");
        bl_diag_say(cf->diag, BL_LOG_EMERG, (bl_diag_place){0},
                    "workers run as user \"%s\", group \"%s\", which does not exist", BL_USER,
                    BL_GROUP);
        return false;
    }
    core->user_name = BL_STR(BL_USER);
    core->user = user->pw_uid;
    core->group = group ? group->gr_gid : user->pw_gid;
    return true;
}

/* A script has the environment of its user; what the configuration sets comes to it. Two variables
 * of a server are always there: the time zone, and the sockets for the next binary. */
void bl_core_environment(const bl_core_settings *core)
{
    if (bl_opts.tool)
        bl_environ_add(core->env);
    else
        bl_environ_set(core->env);
}

static void add_environment(bl_core_settings *core)
{
    static const bl_str always[] = {BL_STR_INIT("TZ"), BL_STR_INIT("NGINX")};

    for (size_t i = 0; i < BL_COUNTOF(always); i++)
        *(bl_str *)bl_array_push(core->env) = always[i];
}

static void default_log(bl_conf *cf)
{
    bl_log_targets *targets = BL_NEW(cf->pool, bl_log_targets);
    bl_log_target *target = BL_NEW(cf->pool, bl_log_target);
    bl_str path = bl_opts.error_log.len ? bl_opts.error_log : BL_STR(BL_ERROR_LOG_PATH);

    if (bl_str_eq(path, BL_STR("stderr")))
        path = BL_STR("");
    target->file = bl_conf_open_file(cf, path);
    target->level = targets->level = BL_LOG_ERR;
    targets->first = target;
    cf->generation->log = targets;
}

static bool finish(bl_conf *cf, void *settings)
{
    bl_core_settings *core = settings;

    core->pid = bl_conf_path(cf, core->pid, false);
    core->old_pid = bl_pool_printf(cf->pool, "%s.oldbin", core->pid.p);
    if (core->working_directory.len)
        core->working_directory = bl_conf_path(cf, core->working_directory, false);
    if (cf->generation->log == NULL)
        default_log(cf);
    add_environment(core);
    bl_tls_source_done(core->ssl_inherit);
    if (!bl_thread_pools_finish(cf))
        return false;
    return core->user_given || geteuid() != 0 || default_user(cf, core);
}

bl_module bl_core_module = {
    .name = "core",
    .directives = directives,
    .size = {sizeof(bl_core_settings)},
    .create = create,
    .finish = finish,
};
