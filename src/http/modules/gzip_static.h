/* gzip_static: files that were compressed beforehand. */
#ifndef BL_HTTP_MODULES_GZIP_STATIC_H
#define BL_HTTP_MODULES_GZIP_STATIC_H

#include "http/http.h"

extern bl_module bl_gzip_static_module;

#endif
