/* The file that holds the master's process id. */
#ifndef BL_PROCESS_PIDFILE_H
#define BL_PROCESS_PIDFILE_H

#include "core/str.h"

/* Writes this process's id. What stands there and is no file (/dev/null) stays what it is, here and
 * below. False after an error was logged. */
bool bl_pidfile_write(const char *path);
void bl_pidfile_remove(const char *path);
/* Gives it another name. False: errno. */
bool bl_pidfile_move(const char *from, const char *to);

/* The id in the file, or -1 after an error was logged. */
pid_t bl_pidfile_read(const char *path);

#endif
