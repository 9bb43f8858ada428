/* allow and deny: who may ask, by address. */
#ifndef BL_HTTP_MODULES_ACCESS_H
#define BL_HTTP_MODULES_ACCESS_H

#include "http/http.h"

extern bl_module bl_access_module;

#endif
