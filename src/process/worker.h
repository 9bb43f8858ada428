/* A worker: takes on its limits and its user, starts the modules, then turns the event loop until
 * it is told to go.
 *
 *   QUIT  graceful: stop accepting, close idle connections, end when the last request is over (or
 *         worker_shutdown_timeout runs out)
 *   TERM, INT  at once           USR1  open the logs anew
 */
#ifndef BL_PROCESS_WORKER_H
#define BL_PROCESS_WORKER_H

#include "conf/generation.h"

/* The life of a forked worker; never returns. `ready_fd`: a byte is written there when it serves,
 * and it is closed. */
BL_NORETURN void bl_worker_main(bl_generation *g, int number, int ready_fd);

/* Number `number` is the privileged agent's: it comes behind those of the workers. */
bool bl_worker_is_agent(const bl_generation *g, int number);

/* Pieces that a single process shares. Opens the loop and starts the modules; then listeners. */
bool bl_worker_start(bl_generation *g, int number);
/* Watches the signal pipe with the loop. */
bool bl_worker_watch_signals(void (*arrived)(void));
/* A graceful shutdown begins. Once. */
void bl_worker_quit(bl_generation *g);
/* One turn of the loop; false when the process is done. */
bool bl_worker_turn(void);
/* Stops modules and loop. */
void bl_worker_stop(bl_generation *g);

#endif
