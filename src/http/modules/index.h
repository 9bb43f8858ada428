/* index: the file that stands for a folder. */
#ifndef BL_HTTP_MODULES_INDEX_H
#define BL_HTTP_MODULES_INDEX_H

#include "http/http.h"

extern bl_module bl_index_module;

#endif
