/* The families of the API; see vm.h for what a row does. */
#include "lua/api/log.h"
#include "lua/api/output.h"
#include "lua/api/regex.h"
#include "lua/api/shdict.h"
#include "lua/api/sleep.h"
#include "lua/api/timer.h"
#include "lua/vm.h"

const bl_lua_family bl_lua_families[] = {
    {"output", bl_lua_open_output},
    {"log", bl_lua_open_log},
    {"sleep", bl_lua_open_sleep},
    {"timer", bl_lua_open_timer},
    {"re", bl_lua_open_regex},
    {"shdict", bl_lua_open_shdict},
    {NULL, NULL},
};
