/* The master's table of workers: one slot per worker of the current generation, and the workers of
 * older generations that are finishing their requests. */
#ifndef BL_PROCESS_CHILD_H
#define BL_PROCESS_CHILD_H

#include "conf/generation.h"

typedef struct bl_child {
    bl_link link;
    pid_t pid;
    int number;   /* bl_worker */
    int row;      /* of the counters (process/stats.h): no other living worker has it */
    int ready_fd; /* where it will say that it serves; -1: no more awaited */
    bool agent;
    bool serves;
    bool quitting; /* was told to go */
    uint64_t generation;
    uint64_t started; /* mono ms */
} bl_child;

extern bl_link bl_children;

/* Forks worker `number` of bl_current. NULL after an error was logged. */
bl_child *bl_child_start(int number);
/* Waits for one that has ended; says how it ended. False: none has. `*ended` is a copy; pid 0: it
 * was not in the table (*pid tells which). */
bool bl_child_reap(bl_child *ended, pid_t *pid);
/* It said that it serves, or (`serves` false) will never. */
void bl_child_ready(bl_child *child, bool serves);
/* The worker of that number in that generation, or NULL. */
bl_child *bl_child_find(int number, uint64_t generation);
/* Sends a signal to those of `generation` (0: all) or, with `but`, of all others. */
void bl_child_signal(int signal_number, uint64_t generation, bool but);

#endif
