/* *_store: responses are kept as files.
 *
 * The body is written to a temporary file while it passes; when it is whole, the file is moved to
 * its name, with the access of *_store_access and the time of Last-Modified. Only responses of
 * status 200 that are buffered, and none to HEAD. Whatever fails is logged, and the client gets its
 * response all the same. */
#ifndef BL_HTTP_UPSTREAM_STORE_H
#define BL_HTTP_UPSTREAM_STORE_H

#include "http/upstream/upstream.h"

typedef struct bl_store_setting {
    bl_value *path; /* NULL: by root or alias */
} bl_store_setting;

/* on | off | PATH: bl_store_setting *, NULL is off. user:rw group:r all:r: int64_t, mode bits. */
extern const bl_type bl_type_store, bl_type_store_access;

/* Before the body: u->store, if this response is to be kept. */
void bl_upstream_store_begin(bl_upstream *u);
void bl_upstream_store_add(bl_upstream *u, bl_str bytes);
/* The body is whole. */
void bl_upstream_store_end(bl_upstream *u);

#endif
