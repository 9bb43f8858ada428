/* Lua values to JSON text, into one buffer that grows and is reused.
 *
 * What a table is, array or object, can only be told from all its keys. Reading them costs as much
 * as writing them, so it is not done twice where once will do: the first key decides how to start,
 *
 *     a string     an object, whatever follows
 *     1            probably an array: elements are written while the keys come as 1, 2, 3 …;
 *                  another key takes the text back and starts over the careful way
 *     another      the careful way: all keys first (classify), then the text
 *
 * Before an array's first element that is a table itself, the remaining keys are checked, so that
 * text which holds nested tables is never taken back and the work stays linear.
 *
 * Lua's stack holds, per level, the table, the current key and its value. A function here that
 * returns false has pushed a message. */
#include "lua/cjson_codec.h"
#include "lua/cjson_escape.h"
#include "lua/cjson_number.h"

#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

/* Strings are written in pieces, each with room for its longest possible form. */
#define PIECE 4096

#define FIRST_SIZE 4096

typedef struct encoder {
    char *p;   /* where the next byte goes */
    char *end; /* behind the buffer */
    lua_State *L;
    const bl_cjson *cjson;
    bl_cjson_buffer *buffer;
    int depth;
    bool skipped; /* the value just written has a type that is left out */
    char slash;   /* '/' when it is escaped, else a byte that is escaped anyway */
} encoder;

static bool put_value(encoder *e);

/* The buffer ------------------------------------------------------------------------------ */

void bl_cjson_buffer_free(bl_cjson_buffer *buffer)
{
    free(buffer->p);
    *buffer = (bl_cjson_buffer){0};
}

static BL_COLD void grow(encoder *e, size_t n)
{
    bl_cjson_buffer *buffer = e->buffer;
    size_t used = buffer->p ? (size_t)(e->p - buffer->p) : 0;
    size_t size = BL_MAX(buffer->size, FIRST_SIZE);
    char *p = NULL;

    while (size - used < n && size <= SIZE_MAX / 2)
        size *= 2;
    if (size - used >= n)
        p = realloc(buffer->p, size);
    if (!p) {
        buffer->busy = false;
        luaL_error(e->L, "not enough memory");
    }
    buffer->p = p;
    buffer->size = size;
    e->p = p + used;
    e->end = p + size;
}

/* Makes room for `n` more bytes. */
static inline void reserve(encoder *e, size_t n)
{
    if (BL_UNLIKELY((size_t)(e->end - e->p) < n))
        grow(e, n);
}

static inline void put_char(encoder *e, char c)
{
    reserve(e, 1);
    *e->p++ = c;
}

static inline void put_bytes(encoder *e, const char *p, size_t len)
{
    reserve(e, len);
    memcpy(e->p, p, len);
    e->p += len;
}

/* Uses the module's buffer, or, when that is in use (a finalizer ran in the middle of another
 * encode), a new one that Lua's stack keeps alive. */
static void open_buffer(encoder *e, bl_cjson *cjson)
{
    e->buffer = &cjson->buffer;
    if (BL_UNLIKELY(cjson->buffer.busy)) {
        e->buffer = lua_newuserdata(e->L, sizeof(bl_cjson_buffer));
        *e->buffer = (bl_cjson_buffer){0};
        luaL_getmetatable(e->L, BL_CJSON_BUFFER_MT);
        lua_setmetatable(e->L, -2);
        lua_insert(e->L, -2);
    }
    e->p = e->end = e->buffer->p;
    if (e->p)
        e->end += e->buffer->size;
    else
        grow(e, FIRST_SIZE);
    e->buffer->busy = true;
}

static void close_buffer(encoder *e, const bl_cjson *cjson)
{
    e->buffer->busy = false;
    if (!cjson->encode_keep_buffer || e->buffer != &cjson->buffer)
        bl_cjson_buffer_free(e->buffer);
}

