/* Going into the background. */
#ifndef BL_OS_DAEMON_H
#define BL_OS_DAEMON_H

#include "core/base.h"

/* What was started without a standard input, output or error gets /dev/null there: nothing that it
 * opens may take these numbers. */
void bl_daemon_stdio(void);

/* Forks; the parent exits with 0, the child leads a new session and has /dev/null for standard
 * input and output. Standard error stays. False: errno. */
bool bl_daemon(void);

#endif
