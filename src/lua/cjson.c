/* The module tables of cjson and cjson.safe: settings and their access functions, and the wrappers
 * that turn the codec's outcome into a Lua result or error. Every function of an instance has the
 * instance, a bl_cjson userdata, as its upvalue, so cjson.new() gives settings of one's own. */
#include "lua/cjson.h"
#include "lua/cjson_codec.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>

#define MODULE_VERSION "2.1.0.14"
#define INSTANCE_MT    "bulan.cjson"

char bl_cjson_array_mt, bl_cjson_empty_array_mt, bl_cjson_empty_array;

static bl_cjson *instance(lua_State *L)
{
    bl_cjson *cjson = lua_touserdata(L, lua_upvalueindex(1));

    BL_CHECK(cjson, BL_CJSON_MAGIC);
    return cjson;
}

/* Settings -------------------------------------------------------------------------------- */

/* All setters take up to `max` arguments, change what is given and not nil, and return the
 * setting as it is then. */
static bl_cjson *setter(lua_State *L, int max)
{
    if (lua_gettop(L) > max)
        luaL_argerror(L, max + 1, "found too many arguments");
    lua_settop(L, max);
    return instance(L);
}

static int integer_setting(lua_State *L, int index, int *setting, int min, int max)
{
    if (!lua_isnil(L, index)) {
        lua_Integer n = luaL_checkinteger(L, index);
        if (n < min || n > max)
            luaL_argerror(L, index,
                          lua_pushfstring(L, "expected integer between %d and %d", min, max));
        *setting = (int)n;
    }
    lua_pushinteger(L, *setting);
    return 1;
}

/* A boolean, or a word of `words`: "off", "on" and perhaps a third. Returns its place there. */
static int word_setting(lua_State *L, int index, int now, const char *const *words)
{
    if (lua_isnil(L, index))
        return now;
    if (lua_isboolean(L, index))
        return lua_toboolean(L, index);
    return luaL_checkoption(L, index, NULL, words);
}

static int boolean_setting(lua_State *L, int index, bool *setting)
{
    static const char *const words[] = {"off", "on", NULL};

    *setting = word_setting(L, index, *setting, words);
    lua_pushboolean(L, *setting);
    return 1;
}

static int set_decode_max_depth(lua_State *L)
{
    return integer_setting(L, 1, &setter(L, 1)->decode_max_depth, 1, INT_MAX);
}

static int set_decode_invalid_numbers(lua_State *L)
{
    return boolean_setting(L, 1, &setter(L, 1)->decode_invalid_numbers);
}

static int set_decode_array_with_array_mt(lua_State *L)
{
    return boolean_setting(L, 1, &setter(L, 1)->decode_array_with_array_mt);
}

static int set_decode_allow_comment(lua_State *L)
{
    return boolean_setting(L, 1, &setter(L, 1)->decode_allow_comment);
}

static int set_encode_max_depth(lua_State *L)
{
    return integer_setting(L, 1, &setter(L, 1)->encode_max_depth, 1, INT_MAX);
}

static int set_encode_number_precision(lua_State *L)
{
    return integer_setting(L, 1, &setter(L, 1)->encode_number_precision, 1, 16);
}

static int set_encode_empty_table_as_object(lua_State *L)
{
    return boolean_setting(L, 1, &setter(L, 1)->encode_empty_table_as_object);
}

static int set_encode_escape_forward_slash(lua_State *L)
{
    return boolean_setting(L, 1, &setter(L, 1)->encode_escape_forward_slash);
}

static int set_encode_skip_unsupported_value_types(lua_State *L)
{
    return boolean_setting(L, 1, &setter(L, 1)->encode_skip_unsupported_value_types);
}

static int set_encode_keep_buffer(lua_State *L)
{
    bl_cjson *cjson = setter(L, 1);

    boolean_setting(L, 1, &cjson->encode_keep_buffer);
    if (!cjson->encode_keep_buffer && !cjson->buffer.busy)
        bl_cjson_buffer_free(&cjson->buffer);
    return 1;
}

static int set_encode_invalid_numbers(lua_State *L)
{
    static const char *const words[] = {"off", "on", "null", NULL};
    bl_cjson *cjson = setter(L, 1);
    int now = word_setting(L, 1, (int)cjson->encode_invalid_numbers, words);

    cjson->encode_invalid_numbers = (bl_cjson_invalid)now;
    if (now == BL_CJSON_AS_NULL)
        lua_pushliteral(L, "null");
    else
        lua_pushboolean(L, now);
    return 1;
}

static int set_encode_sparse_array(lua_State *L)
{
    bl_cjson *cjson = setter(L, 3);

    boolean_setting(L, 1, &cjson->sparse_convert);
    integer_setting(L, 2, &cjson->sparse_ratio, 0, INT_MAX);
    integer_setting(L, 3, &cjson->sparse_safe, 0, INT_MAX);
    return 3;
}

static int set_encode_indent(lua_State *L)
{
    bl_cjson *cjson = setter(L, 1);

    if (!lua_isnil(L, 1)) {
        size_t len;
        const char *text = luaL_checklstring(L, 1, &len);
        char *copy = len ? malloc(len) : NULL;
        if (len && !copy)
            return luaL_error(L, "not enough memory");
        if (len)
            memcpy(copy, text, len);
        free(cjson->indent);
        cjson->indent = copy;
        cjson->indent_len = len;
    }
    lua_pushlstring(L, cjson->indent ? cjson->indent : "", cjson->indent_len);
    return 1;
}

/* Conversions ----------------------------------------------------------------------------- */

