/* The user and password that a request offers (RFC 7617). */
#ifndef BL_HTTP_CREDENTIALS_H
#define BL_HTTP_CREDENTIALS_H

#include "http/request.h"

/* From "Authorization: Basic BASE64", in the request's pool. False: none that could be understood.
 */
bool bl_credentials(bl_request *r, bl_str *user, bl_str *password);

#endif
