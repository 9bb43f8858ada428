/* valid_referers and $invalid_referer. See referer.c. */
#ifndef BL_HTTP_MODULES_REFERER_H
#define BL_HTTP_MODULES_REFERER_H

#include "conf/conf.h"

extern bl_module bl_referer_module;

#endif
