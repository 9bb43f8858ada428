/* Recoding between a single-byte charset and another, or UTF-8, by tables of the configuration. */
#ifndef BL_HTTP_MODULES_CHARSET_MAP_H
#define BL_HTTP_MODULES_CHARSET_MAP_H

#include "core/buf.h"

typedef struct bl_charset_map bl_charset_map;

/* An empty map of one direction: ASCII stands for itself, nothing else is known. */
bl_charset_map *bl_charset_map_new(bl_pool *pool, bool from_utf8, bool to_utf8);
/* One character: its bytes on both sides (one byte, or a UTF-8 sequence). False: not such. */
bool bl_charset_map_add(bl_charset_map *map, bl_str from, bl_str to);

/* Whether lengths stay what they are. */
bool bl_charset_map_keeps_length(const bl_charset_map *map);

/* What recoding remembers between pieces: a UTF-8 sequence that a piece broke off. */
typedef struct bl_charset_state {
    unsigned char bytes[4];
    int count;
} bl_charset_state;

/* Most bytes that `len` bytes can become. */
size_t bl_charset_map_room(const bl_charset_map *map, size_t len);
/* Recodes `s` to `to`; returns the end. */
char *bl_charset_map_recode(const bl_charset_map *map, bl_charset_state *state, bl_str s, char *to);

#endif
