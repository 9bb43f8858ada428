/* geo: a variable whose value depends on an address. */
#ifndef BL_HTTP_MODULES_GEO_H
#define BL_HTTP_MODULES_GEO_H

#include "http/http.h"

extern bl_module bl_geo_module;

#endif
