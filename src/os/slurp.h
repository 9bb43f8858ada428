/* A whole file in memory. */
#ifndef BL_OS_SLURP_H
#define BL_OS_SLURP_H

#include "core/pool.h"

/* Reads the file at `path` into the pool; a zero byte follows that the length does not count.
 * Returns 0 or an errno; EFBIG: more than `max` bytes; EISDIR: not a regular file (nor a character
 * device, such as /dev/null). Never waits: a FIFO is refused. */
int bl_slurp(bl_pool *pool, const char *path, size_t max, bl_str *text);

#endif
