/* srcache_fetch, srcache_store: a cache made of subrequests. See srcache.c. */
#ifndef BL_HTTP_MODULES_SRCACHE_H
#define BL_HTTP_MODULES_SRCACHE_H

#include "http/http.h"

extern bl_module bl_srcache_module;
extern const bl_filter bl_srcache_filter;

/* A stored response taken apart: field lines, with the empty one behind them, and the body. False:
 * it does not begin as a response does. Pure. */
bool bl_srcache_parse(bl_str text, int *status, bl_str *fields, bl_str *body);

#endif
