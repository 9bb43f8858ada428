/* What this process is, and what it has been told to do. Everybody may look. */
#ifndef BL_PROCESS_PROCESS_H
#define BL_PROCESS_PROCESS_H

#include "conf/generation.h"

typedef enum bl_process_kind {
    BL_PROCESS_STARTING, /* reading the command line; also -t and -s */
    BL_PROCESS_SINGLE,   /* master_process off */
    BL_PROCESS_MASTER,
    BL_PROCESS_WORKER,
    BL_PROCESS_AGENT, /* the privileged agent: a worker that serves nobody and keeps its user */
} bl_process_kind;

extern bl_process_kind bl_process;
extern int bl_worker; /* number of this worker, from 0; -1: none */

/* The process ends at once. (bl_quitting in event/conn.h: when it has served what it has.) */
extern bool bl_terminating;

/* In a worker or a single process: a child (not a worker) may have ended. NULL: nobody asks. */
extern void (*bl_process_child_hook)(void);
/* SIGURG: another process of the server has something for this one. NULL: nobody asks. */
extern void (*bl_process_wake_hook)(void);
/* Once in a second in which the process does anything: gauges are taken. NULL: nothing to take. */
extern void (*bl_process_sample_hook)(void);

/* Opens what a loaded generation needs: log files, sockets,
 * zones, modules. `before`: serves now, and hands on what is the same; may be NULL. False after an
 * error was logged: `before` is as it was. */
bool bl_process_open(bl_generation *g, bl_generation *before);

/* `g` becomes bl_current and its log the process's; `before`'s sockets that it does not share are
 * closed; those that another binary has left here, only here. The caller drops `before`. */
void bl_process_switch(bl_generation *g, bl_generation *before);

/* Logs, on SIGUSR1: opened anew, also standard error where it is a log. */
void bl_process_reopen(bl_generation *g);

/* Standard error becomes the process's first log file: for a daemon, nobody else reads it. */
void bl_process_stderr_to_log(bl_generation *g);

#endif
