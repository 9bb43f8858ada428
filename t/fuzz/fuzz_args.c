/* Query strings as tables of Lua: any text gives a table; encoded, it is a text that gives the same
 * table; a limit leaves no more than so many, and only what is read without one. */
#include "fuzz.h"
#include "lua/api/args.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

int __lsan_is_turned_off(void);

/* What Lua points to is out of the leak detector's sight. */
int __lsan_is_turned_off(void)
{
    return 1;
}

static const char harness[] =
    "local function count(t)\n"
    "    local n = 0\n"
    "    for _, v in pairs(t) do n = n + (type(v) == 'table' and #v or 1) end\n"
    "    return n\n"
    "end\n"
    "local function same(a, b)\n"
    "    if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end\n"
    "    for k, v in pairs(a) do if not same(v, b[k]) then return false end end\n"
    "    for k in pairs(b) do if a[k] == nil then return false end end\n"
    "    return true\n"
    "end\n"
    "return function(all, again, few, max, whole)\n"
    "    assert(same(all, again), 'round trip')\n"
    "    assert(count(few) <= max, 'limit')\n"
    "    assert(count(few) <= count(all) and (not whole or same(few, all)), 'whole')\n"
    "end\n";

static void decode(lua_State *L, bl_str text, int max, bl_lua_made *made)
{
    lua_newtable(L);
    *made = bl_args_decode(L, text, max, true);
}

static void check(lua_State *L, bl_pool *pool, bl_str text, int max)
{
    bl_lua_made made, again, few;

    lua_pushvalue(L, 1);
    decode(L, text, 0, &made);
    bl_str encoded = bl_args_encode(L, 3, pool);
    decode(L, encoded, 0, &again);
    BL_ASSERT(made.whole && again.whole && made.flat == again.flat);
    decode(L, text, max, &few);
    lua_pushinteger(L, max);
    lua_pushboolean(L, few.whole);
    if (lua_pcall(L, 5, 0, 0) != 0) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        BL_ASSERT(false);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    bl_str in = bl_str_of((const char *)data, size);
    int max = 1 + (int)fuzz_byte(&in);

    if (L == NULL) {
        L = luaL_newstate();
        BL_ASSERT(L != NULL);
        luaL_openlibs(L);
        BL_ASSERT(luaL_dostring(L, harness) == 0);
    }
    bl_pool *pool = bl_pool_new();
    bl_str text = fuzz_copy(in);
    check(L, pool, text, max);
    lua_settop(L, 1);
    free(text.p);
    bl_pool_free(pool);
    return 0;
}
