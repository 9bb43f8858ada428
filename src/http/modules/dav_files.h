/* What WebDAV's methods do to files: whole trees removed and copied, a file put into a place. */
#ifndef BL_HTTP_MODULES_DAV_FILES_H
#define BL_HTTP_MODULES_DAV_FILES_H

#include "core/pool.h"

#include <sys/types.h>

/* Those that return int: 0, or an errno. Paths are zero-terminated. */

/* A file, or a folder and all that is in it. */
int bl_dav_remove(const char *path);
/* The same, copied; of a folder only the folder itself unless `deep`. Folders that are there
 * already are filled, files replaced. */
int bl_dav_copy(const char *from, const char *to, bool deep);
/* The file, or folder, gets another name; over to another file system by a copy. */
int bl_dav_move(const char *from, const char *to);
/* Are they the same file or folder, or is one of them a folder that the other is in? Links count as
 * what they lead to; `to` need not exist. */
bool bl_dav_overlap(const char *from, const char *to);
/* Folders on the way to `path` that are not there. */
int bl_dav_make_way(char *path, mode_t mode);

#endif
