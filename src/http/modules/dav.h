/* dav_methods: PUT, DELETE, MKCOL, COPY, MOVE on files. See dav.c. */
#ifndef BL_HTTP_MODULES_DAV_H
#define BL_HTTP_MODULES_DAV_H

#include "conf/conf.h"

extern bl_module bl_dav_module;

#endif
