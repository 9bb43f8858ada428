/* memc_pass: a location that is a memcached client. See memc.c. */
#ifndef BL_HTTP_MODULES_MEMC_H
#define BL_HTTP_MODULES_MEMC_H

#include "conf/conf.h"

extern bl_module bl_memc_module;

#endif
