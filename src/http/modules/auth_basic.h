/* auth_basic: user name and password (RFC 7617). */
#ifndef BL_HTTP_MODULES_AUTH_BASIC_H
#define BL_HTTP_MODULES_AUTH_BASIC_H

#include "http/http.h"

extern bl_module bl_auth_basic_module;

#endif
