/* Programs that a worker (or a single process) has started, until they have ended and been reaped.
 * SIGCHLD wakes the loop, and each program that still runs is asked for by its id: a few, and so
 * the children of others (os.execute, io.popen) stay theirs. Their ids can't be given to anybody
 * else before we have asked, so a signal never meets a stranger. */
#ifndef BL_PROCESS_PROGRAM_H
#define BL_PROCESS_PROGRAM_H

#include "core/list.h"
#include "os/spawn.h"

typedef struct bl_program bl_program;

struct bl_program {
    bl_link link;
    pid_t pid;
    bool group; /* its signals go to its process group */
    bool ended;
    int status;                      /* as waitpid() tells it */
    void (*on_end)(bl_program *end); /* it has been reaped, right now; NULL: nobody asks */
    void *data;
};

/* Starts one. NULL: errno. That the child could not become the program is said in `s` alone. */
bl_program *bl_program_start(bl_spawn *s);
/* 0, or an errno. It must not have ended. */
int bl_program_signal(const bl_program *program, int number);
/* Its owner goes: it is killed if it has not ended, and freed once it has. */
void bl_program_drop(bl_program *program);
/* The process ends: so do all that still run. */
void bl_program_end(void);

#endif
