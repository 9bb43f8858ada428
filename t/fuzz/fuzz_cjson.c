/* The JSON codec: any bytes are decoded; what decodes must encode, and that text must decode and
 * encode to itself, but for the order of an object's members. Numbers are written with 15 digits:
 * the most that a double carries from text to text for certain (DBL_DIG). With the 16 that programs
 * may ask for, 100000000000000000000100 is written 1e+23, and that is read as the double below it,
 * written 9.999999999999999e+22. The largest numbers are left out, since rounded up to 15 digits
 * they are too large for a double. The first byte chooses settings. */
#include "lua/cjson.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "core/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __lsan_is_turned_off(void);

/* LuaJIT maps its memory itself, out of the leak detector's sight: whatever only Lua points to
 * would be reported. */
int __lsan_is_turned_off(void)
{
    return 1;
}

static const char harness[] =
    "local cjson = ...\n"
    "cjson.encode_invalid_numbers(true)\n"
    "cjson.encode_number_precision(15)\n"
    "cjson.decode_array_with_array_mt(true)\n"
    "return function(flags, text)\n"
    "    cjson.decode_invalid_numbers(flags % 2 == 1)\n"
    "    cjson.decode_allow_comment(math.floor(flags / 2) % 2 == 1)\n"
    "    cjson.encode_escape_forward_slash(math.floor(flags / 4) % 2 == 1)\n"
    "    cjson.encode_indent(math.floor(flags / 8) % 2 == 1 and ' ' or '')\n"
    "    cjson.decode_max_depth(math.floor(flags / 16) % 2 == 1 and 100000 or 100)\n"
    "    local value, err = cjson.decode(text)\n"
    "    if err then return end\n"
    "    local once = cjson.encode(value)\n"
    "    if not once then return end\n"
    "    cjson.decode_invalid_numbers(true)\n"
    "    if once:find('e+308', 1, true) then return end\n"
    "    local back, failure = cjson.decode(once)\n"
    "    assert(failure == nil, failure)\n"
    "    local twice = assert(cjson.encode(back))\n"
    "    assert(#twice == #once, once)\n"
    "    assert(twice == once or once:find('{', 1, true), once)\n"
    "end\n";

static lua_State *open_state(void)
{
    lua_State *L = luaL_newstate();

    BL_ASSERT(L != NULL);
    luaL_openlibs(L);
    BL_ASSERT(luaL_loadstring(L, harness) == 0);
    lua_pushcfunction(L, luaopen_cjson_safe);
    lua_call(L, 0, 1);
    lua_call(L, 1, 1);
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;

    if (!L)
        L = open_state();
    if (size == 0)
        return 0;
    lua_pushvalue(L, 1);
    lua_pushinteger(L, data[0]);
    lua_pushlstring(L, (const char *)data + 1, size - 1);
    if (lua_pcall(L, 2, 0, 0) != 0) {
        const char *message = lua_tostring(L, -1);
        BL_ASSERT(message != NULL && strstr(message, "not enough memory") != NULL);
        lua_settop(L, 1);
    }
    return 0;
}