/* Strings --------------------------------------------------------------------------------- */

static BL_COLD void put_long_string(encoder *e, const char *p, size_t len)
{
    put_char(e, '"');
    while (len > 0) {
        size_t n = BL_MIN(len, PIECE);
        reserve(e, BL_CJSON_ESCAPE_ROOM(n));
        e->p = bl_cjson_escape(e->p, p, n, e->slash);
        p += n, len -= n;
    }
    put_char(e, '"');
}

static inline void put_string(encoder *e, const char *p, size_t len)
{
    if (len > PIECE) {
        put_long_string(e, p, len);
        return;
    }
    reserve(e, BL_CJSON_ESCAPE_ROOM(len) + 2);
    char *to = e->p;
    *to++ = '"';
    to = bl_cjson_escape(to, p, len, e->slash);
    *to++ = '"';
    e->p = to;
}

/* Scalars --------------------------------------------------------------------------------- */

static BL_COLD bool fail_type(encoder *e, const char *reason, int index)
{
    lua_pushfstring(e->L, "Cannot serialise %s: %s", luaL_typename(e->L, index), reason);
    return false;
}

static BL_COLD bool put_odd_number(encoder *e, double x, int index)
{
    if (e->cjson->encode_invalid_numbers == BL_CJSON_REFUSE)
        return fail_type(e, "must not be NaN or Infinity", index);
    if (e->cjson->encode_invalid_numbers == BL_CJSON_AS_NULL)
        put_bytes(e, "null", 4);
    else if (isnan(x))
        put_bytes(e, "NaN", 3);
    else if (x < 0)
        put_bytes(e, "-Infinity", 9);
    else
        put_bytes(e, "Infinity", 8);
    return true;
}

static inline bool put_number(encoder *e, int index)
{
    double x = lua_tonumber(e->L, index);

    if (BL_UNLIKELY(!isfinite(x)))
        return put_odd_number(e, x, index);
    reserve(e, BL_CJSON_NUMBER_MAX);
    e->p = bl_cjson_number_print(e->p, x, e->cjson->encode_number_precision);
    return true;
}

/* A value without a JSON form: refused, or left out by whoever writes the table around it. */
static BL_COLD bool skip_value(encoder *e)
{
    e->skipped = true;
    return e->cjson->encode_skip_unsupported_value_types || fail_type(e, "type not supported", -1);
}

static bool put_pointer(encoder *e)
{
    const void *p = lua_touserdata(e->L, -1);

    if (p == NULL)
        put_bytes(e, "null", 4);
    else if (p == &bl_cjson_empty_array)
        put_bytes(e, "[]", 2);
    else
        return skip_value(e);
    return true;
}

/* Tables ---------------------------------------------------------------------------------- */

static BL_COLD void put_newline(encoder *e)
{
    put_char(e, '\n');
    for (int i = 0; i < e->depth; i++)
        put_bytes(e, e->cjson->indent, e->cjson->indent_len);
}

static inline void open_table(encoder *e, char bracket)
{
    put_char(e, bracket);
    e->depth++;
    if (BL_UNLIKELY(e->cjson->indent != NULL))
        put_newline(e);
}

static inline void put_comma(encoder *e)
{
    put_char(e, ',');
    if (BL_UNLIKELY(e->cjson->indent != NULL))
        put_newline(e);
}

/* Writes the closing bracket in the place of the last comma, or right behind the opening bracket
 * when all values were left out. */
static inline void close_table(encoder *e, char bracket)
{
    e->depth--;
    if (BL_LIKELY(e->cjson->indent == NULL)) {
        if (e->p[-1] == ',')
            e->p[-1] = bracket;
        else
            put_char(e, bracket);
        return;
    }
    char *p = e->p - 1 - e->cjson->indent_len * (size_t)(e->depth + 1);
    if (p[-1] == ',') {
        e->p = p - 1;
        put_newline(e);
    } else {
        e->p = p;
    }
    put_char(e, bracket);
}

