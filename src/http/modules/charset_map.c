#include "http/modules/charset_map.h"

#include <stdio.h>

/* Of a byte: what it becomes. Of a code point: a byte, in pages of 256 (0: unknown). */
struct bl_charset_map {
    bl_pool *pool;
    bool from_utf8, to_utf8;
    struct {
        unsigned char len;
        char bytes[4];
    } of_byte[256];
    unsigned char *pages[256]; /* of the basic plane */
};

enum {
    ENTITY_MAX = 10, /* &#1114111; */
};

bl_charset_map *bl_charset_map_new(bl_pool *pool, bool from_utf8, bool to_utf8)
{
    bl_charset_map *map = BL_NEW(pool, bl_charset_map);

    map->pool = pool;
    map->from_utf8 = from_utf8;
    map->to_utf8 = to_utf8;
    for (int i = 0; i < 256; i++) {
        map->of_byte[i].len = 1;
        map->of_byte[i].bytes[0] = (char)(i < 128 ? i : '?');
    }
    return map;
}

/* Length of a UTF-8 sequence by its first byte; 0: no such. */
static int sequence_len(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0)
        return 2;
    if (first >= 0xe0 && first < 0xf0)
        return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

static uint32_t decode(const unsigned char *p, int len)
{
    uint32_t code = len == 1 ? p[0] : p[0] & (0xffu >> (len + 1));

    for (int i = 1; i < len; i++)
        code = code << 6 | (p[i] & 0x3f);
    return code;
}

static bool is_sequence(bl_str s)
{
    if (s.len == 0 || (size_t)sequence_len((unsigned char)s.p[0]) != s.len)
        return false;
    for (size_t i = 1; i < s.len; i++) {
        if (((unsigned char)s.p[i] & 0xc0) != 0x80)
            return false;
    }
    return true;
}

bool bl_charset_map_add(bl_charset_map *map, bl_str from, bl_str to)
{
    if (!(map->from_utf8 ? is_sequence(from) : from.len == 1) ||
        !(map->to_utf8 ? is_sequence(to) : to.len == 1))
        return false;
    if (!map->from_utf8) {
        unsigned char byte = (unsigned char)from.p[0];
        map->of_byte[byte].len = (unsigned char)to.len;
        memcpy(map->of_byte[byte].bytes, to.p, to.len);
        return true;
    }
    uint32_t code = decode((const unsigned char *)from.p, (int)from.len);
    if (code > 0xffff)
        return false;
    unsigned char **page = &map->pages[code >> 8];
    if (*page == NULL)
        *page = bl_pool_zalloc(map->pool, 256);
    (*page)[code & 255] = (unsigned char)to.p[0];
    return true;
}

bool bl_charset_map_keeps_length(const bl_charset_map *map)
{
    return !map->from_utf8 && !map->to_utf8;
}

size_t bl_charset_map_room(const bl_charset_map *map, size_t len)
{
    return bl_charset_map_keeps_length(map) ? len : (len + 4) * 4 + ENTITY_MAX;
}

/* ------------------------------------------------------------- recoding */

static char *recode_bytes(const bl_charset_map *map, bl_str s, char *to)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.p[i];
        int len = map->of_byte[byte].len;
        for (int j = 0; j < len; j++)
            *to++ = map->of_byte[byte].bytes[j];
    }
    return to;
}

/* A character that the charset lacks becomes a numeric entity. */
static char *put_code(const bl_charset_map *map, uint32_t code, char *to)
{
    const unsigned char *page = code <= 0xffff ? map->pages[code >> 8] : NULL;

    if (page && page[code & 255]) {
        *to++ = (char)page[code & 255];
        return to;
    }
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    to = bl_str_put(to, BL_STR("&#"));
    to = bl_u64_write(to, code);
    *to++ = ';';
    return to;
}

static char *recode_utf8(const bl_charset_map *map, bl_charset_state *state, bl_str s, char *to)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.p[i];
        bool goes_on = state->count > 0 && (byte & 0xc0) == 0x80;
        if (state->count > 0 && !goes_on) { /* broken off: what it began with is nothing */
            *to++ = '?';
            state->count = 0;
        }
        if (!goes_on && sequence_len(byte) == 0) {
            *to++ = '?';
            continue;
        }
        state->bytes[state->count++] = byte;
        int len = sequence_len(state->bytes[0]);
        if (state->count == len) {
            to = put_code(map, decode(state->bytes, len), to);
            state->count = 0;
        }
    }
    return to;
}

char *bl_charset_map_recode(const bl_charset_map *map, bl_charset_state *state, bl_str s, char *to)
{
    return map->from_utf8 ? recode_utf8(map, state, s, to) : recode_bytes(map, s, to);
}
