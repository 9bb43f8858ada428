/* add_header, expires, add_trailer. */
#ifndef BL_HTTP_MODULES_HEADERS_H
#define BL_HTTP_MODULES_HEADERS_H

#include "http/http.h"

extern bl_module bl_headers_module;
extern const bl_filter bl_headers_filter;  /* heads */
extern const bl_filter bl_trailers_filter; /* bodies */

#endif
