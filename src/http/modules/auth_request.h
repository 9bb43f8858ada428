/* auth_request: access by the result of a subrequest. */
#ifndef BL_HTTP_MODULES_AUTH_REQUEST_H
#define BL_HTTP_MODULES_AUTH_REQUEST_H

#include "http/http.h"

extern bl_module bl_auth_request_module;

#endif
