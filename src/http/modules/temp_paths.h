/* fastcgi_temp_path, uwsgi_temp_path, scgi_temp_path. */
#ifndef BL_HTTP_MODULES_TEMP_PATHS_H
#define BL_HTTP_MODULES_TEMP_PATHS_H

#include "http/http.h"

extern bl_module bl_temp_paths_module;

#endif
