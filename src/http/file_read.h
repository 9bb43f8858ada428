/* Reading pieces of files into memory: at once, or (`aio`) in a thread; around the page cache, too
 * (`directio`).
 *
 * Used by what sends files. The memory of a read that is under way in a thread belongs to the read:
 * a request that ends meanwhile leaves it behind. */
#ifndef BL_HTTP_FILE_READ_H
#define BL_HTTP_FILE_READ_H

#include "http/request.h"

struct bl_thread_pool;

typedef struct bl_file_reader {
    bl_request *r;
    bl_str path; /* for the log */
    int fd;
    size_t alignment;            /* of offsets, lengths and memory; 0: any */
    struct bl_thread_pool *pool; /* NULL: the loop reads */
    struct bl_file_job *job;     /* under way, or NULL */
    /* A piece has come from a thread: NULL after an error, which was logged. */
    void (*arrived)(struct bl_file_reader *reader, bl_buf *piece);
    void *owner;
} bl_file_reader;

/* `r`, `path` and `arrived` are set: has it read the file `fd` of `size` bytes as the location
 * says. BL_NEXT, or the status to answer with. */
bl_step bl_file_reader_open(bl_file_reader *reader, int fd, off_t size);

/* Up to `size` bytes from `at`, at least one; a file that ends there is an error.
 *
 *   BL_OK     *piece has them
 *   BL_AGAIN  `arrived` will be called; once at a time
 *   BL_ERROR  logged */
bl_status bl_file_reader_read(bl_file_reader *reader, off_t at, size_t size, bl_buf **piece);
/* The same for sendfile: sees to it that the bytes are in the page cache; the piece has none. */
bl_status bl_file_reader_warm(bl_file_reader *reader, off_t at, size_t size, bl_buf **piece);

#endif