/* The codec's outcome is at the top of the stack. */
static int finish(lua_State *L, const bl_cjson *cjson, bool good)
{
    if (BL_LIKELY(good))
        return 1;
    if (!cjson->safe)
        return lua_error(L);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int decode(lua_State *L)
{
    bl_cjson *cjson = instance(L);
    size_t len;

    if (lua_gettop(L) != 1)
        return luaL_argerror(L, 1, "expected 1 argument");
    const char *text = lua_tolstring(L, 1, &len);
    if (!text) {
        if (!cjson->safe)
            return luaL_typerror(L, 1, "string");
        lua_pushfstring(L, "bad argument #1 to 'decode' (string expected, got %s)",
                        luaL_typename(L, 1));
        return finish(L, cjson, false);
    }
    return finish(L, cjson, bl_cjson_decode(L, cjson, text, len));
}

static int encode(lua_State *L)
{
    bl_cjson *cjson = instance(L);

    if (lua_gettop(L) != 1)
        return luaL_argerror(L, 1, "expected 1 argument");
    return finish(L, cjson, bl_cjson_encode(L, cjson));
}

/* Instances ------------------------------------------------------------------------------- */

static int collect_instance(lua_State *L)
{
    bl_cjson *cjson = luaL_checkudata(L, 1, INSTANCE_MT);

    bl_cjson_buffer_free(&cjson->buffer);
    free(cjson->indent);
    cjson->indent = NULL;
    cjson->indent_len = 0;
    return 0;
}

static int collect_buffer(lua_State *L)
{
    bl_cjson_buffer_free(luaL_checkudata(L, 1, BL_CJSON_BUFFER_MT));
    return 0;
}

/* Pushes the metatable `name` of a kind of userdata. */
static void push_metatable(lua_State *L, const char *name, lua_CFunction collect)
{
    if (luaL_newmetatable(L, name)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
}

/* Sets field `name` of the table at the top to the table that all instances share under `key` in
 * the registry. Returns its address. */
static const void *share_mark(lua_State *L, char *key, const char *name)
{
    lua_pushlightuserdata(L, key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushlightuserdata(L, key);
        lua_pushvalue(L, -2);
        lua_rawset(L, LUA_REGISTRYINDEX);
    }
    const void *mark = lua_topointer(L, -1);
    lua_setfield(L, -2, name);
    return mark;
}

static bl_cjson *push_instance(lua_State *L, bool safe)
{
    bl_cjson *cjson = lua_newuserdata(L, sizeof(*cjson));

    *cjson = (bl_cjson){
        .magic = BL_CJSON_MAGIC,
        .safe = safe,
        .decode_invalid_numbers = true,
        .decode_max_depth = 1000,
        .encode_keep_buffer = true,
        .encode_empty_table_as_object = true,
        .encode_escape_forward_slash = true,
        .sparse_ratio = 2,
        .sparse_safe = 10,
        .encode_max_depth = 1000,
        .encode_number_precision = 14,
    };
    push_metatable(L, BL_CJSON_BUFFER_MT, collect_buffer);
    lua_pop(L, 1);
    push_metatable(L, INSTANCE_MT, collect_instance);
    lua_setmetatable(L, -2);
    return cjson;
}

static int new_safe(lua_State *L)
{
    return luaopen_cjson_safe(L);
}

static int new_throwing(lua_State *L)
{
    return luaopen_cjson(L);
}

static const luaL_Reg functions[] = {
    {"encode", encode},
    {"decode", decode},
    {"encode_empty_table_as_object", set_encode_empty_table_as_object},
    {"encode_escape_forward_slash", set_encode_escape_forward_slash},
    {"encode_indent", set_encode_indent},
    {"encode_invalid_numbers", set_encode_invalid_numbers},
    {"encode_keep_buffer", set_encode_keep_buffer},
    {"encode_max_depth", set_encode_max_depth},
    {"encode_number_precision", set_encode_number_precision},
    {"encode_skip_unsupported_value_types", set_encode_skip_unsupported_value_types},
    {"encode_sparse_array", set_encode_sparse_array},
    {"decode_allow_comment", set_decode_allow_comment},
    {"decode_array_with_array_mt", set_decode_array_with_array_mt},
    {"decode_invalid_numbers", set_decode_invalid_numbers},
    {"decode_max_depth", set_decode_max_depth},
};

static int open_module(lua_State *L, bool safe)
{
    lua_createtable(L, 0, BL_COUNTOF(functions) + 8);
    bl_cjson *cjson = push_instance(L, safe);
    int module = lua_gettop(L) - 1;

    for (size_t i = 0; i < BL_COUNTOF(functions); i++) {
        lua_pushvalue(L, module + 1);
        lua_pushcclosure(L, functions[i].func, 1);
        lua_setfield(L, module, functions[i].name);
    }
    lua_settop(L, module);
    lua_pushcfunction(L, safe ? new_safe : new_throwing);
    lua_setfield(L, module, "new");
    cjson->array_mt = share_mark(L, &bl_cjson_array_mt, "array_mt");
    cjson->empty_array_mt = share_mark(L, &bl_cjson_empty_array_mt, "empty_array_mt");
    lua_pushlightuserdata(L, &bl_cjson_empty_array);
    lua_setfield(L, module, "empty_array");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, module, "null");
    lua_pushliteral(L, "cjson");
    lua_setfield(L, module, "_NAME");
    lua_pushliteral(L, MODULE_VERSION);
    lua_setfield(L, module, "_VERSION");
    return 1;
}

int luaopen_cjson(lua_State *L)
{
    return open_module(L, false);
}

int luaopen_cjson_safe(lua_State *L)
{
    return open_module(L, true);
}
