#include "process/process.h"
#include "conf/openfile.h"
#include "event/listener.h"
#include "process/core.h"

#include <sys/resource.h>
#include <unistd.h>

bl_process_kind bl_process = BL_PROCESS_STARTING;
int bl_worker = -1;
bool bl_terminating;
void (*bl_process_child_hook)(void);
void (*bl_process_wake_hook)(void);
void (*bl_process_sample_hook)(void);

static bool stderr_is_log;

static void warn_about_files(const bl_generation *g)
{
    int64_t connections = bl_events_of(g)->connections;
    struct rlimit limit;

    if (bl_core_of(g)->rlimit_nofile == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur != RLIM_INFINITY && connections > (int64_t)limit.rlim_cur)
        bl_log_write(BL_LOG_WARN, &bl_log_process, 0,
                     "%lld worker_connections exceed open file resource limit: %lld",
                     (long long)connections, (long long)limit.rlim_cur);
}

/* With the environment and the log of the generation that is opened. */
static bool open_parts(bl_generation *g, bl_generation *before)
{
    const bl_core_settings *core = bl_core_of(g);

    warn_about_files(g);
    if (!bl_listeners_open(g, before, core->master_process ? (int)core->workers : 1))
        return false;
    if (bl_zones_map(g, before) && bl_generation_open(g))
        return true;
    bl_listeners_close(g, before);
    return false;
}

bool bl_process_open(bl_generation *g, bl_generation *before)
{
    const bl_log_targets *log = bl_log_process.targets;

    if (!bl_open_files_open(g))
        return false;
    bl_log_process.targets = g->log;
    bl_core_environment(bl_core_of(g));
    if (open_parts(g, before))
        return true;
    bl_log_process.targets = log;
    if (bl_current)
        bl_core_environment(bl_core_of(bl_current));
    return false;
}

void bl_process_switch(bl_generation *g, bl_generation *before)
{
    bool anothers = bl_current == NULL;

    bl_current = g;
    bl_log_process.targets = g->log;
    if (stderr_is_log)
        bl_process_stderr_to_log(g);
    if (before && anothers)
        bl_listeners_release(before, g);
    else if (before)
        bl_listeners_close(before, g);
}

void bl_process_reopen(bl_generation *g)
{
    const bl_core_settings *core = bl_core_of(g);

    bl_open_files_reopen(g, core->user);
    if (stderr_is_log)
        bl_process_stderr_to_log(g);
}

void bl_process_stderr_to_log(bl_generation *g)
{
    for (const bl_log_target *t = g->log->first; t; t = t->next) {
        if (t->file && t->file->fd > STDERR_FILENO) {
            stderr_is_log = dup2(t->file->fd, STDERR_FILENO) >= 0;
            return;
        }
    }
}
