/* A new binary takes over without losing a connection: the listening sockets stay open over
 * execve(), and the variable NGINX tells the new process their descriptors, "5;6;7;".
 *
 *   USR2 → pid file becomes PID.oldbin → fork, execve → the new master writes its own pid file
 *   then QUIT to the old one, or to the new one when it does not please: the name goes back */
#ifndef BL_PROCESS_UPGRADE_H
#define BL_PROCESS_UPGRADE_H

#include "conf/generation.h"

/* Was this process started with sockets? */
extern bool bl_upgraded;

/* A generation that holds nothing but the sockets named by NGINX: what bl_listeners_open inherits
 * from. NULL: the variable is not there. */
bl_generation *bl_upgrade_inherited(void);

/* Starts argv with the sockets of `g`. Returns its process id, or -1 after an error was logged. */
pid_t bl_upgrade_start(bl_generation *g, char **argv);

#endif
