/* $upstream_addr, $upstream_status … : what the tries of a request came to. */
#ifndef BL_HTTP_UPSTREAM_UPSTREAM_VARS_H
#define BL_HTTP_UPSTREAM_UPSTREAM_VARS_H

#include "conf/conf.h"

bool bl_upstream_vars_define(bl_conf *cf);

#endif
