/* Opening the files that requests are answered from: what a path is, a descriptor for it, and why
 * there is none. Behind it, where open_file_cache says so, a cache of descriptors and of failures.
 */
#ifndef BL_HTTP_OPEN_FILE_H
#define BL_HTTP_OPEN_FILE_H

#include "http/request.h"

#include <sys/stat.h>

extern bl_module bl_open_file_module;

typedef struct bl_open_file_info {
    int fd; /* of a regular file, closed with the request; -1: a directory, or only looked at */
    mode_t mode;
    off_t size;
    time_t mtime;
    ino_t ino;
    dev_t dev;
    int err;            /* errno of a failure */
    const char *failed; /* the call that failed: "open()" */
} bl_open_file_info;

enum {
    BL_OPEN_FILE_TEST = 1, /* only what it is: no descriptor is needed */
};

/* Opens the file at `path` (zero-terminated) as the request's location says. False: info->err. */
bool bl_open_file_get(bl_request *r, bl_str path, int how, bl_open_file_info *info);

/* Logs a failure; returns the status that tells the client: 404, 403 or 500. */
int bl_open_file_status(bl_request *r, bl_str path, const bl_open_file_info *info);

/* Whether requests of this location may be answered from memory validated by one stat(): no cache
 * of descriptors and no rule about symbolic links stands between. */
bool bl_open_file_is_plain(const bl_request *r);

#endif
