/* From the command line to the master: reads options and configuration, then tests it, or sends a
 * signal, or opens what it names and runs. */
#include "conf/generation.h"
#include "conf/openfile.h"
#include "core/time.h"
#include "event/listener.h"
#include "lua/tool.h"
#include "os/daemon.h"
#include "os/environ.h"
#include "os/signal.h"
#include "os/title.h"
#include "process/core.h"
#include "process/master.h"
#include "process/options.h"
#include "process/pidfile.h"
#include "process/process.h"
#include "process/single.h"
#include "process/stats.h"
#include "process/upgrade.h"

#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Programs that start another server from Lua find the name of the binary here, through the FFI. */
char **ngx_argv;
int ngx_argc;

enum {
    STATS_ROWS = 2048, /* twice the most workers: those of two generations */
};

/* Until a configuration names a log. */
static struct {
    bl_open_file file;
    bl_log_target target;
    bl_log_targets targets;
} first_log = {.file.fd = -1};

static void open_first_log(void)
{
    bl_str name = bl_opts.error_log.len ? bl_opts.error_log : BL_STR(BL_ERROR_LOG_PATH);
    bool absolute = name.p[0] == '/';
    char path[4096];

    if (bl_str_eq(name, BL_STR("stderr")))
        return;
    snprintf(path, sizeof path, "%.*s%.*s", absolute ? 0 : (int)bl_opts.prefix.len,
             bl_opts.prefix.p, BL_STR_ARG(name));
    first_log.file.fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
    if (first_log.file.fd < 0) {
        bl_log_write(BL_LOG_ALERT, &bl_log_process, errno,
                     "could not open error log file: open() \"%s\" failed", path);
        return;
    }
    first_log.target = (bl_log_target){.level = BL_LOG_NOTICE, .file = &first_log.file};
    first_log.targets = (bl_log_targets){.level = BL_LOG_NOTICE, .first = &first_log.target};
    bl_log_process.targets = &first_log.targets;
}

static void close_first_log(void)
{
    BL_ASSERT(bl_log_process.targets != &first_log.targets);
    if (first_log.file.fd >= 0)
        close(first_log.file.fd);
}

/* Where -t says it looked, also when there is no generation. */
static const char *conf_path(void)
{
    static char path[4096];
    bool absolute = bl_opts.conf_path.len && bl_opts.conf_path.p[0] == '/';

    snprintf(path, sizeof path, "%.*s%.*s", absolute ? 0 : (int)bl_opts.prefix.len,
             bl_opts.prefix.p, BL_STR_ARG(bl_opts.conf_path));
    return path;
}

static void dump(const bl_generation *g)
{
    for (const bl_conf_file *f = g->files; f; f = f->next) {
        printf("# configuration file %.*s:\n", BL_STR_ARG(f->path));
        fwrite(f->text.p, 1, f->text.len, stdout);
        putchar('\n');
    }
}

static int test(void)
{
    bl_generation *g = bl_generation_load(&bl_opts, NULL);

    if (g && !bl_opts.quiet)
        fprintf(stderr, "bulan: the configuration file %s syntax is ok\n", conf_path());
    if (g == NULL || !bl_open_files_check(g)) {
        fprintf(stderr, "bulan: configuration file %s test failed\n", conf_path());
        return 1;
    }
    if (!bl_opts.quiet)
        fprintf(stderr, "bulan: configuration file %s test is successful\n", conf_path());
    if (bl_opts.dump)
        dump(g);
    bl_generation_drop(g);
    return 0;
}

static int signal_number(const char *name)
{
    if (strcmp(name, "stop") == 0)
        return SIGTERM;
    if (strcmp(name, "quit") == 0)
        return SIGQUIT;
    return strcmp(name, "reopen") == 0 ? SIGUSR1 : SIGHUP;
}

static int send_signal(const bl_generation *g)
{
    int number = signal_number(bl_opts.signal);

    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "signal process started");
    pid_t pid = bl_pidfile_read(bl_core_of(g)->pid.p);
    if (pid < 0)
        return 1;
    if (kill(pid, number) == 0)
        return 0;
    bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "kill(%d, %d) failed", (int)pid, number);
    return 1;
}

/* Into the background, with the pid file written by the process that stays. */
static bool settle(bl_generation *g, bool detach)
{
    const bl_core_settings *core = bl_core_of(g);

    if (detach && !bl_daemon()) {
        bl_log_write(BL_LOG_EMERG, &bl_log_process, errno, "going into the background failed");
        return false;
    }
    bl_signal_first = NULL;
    if (!bl_pidfile_write(core->pid.p))
        return false;
    bl_log_to_stderr = false;
    if (detach || bl_upgraded)
        bl_process_stderr_to_log(g);
    return true;
}

static bl_generation *starting;

/* Until there is a pid file, a signal that ends the process does so at once, but leaves no unix
 * socket behind. The others wait for the master. */
static void on_early_signal(int number)
{
    if (number != SIGTERM && number != SIGINT && number != SIGQUIT)
        return;
    bl_listeners_undo(starting);
    signal(number, SIG_DFL);
    raise(number);
}

static bool take_signals(bl_generation *g)
{
    starting = g;
    bl_signal_first = on_early_signal;
    if (bl_signal_open())
        return true;
    bl_log_write(BL_LOG_EMERG, &bl_log_process, errno, "installing signal handlers failed");
    return false;
}

static int serve(bl_generation *g, bl_generation *inherited)
{
    const bl_core_settings *core = bl_core_of(g);
    bool detach = core->daemon && !bl_upgraded;

    if (!take_signals(g) || !bl_process_open(g, inherited))
        return 1;
    bl_process_switch(g, inherited);
    if (inherited)
        bl_generation_drop(inherited);
    close_first_log();
    if (!settle(g, detach)) {
        if (!bl_upgraded)
            bl_listeners_close(g, NULL);
        return 1;
    }
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "nginx/1.31.4 (bulan-%s)", BL_VERSION);
    bl_stats_open(STATS_ROWS);
    return core->master_process ? bl_master_run(bl_opts.argv, core->daemon) : bl_single_run();
}

static int run(void)
{
    bl_log_to_stderr = true;
    if (bl_opts.test)
        return test();
    open_first_log();
    bl_generation *inherited = bl_opts.signal ? NULL : bl_upgrade_inherited();
    bl_generation *g = bl_generation_load(&bl_opts, NULL);
    if (g == NULL)
        return 1;
    return bl_opts.signal ? send_signal(g) : serve(g, inherited);
}

int main(int argc, char **argv)
{
    bl_daemon_stdio();
    ngx_argc = argc;
    ngx_argv = argv = bl_title_init(argc, argv);
    bl_environ_init();
    bl_clock_update();
    bl_modules_number(&bl_main_modules);
    bl_modules_number(&bl_http_modules);
    bl_modules_number(&bl_stream_modules);
    if (bl_tool_named(argv))
        return bl_tool_main(argv);
    if (!bl_options_read(argv))
        return 1;
    if (bl_opts.help) {
        bl_options_help();
        return 0;
    }
    if (bl_opts.version || bl_opts.configure) {
        bl_options_version(bl_opts.configure);
        return 0;
    }
    return run();
}
