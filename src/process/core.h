/* The main context's own directives: how the server runs as a set of processes. The settings are
 * read by master and worker. */
#ifndef BL_PROCESS_CORE_H
#define BL_PROCESS_CORE_H

#include "conf/generation.h"

#include <sched.h>

enum {
    BL_DEBUG_POINTS_ABORT = 1, /* what a panic does anyway */
    BL_DEBUG_POINTS_STOP,
};

typedef struct bl_core_settings {
    int daemon;
    int master_process;
    int debug_points;
    int pcre_jit;
    int ssl_inherit;          /* what was read for TLS serves the next configuration, too */
    int64_t timer_resolution; /* ms that the clock may be old; 0: read every turn */
    int64_t workers;
    int64_t shutdown_timeout; /* ms, 0: none */
    int64_t rlimit_nofile;    /* 0: as inherited */
    int64_t rlimit_core;      /* bytes, -1: as inherited */
    int priority;             /* -20..20 */
    bl_str pid;               /* absolute */
    bl_str old_pid;           /* the same with ".oldbin" */
    bl_str lock_file;
    bl_str working_directory; /* empty: none */
    bl_str user_name;
    uid_t user;
    gid_t group;
    bool user_given;
    bool affinity_auto;
    bl_array *affinity; /* cpu_set_t; NULL: none */
    bl_array *env;      /* bl_str: NAME or NAME=VALUE */
} bl_core_settings;

typedef struct bl_events_settings {
    int64_t connections;
    int64_t events;             /* of one turn of the loop */
    int64_t accept_mutex_delay; /* ms; with the two below taken for compatibility */
    int64_t aio_requests, kqueue_changes, kqueue_events;
    int multi_accept, accept_mutex;
    const char *use;            /* poller's name, NULL: the system's best */
    bl_array *debug_connection; /* bl_cidr; NULL: none */
} bl_events_settings;

extern bl_module bl_core_module, bl_events_module;

static inline bl_core_settings *bl_core_of(const bl_generation *g)
{
    return bl_settings_of(&g->settings, BL_MAIN, &bl_core_module);
}

static inline bl_events_settings *bl_events_of(const bl_generation *g)
{
    return bl_settings_of(&g->settings, BL_MAIN, &bl_events_module);
}

/* How many workers the configuration that is being read asks for, also when worker_processes stands
 * further down in the file. */
int bl_conf_workers(const bl_conf *cf);

/* The environment of the process becomes what `env` says; its values live as long as the settings.
 */
void bl_core_environment(const bl_core_settings *core);

/* The processors that worker number `worker` may run on. False: no affinity is configured. */
bool bl_core_affinity(const bl_core_settings *core, int worker, cpu_set_t *set);

#endif
