#include "lua/api/text.h"
#include "core/base.h"

#include <lauxlib.h>

enum {
    DEPTH_MAX = 100,     /* of arrays in arrays */
    HOLES_MAX = 1000000, /* of an array */
};

static const char wanted[] = "string, number, boolean, nil, ngx.null, or array table expected, got";

static bool constant_text(lua_State *L, int index, bl_str *text)
{
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        *text = BL_STR("nil");
        return true;
    case LUA_TBOOLEAN:
        *text = lua_toboolean(L, index) ? BL_STR("true") : BL_STR("false");
        return true;
    case LUA_TLIGHTUSERDATA:
        *text = BL_STR("null");
        return lua_touserdata(L, index) == NULL;
    default:
        return false;
    }
}

/* The text of a plain value. A number's is made of a copy on top of the stack (`pushed`), so that
 * the program's number stays one. */
static bool plain_text(lua_State *L, int index, bl_str *text, bool *pushed)
{
    int type = lua_type(L, index);

    *pushed = false;
    if (type == LUA_TNUMBER) {
        lua_pushvalue(L, index);
        *pushed = true;
        index = -1;
    }
    if (type == LUA_TSTRING || type == LUA_TNUMBER) {
        text->p = (char *)lua_tolstring(L, index, &text->len);
        return true;
    }
    return constant_text(L, index, text);
}

/* A table is an array when all its keys are positive whole numbers; its length is the largest. One
 * that is next to nothing but holes is none. */
static ssize_t array_len(lua_State *L, int index)
{
    ssize_t max = 0, count = 0;

    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
        if (n < 1 || n != (lua_Number)(ssize_t)n) {
            lua_pop(L, 1);
            return -1;
        }
        max = BL_MAX(max, (ssize_t)n);
        count++;
    }
    return max - count <= HOLES_MAX ? max : -1;
}

static int bad(lua_State *L, int arg, const char *name, const char *message)
{
    return luaL_error(L, "bad argument #%d to '%s' (%s)", arg, name, message);
}

static size_t len_of(lua_State *L, int index, int arg, const char *name, int depth)
{
    bl_str text;
    bool pushed;
    size_t len = 0;

    if (plain_text(L, index, &text, &pushed)) {
        lua_pop(L, pushed);
        return text.len;
    }
    if (!lua_istable(L, index))
        bad(L, arg, name, lua_pushfstring(L, "bad data type %s found", luaL_typename(L, index)));
    ssize_t count = depth < DEPTH_MAX ? array_len(L, index) : -1;
    if (count < 0)
        bad(L, arg, name, "non-array table found");
    luaL_checkstack(L, 4, "too many nested tables");
    for (ssize_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        len += len_of(L, lua_gettop(L), arg, name, depth + 1);
        lua_pop(L, 1);
    }
    return len;
}

size_t bl_lua_text_len(lua_State *L, int index, const char *name)
{
    int type = lua_type(L, index);

    if (type == LUA_TSTRING)
        return lua_objlen(L, index);
    if (type == LUA_TFUNCTION || type == LUA_TTHREAD || type == LUA_TUSERDATA ||
        type > LUA_TTHREAD || (type == LUA_TLIGHTUSERDATA && lua_touserdata(L, index) != NULL))
        bad(L, index, name, lua_pushfstring(L, "%s %s", wanted, luaL_typename(L, index)));
    return len_of(L, index, index, name, 0);
}

void bl_lua_text_objects(lua_State *L, int count)
{
    for (int i = 1; i <= count; i++) {
        if (lua_type(L, i) == LUA_TUSERDATA && luaL_callmeta(L, i, "__tostring"))
            lua_replace(L, i);
    }
}

void bl_lua_text_flatten(lua_State *L, int count, const char *name)
{
    for (int i = 1; i <= count; i++) {
        if (!lua_istable(L, i))
            continue;
        size_t len = bl_lua_text_len(L, i, name);
        char *text = lua_newuserdata(L, len);
        bl_lua_text_put(L, i, text);
        lua_pushlstring(L, text, len);
        lua_replace(L, i);
        lua_pop(L, 1);
    }
}

char *bl_lua_text_put(lua_State *L, int index, char *at)
{
    bl_str text;
    bool pushed;

    if (plain_text(L, index, &text, &pushed)) {
        at = bl_str_put(at, text);
        lua_pop(L, pushed);
        return at;
    }
    if (!lua_istable(L, index))
        return at;
    ssize_t count = array_len(L, index);
    for (ssize_t i = 1; i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        at = bl_lua_text_put(L, lua_gettop(L), at);
        lua_pop(L, 1);
    }
    return at;
}
