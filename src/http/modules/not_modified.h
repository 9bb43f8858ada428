/* Conditional requests: 304 and 412 (RFC 9110 section 13). */
#ifndef BL_HTTP_MODULES_NOT_MODIFIED_H
#define BL_HTTP_MODULES_NOT_MODIFIED_H

#include "http/http.h"

extern bl_module bl_not_modified_module;
extern const bl_filter bl_not_modified_filter;

/* Whether `etag` stands in the list of a field value ("*": any). Weak comparison ignores W/. */
bool bl_not_modified_has_etag(bl_str list, bl_str etag, bool weak);

#endif
