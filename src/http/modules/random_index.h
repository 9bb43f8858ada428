/* random_index: one of the files of a folder, by chance. */
#ifndef BL_HTTP_MODULES_RANDOM_INDEX_H
#define BL_HTTP_MODULES_RANDOM_INDEX_H

#include "http/http.h"

extern bl_module bl_random_index_module;

#endif
