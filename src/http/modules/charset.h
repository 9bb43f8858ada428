/* charset: names the charset of responses, and recodes them. */
#ifndef BL_HTTP_MODULES_CHARSET_H
#define BL_HTTP_MODULES_CHARSET_H

#include "http/http.h"

extern bl_module bl_charset_module;
extern const bl_filter bl_charset_filter; /* heads */
extern const bl_filter bl_recode_filter;  /* bodies */

#endif
