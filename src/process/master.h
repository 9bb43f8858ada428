/* The master: keeps the workers running and hands the configuration from one generation to the
 * next. It serves nobody and waits in poll() for signals, for new workers' word that they serve,
 * and for the time to try again.
 *
 *   HUP        load the configuration; open what is new; fork the new workers; when they serve,
 *              QUIT to the old ones. Anything wrong: it is said, and the old ones serve on
 *   QUIT       workers finish their requests, then the master ends
 *   TERM, INT  at once; who is not gone within KILL_AFTER_MS is killed
 *   USR1       logs are opened anew, here and in the workers
 *   USR2       a new binary beside this one (process/upgrade.h)
 *   WINCH      workers finish and are not replaced (the old binary, while a new one is tried)
 *   CHLD       a worker that died is replaced: at once, or after a growing pause when it died
 *              within a second of its start
 */
#ifndef BL_PROCESS_MASTER_H
#define BL_PROCESS_MASTER_H

#include "conf/generation.h"

/* Runs the workers of bl_current, which is open. Returns the exit status of the process.
 * `argv`: for a new binary. `detached`: not on a terminal's foreground. */
int bl_master_run(char **argv, bool detached);

#endif
