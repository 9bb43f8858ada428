/* secure_link: links that prove where they come from, and end. */
#ifndef BL_HTTP_MODULES_SECURE_LINK_H
#define BL_HTTP_MODULES_SECURE_LINK_H

#include "http/http.h"

extern bl_module bl_secure_link_module;

#endif
