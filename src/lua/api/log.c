#include "lua/api/log.h"
#include "lua/fault.h"

/* A line under construction, cut where it is full. */
typedef struct line {
    char *at, *end;
    char text[BL_LOG_MAX];
} line;

static void put(line *l, const char *p, size_t len)
{
    len = BL_MIN(len, (size_t)(l->end - l->at));
    memcpy(l->at, p, len);
    l->at += len;
}

static void put_place(line *l, lua_State *L)
{
    lua_Debug ar;

    if (!lua_getstack(L, 1, &ar) || !lua_getinfo(L, "nSl", &ar))
        return;
    const char *file = strrchr(ar.short_src, '/');
    file = file && ar.source[0] == '@' ? file + 1 : ar.short_src;
    l->at = bl_log_put(l->at, l->end, "[lua] %s:%d: ", file, ar.currentline);
    if (ar.name && *ar.namewhat)
        l->at = bl_log_put(l->at, l->end, "%s(): ", ar.name);
}

/* A table that can say what it is; its text is left on the stack. */
static void put_object(line *l, lua_State *L, int index)
{
    size_t len;

    if (!luaL_callmeta(L, index, "__tostring"))
        luaL_argerror(L, index, "expected table to have __tostring metamethod");
    const char *text = lua_tolstring(L, -1, &len);
    if (text)
        put(l, text, len);
    lua_pop(L, 1);
}

static void bad_value(lua_State *L, int index, int from)
{
    luaL_error(L, "bad argument #%d to 'log' (string, number, boolean, or nil expected, got %s)",
               index - from + 1, luaL_typename(L, index));
}

static void put_value(line *l, lua_State *L, int index, int from)
{
    size_t len;
    const char *text;

    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &len);
        put(l, text, len);
        break;
    case LUA_TNIL:
        put(l, "nil", 3);
        break;
    case LUA_TBOOLEAN:
        text = lua_toboolean(L, index) ? "true" : "false";
        put(l, text, strlen(text));
        break;
    case LUA_TTABLE:
        put_object(l, L, index);
        break;
    case LUA_TUSERDATA:
        if (luaL_getmetafield(L, index, "__tostring")) {
            lua_pop(L, 1);
            put_object(l, L, index);
            break;
        }
        bad_value(L, index, from);
        break;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) == NULL) {
            put(l, "null", 4);
            break;
        }
        /* fall through */
    default:
        bad_value(L, index, from);
    }
}

static int log_values(lua_State *L, bl_log *log, int level, int from)
{
    int count = lua_gettop(L);
    line l;

    l.at = l.text;
    l.end = l.text + sizeof l.text;
    put_place(&l, L);
    for (int i = from; i <= count; i++)
        put_value(&l, L, i, from);
    bl_log_text((bl_log_level)level, log, bl_str_of(l.text, (size_t)(l.at - l.text)));
    return 0;
}

static int l_log(lua_State *L)
{
    bl_log *log = bl_lua_log();
    int level = (int)luaL_checkinteger(L, 1);

    if (level < BL_LOG_STDERR || level > BL_LOG_DEBUG)
        return luaL_error(L, "bad argument #1 to 'log' (bad log level: %d)", level);
    if (!bl_log_on(log, (bl_log_level)level))
        return 0;
    lua_remove(L, 1);
    return log_values(L, log, level, 1);
}

static int l_print(lua_State *L)
{
    bl_log *log = bl_lua_log();

    return bl_log_on(log, BL_LOG_NOTICE) ? log_values(L, log, BL_LOG_NOTICE, 1) : 0;
}

void bl_lua_open_log(lua_State *L)
{
    static const char *const names[] = {"STDERR", "EMERG",  "ALERT", "CRIT", "ERR",
                                        "WARN",   "NOTICE", "INFO",  "DEBUG"};

    for (size_t i = 0; i < BL_COUNTOF(names); i++) {
        lua_pushinteger(L, (lua_Integer)i);
        lua_setfield(L, -2, names[i]);
    }
    lua_pushcfunction(L, l_log);
    lua_setfield(L, -2, "log");
    lua_pushcfunction(L, l_print);
    lua_setglobal(L, "print");
}
