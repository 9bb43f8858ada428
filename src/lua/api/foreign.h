/* Functions of lua-nginx-module's C API for other modules that programs reach through the FFI, with
 * its names and types: shared dictionaries, read by name. */
#ifndef BL_LUA_API_FOREIGN_H
#define BL_LUA_API_FOREIGN_H

#include <stddef.h>
#include <stdint.h>

typedef struct bl_foreign_value {
    uint8_t type; /* 0 nil, 1 boolean, 3 number, 4 string */
    union {
        int boolean;
        double number;
        struct {
            size_t len; /* in: room at `data`; out: bytes there */
            char *data;
        } string;
    } value;
} bl_foreign_value;

/* The shared dictionary of that name; NULL: none. */
void *ngx_http_lua_find_zone(char *name, size_t len);
/* 0; -5: not there; -1: the string is too long for its room. */
intptr_t ngx_http_lua_shared_dict_get(void *zone, char *key, size_t len, bl_foreign_value *to);

#endif
