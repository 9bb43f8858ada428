/* The core's own steps between those of the modules. */
#ifndef BL_HTTP_PHASES_H
#define BL_HTTP_PHASES_H

#include "http/request.h"

/* Places within a phase; handlers of modules run in this order. */
enum {
    BL_PLACE_REWRITE = 10,      /* rewrite, set, if, return */
    BL_PLACE_LUA_REWRITE = 200, /* rewrite_by_lua: at the end */
    BL_PLACE_SSL = 1,           /* client certificates, misdirected requests */
    BL_PLACE_REALIP = 5,
    BL_PLACE_LUA_SERVER_REWRITE = 9, /* in front of the directives of rewrite */
    BL_PLACE_LIMIT_CONN = 20,
    BL_PLACE_LIMIT_REQ = 30,
    BL_PLACE_ACCESS = 10,
    BL_PLACE_AUTH_BASIC = 20,
    BL_PLACE_AUTH_REQUEST = 30,
    BL_PLACE_LUA_ACCESS = 200,
    BL_PLACE_SRCACHE = 220, /* behind all that may refuse */
    BL_PLACE_TRY_FILES = 10,
    BL_PLACE_MIRROR = 20,
    BL_PLACE_LUA_PRECONTENT = 200,
    BL_PLACE_CONTENT = 1, /* the one content handler */
    BL_PLACE_DAV = 10,
    BL_PLACE_INDEX = 20,
    BL_PLACE_AUTOINDEX = 30,
    BL_PLACE_GZIP_STATIC = 40,
    BL_PLACE_STATIC = 100,
    BL_PLACE_LUA_LOG = 10,
    BL_PLACE_LOG = 100,
};

/* Adds what the gathered handlers of `loc` need between them. */
void bl_phases_add_core_steps(bl_conf *cf, bl_location *loc, bl_array *handlers);

/* The last step of every program: 404, or 403 for the index of a directory. */
bl_step bl_phase_no_content(bl_request *r);

#endif
