/* The value of a Set-Cookie field (RFC 6265 section 5.2), cut up to be changed. Pure. */
#ifndef BL_HTTP_MODULES_SET_COOKIE_H
#define BL_HTTP_MODULES_SET_COOKIE_H

#include "core/array.h"

typedef struct bl_set_cookie {
    bl_str first;        /* name=value */
    bl_array attributes; /* bl_str, without white space in front */
} bl_set_cookie;

/* Cuts at the semicolons. */
void bl_set_cookie_cut(bl_pool *pool, bl_str value, bl_set_cookie *cookie);
/* The name of an attribute, or of the cookie: what is in front of the '='. */
bl_str bl_set_cookie_name(bl_str attribute);
/* Takes away all attributes of that name. */
void bl_set_cookie_drop(bl_set_cookie *cookie, bl_str name);
void bl_set_cookie_add(bl_set_cookie *cookie, bl_str attribute);
bl_str bl_set_cookie_join(bl_pool *pool, const bl_set_cookie *cookie);

#endif
