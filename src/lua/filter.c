#include "lua/ctx.h"

const bl_filter bl_lua_header_filter = {.name = "lua header"};
const bl_filter bl_lua_body_filter = {.name = "lua body"};
