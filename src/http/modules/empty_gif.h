/* empty_gif: a transparent image of one pixel. */
#ifndef BL_HTTP_MODULES_EMPTY_GIF_H
#define BL_HTTP_MODULES_EMPTY_GIF_H

#include "http/http.h"

extern bl_module bl_empty_gif_module;

#endif
