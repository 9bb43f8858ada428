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

/* One argument of a query string, still encoded. */
typedef struct argument {
    bl_str key, value;
    bool has_value;                  /* there is a '=' */
    bool key_encoded, value_encoded; /* there is a '%' or '+' */
} argument;

/* Takes an argument off the front. Returns where the next begins. */
static const char *take_argument(const char *at, const char *end, argument *a)
{
    static const char marks[256] = {['&'] = 1, ['='] = 1, ['%'] = 1, ['+'] = 1};
    const char *start = at;
    bool encoded = false;

    *a = (argument){.has_value = false};
    for (; at < end; at++) {
        if (BL_LIKELY(!marks[(unsigned char)*at]))
            continue;
        if (*at == '&')
            break;
        if (*at != '=') {
            encoded = true;
        } else if (!a->has_value) {
            a->has_value = true;
            a->key = bl_str_of(start, (size_t)(at - start));
            a->key_encoded = encoded;
            encoded = false;
            start = at + 1;
        }
    }
    *(a->has_value ? &a->value : &a->key) = bl_str_of(start, (size_t)(at - start));
    *(a->has_value ? &a->value_encoded : &a->key_encoded) = encoded;
    return at + 1;
}

static void push_text(lua_State *L, bl_str s, bool encoded)
{
    char small[256] = "", *to;

    if (!encoded) {
        lua_pushlstring(L, s.p, s.len);
        return;
    }
    to = s.len <= sizeof small ? small : lua_newuserdata(L, s.len);
    size_t len = decode(to, s);
    lua_pushlstring(L, to, len);
    if (to != small)
        lua_remove(L, -2);
}

static void push_value(lua_State *L, const argument *a)
{
    if (a->has_value)
        push_text(L, a->value, a->value_encoded);
    else
        lua_pushboolean(L, true);
}

/* Whether the name on top of the table is in it. */
static bool has_key(lua_State *L)
{
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    bool found = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return found;
}

/* table[key] = value, or appends to what is there: false. The key is on top of the table, and
 * popped. */
static bool add_argument(lua_State *L, const argument *a, bool first)
{
    if (first || !has_key(L)) {
        push_value(L, a);
        lua_rawset(L, -3);
        return true;
    }
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (!lua_istable(L, -1)) { /* table key old */
        lua_createtable(L, 4, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
    push_value(L, a); /* table key list value */
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    lua_pop(L, 2);
    return false;
}

bl_lua_made bl_args_decode(lua_State *L, bl_str text, int max, bool empty)
{
    const char *at = text.p, *end = text.p + text.len;
    bl_lua_made made = {true, true};
    int count = 0;
    argument a;

    luaL_checkstack(L, 8, "too deep");
    while (at < end) {
        at = take_argument(at, end, &a);
        if (max && count == max) {
            made.whole = false;
            break;
        }
        count++;
        if (a.key.len == 0)
            continue;
        push_text(L, a.key, a.key_encoded);
        made.flat &= add_argument(L, &a, empty);
        empty = false;
    }
    return made;
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
