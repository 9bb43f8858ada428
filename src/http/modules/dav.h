/* dav_methods: PUT, DELETE, MKCOL, COPY, MOVE on files. See dav.c. */
#ifndef BL_HTTP_MODULES_DAV_H
#define BL_HTTP_MODULES_DAV_H

#include "conf/conf.h"

extern bl_module bl_dav_module;

typedef enum bl_dav_destination_result {
    BL_DAV_HERE,
    BL_DAV_ELSEWHERE, /* on another host */
    BL_DAV_UNSAFE,    /* no path, or one that climbs */
} bl_dav_destination_result;

/* The path, decoded and normalized as a request's, of a Destination field: "http://host:port/path"
 * or
 * "/path" (RFC 4918 section 10.3). Pure. */
bl_dav_destination_result bl_dav_destination(bl_pool *pool, bl_str value, bl_str host,
                                             bool merge_slashes, bl_str *uri);

#endif
