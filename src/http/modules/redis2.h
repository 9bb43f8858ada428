/* redis2_pass: a location that asks a Redis server. See redis2.c. */
#ifndef BL_HTTP_MODULES_REDIS2_H
#define BL_HTTP_MODULES_REDIS2_H

#include "conf/conf.h"

extern bl_module bl_redis2_module;

#endif
