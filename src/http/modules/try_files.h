/* try_files: the first of several files that exists, or somewhere else. */
#ifndef BL_HTTP_MODULES_TRY_FILES_H
#define BL_HTTP_MODULES_TRY_FILES_H

#include "http/http.h"

extern bl_module bl_try_files_module;

#endif
