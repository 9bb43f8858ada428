/* The error log. A line is
 *
 *   2026/11/22 12:00:00 [error] 123#123: *5 message (2: No such file or directory), client: …
 *
 * written with one system call to each target whose level takes it. A bl_log is what a thing logs
 * through: the targets (of the location a request is in), the connection's number, and a function
 * that adds what it was doing ("client: …, server: …, request: …"). Opening, reopening and syslog
 * targets is conf's and process's work; here is only the writing. */
#ifndef BL_CORE_LOG_H
#define BL_CORE_LOG_H

#include "core/list.h"
#include "core/pool.h"

#include <signal.h>

typedef enum bl_log_level {
    BL_LOG_STDERR = 0, /* always, and to stderr */
    BL_LOG_EMERG,
    BL_LOG_ALERT,
    BL_LOG_CRIT,
    BL_LOG_ERR,
    BL_LOG_WARN,
    BL_LOG_NOTICE,
    BL_LOG_INFO,
    BL_LOG_DEBUG,
} bl_log_level;

/* "emerg" … "debug" in the order above; "" first. */
extern const char *const bl_log_level_names[];

/* A file that is written in lines and reopened on SIGUSR1: error and access logs share it. */
typedef struct bl_open_file {
    bl_link link; /* in the generation's list */
    char *path;   /* NULL: stderr */
    int fd;
    void (*flush)(struct bl_open_file *file); /* writes what is buffered; NULL: nothing ever is */
    void *flush_data;
} bl_open_file;

typedef struct bl_log_target bl_log_target;
struct bl_log_target {
    bl_log_target *next;
    bl_log_level level;
    bl_open_file *file;                                              /* or: */
    void (*write)(bl_log_target *target, bl_log_level, bl_str line); /* syslog, memory */
    void *data;
    time_t disk_full; /* nothing is written within a second of ENOSPC, then tried again */
};

typedef struct bl_log_targets {
    bl_log_level level; /* the most talkative of the targets' levels */
    bl_log_target *first;
} bl_log_targets;

/* Adds ", key: value" to the line; returns the new end. Never writes at or behind `end`. */
typedef char *(*bl_log_describe_fn)(void *data, char *at, char *end);

typedef struct bl_log {
    const bl_log_targets *targets;
    uint64_t connection; /* number, 0: none */
    const char *action;  /* ", while ACTION", or NULL */
    bl_log_describe_fn describe;
    void *data;
    bool debug; /* all levels, whatever the targets take: debug_connection */
} bl_log;

/* Where a process logs when it has nothing better: stderr until the configuration is read. Its
 * targets are replaced, never the object. */
extern bl_log bl_log_process;

/* Its first targets: stderr, where a line is "bulan: [level] message". */
extern const bl_log_targets *const bl_log_stderr_targets;

/* Warnings and worse also to stderr in that form, until a daemon has detached: what start-up has to
 * say. */
extern bool bl_log_to_stderr;

/* Gets each line that is written, too, without its newline; NULL: nobody. */
extern void (*bl_log_capture)(bl_log_level level, bl_str line);
/* Set by a signal's handler while it logs: whoever captures may be in the middle of something. */
extern volatile sig_atomic_t bl_log_in_handler;

enum {
    BL_LOG_MAX = 4096
}; /* bytes of a line; ngx.log of longer text makes its own line */

#define bl_log_on(log, lvl) BL_UNLIKELY((log)->targets->level >= (lvl) || (log)->debug)

/* Logs when a target wants the level. `err` is an errno, 0 for none. */
#define bl_log_write(lvl, log, err, ...)                                                           \
    do {                                                                                           \
        if (bl_log_on(log, lvl))                                                                   \
            bl_log_line(lvl, log, err, __VA_ARGS__);                                               \
    } while (0)

#define bl_debug(log, ...) bl_log_write(BL_LOG_DEBUG, log, 0, __VA_ARGS__)

void bl_log_line(bl_log_level level, const bl_log *log, int err, const char *format, ...)
    BL_PRINTF(4, 5);
void bl_log_vline(bl_log_level level, const bl_log *log, int err, const char *format, va_list args);
/* A text of any bytes, zero bytes among them. Whether a target wants it the caller asks. */
void bl_log_text(bl_log_level level, const bl_log *log, bl_str text);

/* For describe functions: snprintf that returns the new end. */
char *bl_log_put(char *at, char *end, const char *format, ...) BL_PRINTF(3, 4);

/* Level of a name ("info"), or -1. */
int bl_log_level_of(bl_str name);

#endif