static inline size_t offset(const encoder *e)
{
    return (size_t)(e->p - e->buffer->p);
}

/* Writes the value at the top, then a comma; nothing when the value is left out. */
static inline bool put_element(encoder *e)
{
    if (!put_value(e))
        return false;
    if (BL_UNLIKELY(e->skipped))
        e->skipped = false;
    else
        put_comma(e);
    return true;
}

/* Elements `from` to `to` of the table at `index`. */
static bool put_elements(encoder *e, int index, int from, int to)
{
    for (int i = from; i <= to; i++) {
        lua_rawgeti(e->L, index, i);
        if (!put_element(e))
            return false;
        lua_pop(e->L, 1);
    }
    return true;
}

static bool put_array(encoder *e, int length)
{
    int index = lua_gettop(e->L);

    if (length == 0) {
        put_bytes(e, "[]", 2);
        return true;
    }
    open_table(e, '[');
    if (!put_elements(e, index, 1, length))
        return false;
    close_table(e, ']');
    return true;
}

/* "key": for the key at `index`. */
static inline bool put_key(encoder *e, int index)
{
    int type = lua_type(e->L, index);
    size_t len;

    if (BL_LIKELY(type == LUA_TSTRING)) {
        const char *key = lua_tolstring(e->L, index, &len);
        put_string(e, key, len);
    } else if (type == LUA_TNUMBER) {
        put_char(e, '"');
        if (!put_number(e, index))
            return false;
        put_char(e, '"');
    } else {
        return fail_type(e, "table key must be a number or string", index);
    }
    put_char(e, ':');
    if (BL_UNLIKELY(e->cjson->indent != NULL))
        put_char(e, ' ');
    return true;
}

/* An object whose first key and value are on the stack already. */
static bool put_object(encoder *e)
{
    open_table(e, '{');
    do {
        size_t before = offset(e);
        if (!put_key(e, -2) || !put_value(e))
            return false;
        if (BL_UNLIKELY(e->skipped)) {
            e->skipped = false;
            e->p = e->buffer->p + before;
        } else {
            put_comma(e);
        }
        lua_pop(e->L, 1);
    } while (lua_next(e->L, -2));
    close_table(e, '}');
    return true;
}

/* The key at `index` as an array index, or 0. */
static inline int array_key(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TNUMBER)
        return 0;
    double x = lua_tonumber(L, index);
    return x >= 1 && x <= INT_MAX && x == (int)x ? (int)x : 0;
}

/* The array length of the table at the top, whose first key and value are on the stack and are
 * popped: its largest key when all keys are positive integers, else -1. `count` gets how many keys
 * there are. */
static int classify(encoder *e, int *count)
{
    lua_State *L = e->L;
    int largest = 0;

    *count = 0;
    do {
        int key = array_key(L, -2);
        lua_pop(L, 1);
        if (!key) {
            lua_pop(L, 1);
            return -1;
        }
        largest = BL_MAX(largest, key);
        ++*count;
    } while (lua_next(L, -2));
    return largest;
}

static bool is_sparse(const bl_cjson *cjson, int length, int count)
{
    return cjson->sparse_ratio > 0 && length > cjson->sparse_safe &&
           length > (int64_t)count * cjson->sparse_ratio;
}

/* The careful way; the first key and value are on the stack. */
static BL_COLD bool put_classified(encoder *e)
{
    lua_State *L = e->L;
    int count;
    int length = classify(e, &count);

    if (length > 0) {
        if (!is_sparse(e->cjson, length, count))
            return put_array(e, length);
        if (!e->cjson->sparse_convert)
            return fail_type(e, "excessively sparse array", -1);
    }
    lua_pushnil(L);
    lua_next(L, -2);
    return put_object(e);
}

