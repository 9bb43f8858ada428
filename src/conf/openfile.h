/* Files that are written in lines: error and access logs. A generation names them while its
 * configuration is read (bl_conf_open_file in conf.h); they are opened when all of it is good. On
 * SIGUSR1 each is opened anew under its name, and the new file takes the number of the old
 * descriptor, so that nobody who holds the number needs to know. */
#ifndef BL_CONF_OPENFILE_H
#define BL_CONF_OPENFILE_H

#include "conf/generation.h"

/* Opens those that are not open. False after an error was reported: none was opened then. */
bool bl_open_files_open(bl_generation *g);
/* For -t: could they be opened? Changes nothing. False after an error was logged. */
bool bl_open_files_check(bl_generation *g);
/* Opens all anew. As root they are given to `owner` (when not (uid_t)-1), since workers, which
 * reopen them too, run as that user. A file that can't be opened stays as it is. */
void bl_open_files_reopen(bl_generation *g, uid_t owner);
void bl_open_files_close(bl_generation *g);

#endif
