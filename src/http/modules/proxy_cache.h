/* proxy_cache and its kin. See proxy_cache.c. */
#ifndef BL_HTTP_MODULES_PROXY_CACHE_H
#define BL_HTTP_MODULES_PROXY_CACHE_H

#include "conf/conf.h"

extern bl_module bl_proxy_cache_module;

#endif
