/* more_set_headers and its relatives: fields of requests and responses, set and cleared. */
#ifndef BL_HTTP_MODULES_HEADERS_MORE_H
#define BL_HTTP_MODULES_HEADERS_MORE_H

#include "http/http.h"

extern bl_module bl_headers_more_module;
extern const bl_filter bl_headers_more_filter; /* heads */

#endif
