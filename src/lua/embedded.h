/* The Lua libraries of lualib/, carried inside the binary, so that a server started with any prefix
 * has them: the files below PREFIX/lualib win, these are found when there is none. tools/embed
 * writes the table when the server is built. */
#ifndef BL_LUA_EMBEDDED_H
#define BL_LUA_EMBEDDED_H

#include "core/str.h"

typedef struct bl_embedded {
    const char *name;   /* as require() takes it: "resty.redis" */
    const char *source; /* Lua text; a zero follows, which the length does not count */
    size_t length;
} bl_embedded;

/* Ordered by name; an entry without name ends it. */
extern const bl_embedded bl_embedded_table[];
extern const size_t bl_embedded_count;

/* The library of that name, or NULL. */
const bl_embedded *bl_embedded_find(bl_str name);

#endif
