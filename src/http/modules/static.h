/* Files. */
#ifndef BL_HTTP_MODULES_STATIC_H
#define BL_HTTP_MODULES_STATIC_H

#include "http/http.h"

extern bl_module bl_static_module;

#endif
