/* master_process off: one process that loads, serves and reloads. For development: a new
 * generation serves new connections while the old one ends with its last. */
#ifndef BL_PROCESS_SINGLE_H
#define BL_PROCESS_SINGLE_H

#include "conf/generation.h"

/* Serves bl_current, which is open. Returns the exit status. */
int bl_single_run(void);

#endif
