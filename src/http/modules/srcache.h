/* srcache_fetch, srcache_store: a cache made of subrequests. See srcache.c. */
#ifndef BL_HTTP_MODULES_SRCACHE_H
#define BL_HTTP_MODULES_SRCACHE_H

#include "http/http.h"

extern bl_module bl_srcache_module;
extern const bl_filter bl_srcache_filter;

#endif
