/* map: a variable whose value depends on another text. */
#ifndef BL_HTTP_MODULES_MAP_H
#define BL_HTTP_MODULES_MAP_H

#include "http/http.h"

extern bl_module bl_map_module;

#endif
