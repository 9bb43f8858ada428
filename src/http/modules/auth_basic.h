/* auth_basic: user name and password (RFC 7617). */
#ifndef BL_HTTP_MODULES_AUTH_BASIC_H
#define BL_HTTP_MODULES_AUTH_BASIC_H

#include "http/http.h"

extern bl_module bl_auth_basic_module;

/* The hash on the line of `user` in the text of a file of users; a second colon ends it. Pure. */
bool bl_auth_basic_find(bl_str text, bl_str user, bl_str *hash);
/* Whether the hash is one of the password: {PLAIN}, {SHA}, {SSHA}, $apr1$, or of crypt(3). */
bool bl_auth_basic_matches(bl_pool *pool, bl_log *log, bl_str password, bl_str hash);

#endif
