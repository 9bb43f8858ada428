/* gunzip: decompresses responses for clients that do not take gzip. */
#ifndef BL_HTTP_MODULES_GUNZIP_H
#define BL_HTTP_MODULES_GUNZIP_H

#include "http/http.h"

extern bl_module bl_gunzip_module;
extern const bl_filter bl_gunzip_filter;

#endif
