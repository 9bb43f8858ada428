/* The variables that every configuration has. */
#ifndef BL_HTTP_CORE_VARS_H
#define BL_HTTP_CORE_VARS_H

#include "http/http.h"

bool bl_core_vars_define(bl_conf *cf);

#endif
