/* The http{} block: the module of the main context that reads it. */
#ifndef BL_HTTP_HTTP_BLOCK_H
#define BL_HTTP_HTTP_BLOCK_H

#include "http/http.h"

extern bl_module bl_http_block_module;

static inline bl_http *bl_http_of(bl_conf *cf)
{
    return cf->generation->http;
}

#endif
