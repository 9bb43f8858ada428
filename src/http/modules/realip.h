/* realip: the client's address as trusted proxies tell it. */
#ifndef BL_HTTP_MODULES_REALIP_H
#define BL_HTTP_MODULES_REALIP_H

#include "http/http.h"

extern bl_module bl_realip_module;

#endif
