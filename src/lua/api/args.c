#include "lua/api/args.h"
#include "http/escape.h"

#include <lauxlib.h>

/* ------------------------------------------------------------- encoding */

/* Text that grows in a pool. */
typedef struct text {
    bl_pool *pool;
    char *p;
    size_t len, size;
} text;

static void put(text *t, bl_str s)
{
    if (t->len + s.len > t->size) {
        size_t size = BL_MAX(t->size * 2, t->len + s.len + 64);
        char *p = bl_pool_bytes(t->pool, size);
        if (t->len)
            memcpy(p, t->p, t->len);
        t->p = p;
        t->size = size;
    }
    if (s.len)
        memcpy(t->p + t->len, s.p, s.len);
    t->len += s.len;
}

/* A copy of the value is converted: a number that is a key must stay one. */
static bl_str string_at(lua_State *L, int index)
{
    bl_str s;

    s.p = (char *)lua_tolstring(L, index, &s.len);
    return s;
}

static void put_pair(lua_State *L, text *t, bl_str key, int value)
{
    int type = lua_type(L, value);

    if (type == LUA_TBOOLEAN && !lua_toboolean(L, value))
        return;
    if (type != LUA_TBOOLEAN && type != LUA_TSTRING && type != LUA_TNUMBER)
        luaL_error(L, "attempt to use %s as query arg value", luaL_typename(L, value));
    if (t->len)
        put(t, BL_STR("&"));
    put(t, bl_escape_uri(t->pool, key, BL_ESCAPE_COMPONENT));
    if (type == LUA_TBOOLEAN)
        return;
    put(t, BL_STR("="));
    lua_pushvalue(L, value);
    put(t, bl_escape_uri(t->pool, string_at(L, -1), BL_ESCAPE_COMPONENT));
    lua_pop(L, 1);
}

bl_str bl_args_encode(lua_State *L, int index, bl_pool *pool)
{
    text t = {.pool = pool};

    lua_pushnil(L);
    while (lua_next(L, index)) {
        int value = lua_gettop(L);
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "attempt to use a non-string key in the \"args\" option table");
        bl_str key = string_at(L, -2);
        if (!lua_istable(L, value)) {
            put_pair(L, &t, key, value);
        } else {
            for (int i = 1, n = (int)lua_objlen(L, value); i <= n; i++) {
                lua_rawgeti(L, value, i);
                put_pair(L, &t, key, lua_gettop(L));
                lua_pop(L, 1);
            }
        }
        lua_pop(L, 1);
    }
    return t.p ? bl_str_of(t.p, t.len) : BL_STR("");
}

bl_str bl_args_from_lua(lua_State *L, int index, bl_pool *pool, const char *function)
{
    bl_str s;

    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
    case LUA_TSTRING:
        s.p = (char *)lua_tolstring(L, index, &s.len);
        return bl_pool_str(pool, s);
    case LUA_TTABLE:
        return bl_args_encode(L, index, pool);
    default:
        luaL_error(L, "bad argument #%d to '%s' (string, number, or table expected, but got %s)",
                   index, function, lua_typename(L, lua_type(L, index)));
        return BL_STR_NONE;
    }
}

/* ------------------------------------------------------------- decoding */

/* Decodes in place of a copy: %XX and + . */
static size_t decode(char *to, bl_str s)
{
    char *start = to;

    for (size_t i = 0; i < s.len; i++) {
        int64_t byte = -1;
        if (s.p[i] == '%' && i + 2 < s.len)
            byte = bl_str_to_hex(bl_str_of(s.p + i + 1, 2));
        if (byte >= 0)
            i += 2;
        *to++ = byte >= 0 ? (char)byte : s.p[i] == '+' ? ' ' : s.p[i];
    }
    return (size_t)(to - start);
}

static void push_decoded(lua_State *L, bl_str s)
{
    luaL_Buffer b;

    if (s.len <= LUAL_BUFFERSIZE) {
        luaL_buffinit(L, &b);
        luaL_addsize(&b, decode(luaL_prepbuffer(&b), s));
        luaL_pushresult(&b);
        return;
    }
    char *copy = lua_newuserdata(L, s.len);
    lua_pushlstring(L, copy, decode(copy, s));
    lua_remove(L, -2);
}

/* table[key] = value, or appends to what is there. Both are on top of the table, and popped. */
static void add_pair(lua_State *L)
{
    lua_pushvalue(L, -2);
    lua_rawget(L, -4);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_rawset(L, -3);
        return;
    }
    if (!lua_istable(L, -1)) { /* table key value old */
        lua_createtable(L, 4, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -2);
        lua_rawset(L, -6);
    }
    lua_insert(L, -2); /* table key list value */
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    lua_pop(L, 2);
}

bool bl_args_decode(lua_State *L, bl_str text, int max)
{
    char *at = text.p, *end = text.p + text.len;
    int count = 0;

    luaL_checkstack(L, 8, "too deep");
    while (at < end) {
        char *stop = memchr(at, '&', (size_t)(end - at));
        stop = stop ? stop : end;
        bl_str pair = bl_str_of(at, (size_t)(stop - at));
        ssize_t equals = bl_str_chr(pair, '=');
        bl_str key = equals < 0 ? pair : bl_str_of(pair.p, (size_t)equals);
        at = stop + 1;
        if (max && count == max)
            return false;
        count++;
        if (key.len == 0)
            continue;
        push_decoded(L, key);
        if (equals < 0)
            lua_pushboolean(L, true);
        else
            push_decoded(L, bl_str_of(key.p + key.len + 1, pair.len - key.len - 1));
        add_pair(L);
    }
    return true;
}

/* ------------------------------------------------------------- messages */

bl_str bl_lua_shown(bl_pool *pool, bl_str s)
{
    static const char hex[] = "0123456789ABCDEF";
    char *to = bl_pool_bytes(pool, s.len * 4 + 1), *at = to;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c != 0x7f && c != '"' && c != '\\') {
            *at++ = s.p[i];
            continue;
        }
        *at++ = '\\';
        *at++ = 'x';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    *at = '\0';
    return bl_str_of(to, (size_t)(at - to));
}
