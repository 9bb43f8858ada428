/* Starting another program. The process is not copied for it: vfork(2) lends the child our memory
 * until it has become the program, so the price does not grow with the server's size (of a process
 * of a gigabyte: 0.5 ms; fork(2), which copies page tables: 15 ms). Meanwhile this thread stands
 * still; the others run on.
 *
 * What the program gets is clean: descriptors 0, 1 and 2 and no others, no signal blocked or
 * ignored, the processors that the server was started with, not those of worker_cpu_affinity. When
 * this process dies, however that may be, so does the program (on Linux). */
#ifndef BL_OS_SPAWN_H
#define BL_OS_SPAWN_H

#include "core/base.h"

#include <sys/types.h>

typedef struct bl_spawn {
    char *const *args;    /* NULL behind the last; the first is looked for in this process's PATH */
    char *const *environ; /* NULL: this process's */
    const char *directory; /* NULL: this process's */
    bool group;            /* it leads a process group of its own */
    int fds[3];            /* become 0, 1 and 2; are above 2 */
    pid_t parent;          /* bl_spawn_start's own */
    const char *failed;    /* out: the call that failed in the child; NULL: it runs the program */
    int failure;           /* out: its errno */
} bl_spawn;

/* The child's process id; -1: there is none (errno). A child that could not become the program has
 * exited with status 1, and s->failed tells why. */
pid_t bl_spawn_start(bl_spawn *s);

/* A pipe with both ends above 2 and closed in other programs; `ours` (0: the reading, 1: the
 * writing end) does not block. False: errno. */
bool bl_spawn_pipe(int fds[2], int ours);

#endif