/* Whether the keys behind the current one, `key`, go on by one each. Returns the last, or 0. */
static int sequence_end(lua_State *L, int key)
{
    lua_pushinteger(L, key);
    while (lua_next(L, -4)) {
        lua_pop(L, 1);
        if (lua_tonumber(L, -1) != key + 1 || lua_type(L, -1) != LUA_TNUMBER) {
            lua_pop(L, 1);
            return 0;
        }
        key++;
    }
    return key;
}

/* A table whose first key is 1; key and value are on the stack. */
static bool put_sequence(encoder *e)
{
    lua_State *L = e->L;
    size_t start = offset(e);
    int index = lua_gettop(L) - 2;
    int key = 1;

    open_table(e, '[');
    for (;;) {
        if (lua_type(L, -1) == LUA_TTABLE) {
            int last = sequence_end(L, key);
            if (!last)
                break;
            lua_pop(L, 2);
            if (!put_elements(e, index, key, last))
                return false;
            close_table(e, ']');
            return true;
        }
        if (!put_element(e))
            return false;
        lua_pop(L, 1);
        if (!lua_next(L, index)) {
            close_table(e, ']');
            return true;
        }
        if (lua_type(L, -2) != LUA_TNUMBER || lua_tonumber(L, -2) != ++key)
            break;
    }
    e->depth--;
    e->p = e->buffer->p + start;
    lua_settop(L, index);
    lua_pushnil(L);
    lua_next(L, -2);
    return put_classified(e);
}

static void put_empty(encoder *e, bool array)
{
    if (array || !e->cjson->encode_empty_table_as_object)
        put_bytes(e, "[]", 2);
    else
        put_bytes(e, "{}", 2);
}

static bool put_members(encoder *e)
{
    lua_State *L = e->L;
    bool empty_is_array = false;

    if (lua_getmetatable(L, -1)) {
        const void *mt = lua_topointer(L, -1);
        lua_pop(L, 1);
        if (mt == e->cjson->array_mt)
            return put_array(e, (int)lua_objlen(L, -1));
        empty_is_array = mt == e->cjson->empty_array_mt;
    }
    lua_pushnil(L);
    if (!lua_next(L, -2)) {
        put_empty(e, empty_is_array);
        return true;
    }
    if (lua_type(L, -2) == LUA_TSTRING)
        return put_object(e);
    if (lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) == 1)
        return put_sequence(e);
    return put_classified(e);
}

static bool put_table(encoder *e)
{
    if (e->depth >= e->cjson->encode_max_depth || !lua_checkstack(e->L, 8)) {
        lua_pushfstring(e->L, "Cannot serialise, excessive nesting (%d)", e->depth + 1);
        return false;
    }
    return put_members(e);
}

static bool put_value(encoder *e)
{
    const char *p;
    size_t len;

    switch (lua_type(e->L, -1)) {
    case LUA_TSTRING:
        p = lua_tolstring(e->L, -1, &len);
        put_string(e, p, len);
        return true;
    case LUA_TNUMBER:
        return put_number(e, -1);
    case LUA_TTABLE:
        return put_table(e);
    case LUA_TBOOLEAN:
        if (lua_toboolean(e->L, -1))
            put_bytes(e, "true", 4);
        else
            put_bytes(e, "false", 5);
        return true;
    case LUA_TNIL:
        put_bytes(e, "null", 4);
        return true;
    case LUA_TLIGHTUSERDATA:
        return put_pointer(e);
    default:
        return skip_value(e);
    }
}

bool bl_cjson_encode(lua_State *L, bl_cjson *cjson)
{
    encoder e = {.L = L, .cjson = cjson, .slash = cjson->encode_escape_forward_slash ? '/' : '"'};
    int top = lua_gettop(L);

    open_buffer(&e, cjson);
    bool good = put_value(&e);
    if (good)
        lua_pushlstring(L, e.buffer->p, offset(&e));
    close_buffer(&e, cjson);
    lua_replace(L, top);
    lua_settop(L, top);
    return good;
}
