/* autoindex: listings of folders. */
#ifndef BL_HTTP_MODULES_AUTOINDEX_H
#define BL_HTTP_MODULES_AUTOINDEX_H

#include "http/http.h"

extern bl_module bl_autoindex_module;

#endif
