/* access_log and log_format. */
#ifndef BL_HTTP_MODULES_ACCESS_LOG_H
#define BL_HTTP_MODULES_ACCESS_LOG_H

#include "http/http.h"

extern bl_module bl_access_log_module;

#endif
