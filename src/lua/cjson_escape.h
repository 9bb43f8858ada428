/* Escapes in JSON strings, both ways. Most strings have none: for writing, sixteen or eight bytes
 * at a time are looked at and copied, and only a hit is looked at closely. */
#ifndef BL_LUA_CJSON_ESCAPE_H
#define BL_LUA_CJSON_ESCAPE_H

#include "core/base.h"

/* Room for `len` bytes: each may become \u00XX, and the copying overshoots. */
#define BL_CJSON_ESCAPE_ROOM(len) ((len)*6 + 16)

/* Writes the `len` bytes at `p`, escaped but without the quotes, to `to`, which has the room said
 * above. Escaped are quote, backslash, 0 to 31, 127, and '/' when `slash` is '/'; otherwise `slash`
 * is any byte that is escaped anyway. Returns the end. */
char *bl_cjson_escape(char *to, const char *p, size_t len, char slash);

/* The code point of the \uXXXX at `*p`, or of the surrogate pair of two; moves `*p` behind it.
 * -1 when it is none. */
int bl_cjson_unicode(const char **p);

/* What the escape of one letter stands for; 0 when there is no such escape. */
char bl_cjson_escape_value(char c);

#endif
