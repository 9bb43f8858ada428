/* gzip: responses compressed on the way out. */
#ifndef BL_HTTP_MODULES_GZIP_H
#define BL_HTTP_MODULES_GZIP_H

#include "http/http.h"

extern bl_module bl_gzip_module;
extern const bl_filter bl_gzip_filter;

/* "gzip" in a value of Accept-Encoding with a quality above 0 (RFC 9110 section 12.5.3). Pure. */
bool bl_gzip_is_taken(bl_str list);
/* Whether the client takes gzip and the gzip_ settings allow it for this request: also for files
 * that are compressed already (gzip_static). */
bool bl_gzip_is_ok(bl_request *r);

/* gzip_vary: adds "Vary: Accept-Encoding" where it is on. */
bool bl_gzip_has_vary(const bl_request *r);
void bl_gzip_add_vary(bl_request *r);

#endif
