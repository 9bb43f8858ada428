/* Reading a request body: into memory while it fits client_body_buffer_size, else into a temporary
 * file; or piece by piece for those who stream it (proxy_request_buffering off, ngx.req.socket). */
#ifndef BL_HTTP_BODY_H
#define BL_HTTP_BODY_H

#include "http/request.h"

/* Reads all of it. BL_NEXT: it is there (r->body.data). BL_WAIT: `then` will be called with
 * BL_NEXT, or the status to answer (413, 400, 408, 500), or BL_CLOSE; from then on it is the
 * caller's to wake the request. A status at once when it is already known to be bad. A second
 * caller of a body that has been read gets BL_NEXT. */
bl_step bl_body_read(bl_request *r, void (*then)(bl_request *r, bl_step step));

/* Asks for a single file or a single buffer instead of pieces, before bl_body_read. */
enum {
    BL_BODY_IN_FILE_ONLY = 1,
    BL_BODY_IN_SINGLE_BUFFER = 2,
    BL_BODY_CLEAN_FILE = 4
};
void bl_body_want(bl_request *r, int how);

/* Streams: the next piece as it comes. BL_OK: `to` holds bytes good until the next call, *end when
 * it was the last; BL_AGAIN: `ready` will be called; BL_ERROR: *status. */
bl_status bl_body_stream(bl_request *r, bl_str *to, bool *end, int *status,
                         void (*ready)(bl_request *r));

/* For a handler that has no use for the body, before it answers: what has come of it is looked at,
 * a client that waits for a 100 gets it, and the rest is dropped at the end of the exchange as far
 * as the connection is worth it. BL_NEXT, or the status of a body that is malformed. */
bl_step bl_body_discard(bl_request *r);

/* The whole body as one string in the request's pool; false: it is in a file (or not read). */
bool bl_body_string(bl_request *r, bl_str *to);
/* Replaces the body (ngx.req.set_body_data, proxy_set_body). */
void bl_body_set(bl_request *r, bl_str data);

/* A temporary file under one of the *_temp_path settings. */
typedef struct bl_temp_path {
    bl_str path; /* absolute */
    int levels[3];
} bl_temp_path;

typedef struct bl_temp_file {
    int fd;
    off_t size;
    bl_str path;
    bool keep; /* not removed with the request */
} bl_temp_file;

extern const bl_type bl_type_temp_path; /* bl_temp_path * */

/* Made and opened on first use, removed with the pool. NULL: an error was logged (disk full is
 * said). */
bl_temp_file *bl_temp_file_new(bl_request *r, const bl_temp_path *path, bool keep);
bool bl_temp_file_write(bl_request *r, bl_temp_file *file, bl_str bytes);

#endif
