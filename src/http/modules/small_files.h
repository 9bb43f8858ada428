/* The contents of small files, kept by each worker (bet 6): a file of at most BL_SMALL_FILE_MAX
 * bytes is answered with one stat() and no open, read or close. */
#ifndef BL_HTTP_MODULES_SMALL_FILES_H
#define BL_HTTP_MODULES_SMALL_FILES_H

#include "http/open_file.h"

enum {
    BL_SMALL_FILE_MAX = 16 * 1024,
    BL_SMALL_FILES_TOTAL = 16 * 1024 * 1024, /* bytes of all contents; the least recently used go */
};

typedef struct bl_small_file bl_small_file;

/* The file at `path` as it is now: `st` is what stat() has just said about it. NULL: not kept, or
 * changed since. */
bl_small_file *bl_small_file_find(bl_str path, const struct stat *st);

/* Reads and keeps the file open as `fd`. NULL when it is too large, can't be read whole, or was
 * changed so recently that another change might bear the same time; with `at_hand` also when the
 * read would have to wait for the disk. */
bl_small_file *bl_small_file_read(bl_str path, int fd, bool at_hand);

off_t bl_small_file_size(const bl_small_file *f);
/* A piece of body with the contents; the file is kept alive until it is done. */
bl_buf *bl_small_file_body(bl_pool *pool, bl_small_file *f);

#endif
