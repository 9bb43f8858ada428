/* Signals as events. A handler only notes that the signal came, and from whom, and writes a byte
 * into a pipe: whoever waits with poll or epoll on the pipe wakes up, so no signal is lost between
 * looking and waiting. */
#ifndef BL_OS_SIGNAL_H
#define BL_OS_SIGNAL_H

#include "core/base.h"

#include <signal.h>

/* Installs the handlers (HUP QUIT TERM INT USR1 USR2 WINCH CHLD URG; PIPE and SYS are ignored) and
 * makes the pipe, and lets them in, whoever held them back. A file that may not grow any more is an
 * error of the write, no death. In a forked child: the same again, with nothing pending. False:
 * errno. */
bool bl_signal_open(void);
/* Whether system calls that a signal interrupts go on by themselves; they do unless told. */
void bl_signal_restart(bool restart);
/* What a signal's handler does first, in the handler itself (signal-safety(7)); NULL: nothing. */
extern void (*bl_signal_first)(int number);
/* Becomes readable when a signal comes. */
int bl_signal_fd(void);
/* Empties the pipe; before taking signals. */
void bl_signal_drain(void);
/* Did it come since it was last taken? *from (may be NULL): the sender's process id. */
bool bl_signal_take(int number, pid_t *from);

/* Holds signals back around fork(), until the child has a pipe of its own. */
void bl_signal_hold(void);
void bl_signal_release(void);

/* "SIGHUP" … of those handled here. */
const char *bl_signal_name(int number);

#endif
