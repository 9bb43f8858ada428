/* The module to copy. */
#ifndef BL_HTTP_MODULES_SKELETON_H
#define BL_HTTP_MODULES_SKELETON_H

#include "http/http.h"

extern bl_module bl_skeleton_module;
extern const bl_filter bl_skeleton_filter;

#endif
