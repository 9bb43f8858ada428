/* set_escape_uri, set_md5 … : variables from other texts. See set_misc.c. */
#ifndef BL_HTTP_MODULES_SET_MISC_H
#define BL_HTTP_MODULES_SET_MISC_H

#include "conf/conf.h"

extern bl_module bl_set_misc_module;

/* A directive's function: the new text, in the pool. p NULL: there is none (undecodable). */
typedef bl_str (*bl_set_misc_fn)(bl_pool *pool, bl_str text);

/* Of a directive of one text, by its name; NULL when there is none of that name. */
bl_set_misc_fn bl_set_misc_find(bl_str name);

#endif
