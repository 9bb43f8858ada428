#include "lua/api/request.h"
#include "http/parse.h"
#include "http/variable.h"
#include "lua/api/args.h"
#include "lua/api/fields.h"
#include "lua/api/header.h"
#include "lua/ctx.h"
#include "lua/vm.h"

/* ------------------------------------------------------------- what it is */

static int l_is_internal(lua_State *L)
{
    lua_pushboolean(L, bl_lua_request(L, BL_LUA_REAL)->internal);
    return 1;
}

static int l_start_time(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_ANY);

    lua_pushnumber(L, (lua_Number)r->start_sec + r->start_msec / 1000.0);
    return 1;
}

static int l_http_version(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);

    switch (r->http_version) {
    case 9:
        lua_pushnumber(L, 0.9);
        break;
    case 1000:
        lua_pushnumber(L, 1.0);
        break;
    case 1001:
        lua_pushnumber(L, 1.1);
        break;
    default:
        lua_pushnumber(L, r->http_version / 1000);
    }
    return 1;
}

static int l_raw_header(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL)->main;

    if (r->http_version >= 2000)
        return luaL_error(L, "http2 requests not supported yet");
    bl_str head = bl_request_raw_head(r);
    ssize_t line_end = lua_toboolean(L, 1) ? bl_str_chr(head, '\n') : -1;
    lua_pushlstring(L, head.p + line_end + 1, head.len - (size_t)(line_end + 1));
    return 1;
}

static int l_get_method(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);

    lua_pushlstring(L, r->method_name.p, r->method_name.len);
    return 1;
}

static int l_set_method(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    lua_Integer method = luaL_checkinteger(L, 1);
    bl_str name = method > 0 ? bl_method_name((uint32_t)method) : BL_STR("UNKNOWN");

    if (bl_method_of(name) != (uint32_t)method || method == BL_M_UNKNOWN)
        return luaL_error(L, "unsupported HTTP method: %d", (int)method);
    r->method = (uint32_t)method;
    r->method_name = name;
    if (!r->output.begun)
        r->head_only = method == BL_M_HEAD;
    return 0;
}

/* ------------------------------------------------------------- where it goes */

static bl_step jump_rewritten(bl_run *run)
{
    run->request->uri_changed = true;
    bl_request_set_ctx(run->request, &bl_lua_module, NULL);
    return BL_SKIP;
}

static void check_safe(lua_State *L, bl_request *r, bl_str uri)
{
    for (size_t i = 0; i < uri.len; i++) {
        unsigned char c = (unsigned char)uri.p[i];
        if ((c >= 0x20 && c != 0x7f) || c == '\t')
            continue;
        luaL_error(L,
                   "unsafe byte \"0x%s\" in uri \"%s\" (maybe you want to set the 'binary' "
                   "argument?)",
                   bl_pool_printf(r->pool, "%02x", c).p, bl_lua_shown(r->pool, uri).p);
    }
}

static int l_set_uri(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    int count = lua_gettop(L);
    bl_str uri;

    if (count < 1 || count > 3)
        return luaL_error(L, "expecting 1, 2 or 3 arguments but seen %d", count);
    uri.p = (char *)luaL_checklstring(L, 1, &uri.len);
    if (uri.len == 0)
        return luaL_error(L, "attempt to use zero-length uri");
    bool jump =
        count > 1 && !lua_isnil(L, 2) && (luaL_checktype(L, 2, LUA_TBOOLEAN), lua_toboolean(L, 2));
    if (!lua_toboolean(L, 3))
        check_safe(L, r, uri);
    if (jump && !(bl_lua_now.phase & (BL_LUA_REWRITE | BL_LUA_SERVER_REWRITE)))
        return luaL_error(L, "API disabled in the context of %s",
                          bl_lua_phase_context(bl_lua_now.phase));
    bl_request_set_uri(r, bl_pool_str(r->pool, uri));
    r->valid_raw_uri = false;
    r->internal = true;
    if (!jump)
        return 0;
    bl_lua_now.task->run->jump = jump_rewritten;
    return bl_task_end(L, BL_RUN_JUMP, 0);
}

/* Arguments go into request lines: what would end one is escaped. */
static bl_str escape_controls(bl_pool *pool, bl_str s)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t controls = 0;

    for (size_t i = 0; i < s.len; i++)
        controls += (unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f;
    if (controls == 0)
        return s;
    char *to = bl_pool_bytes(pool, s.len + 2 * controls), *at = to;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c > ' ' && c != 0x7f) {
            *at++ = s.p[i];
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return bl_str_of(to, (size_t)(at - to));
}

static int l_set_uri_args(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);

    if (lua_gettop(L) != 1)
        return luaL_error(L, "expecting 1 argument but seen %d", lua_gettop(L));
    r->args = escape_controls(r->pool, bl_args_from_lua(L, 1, r->pool, "set_uri_args"));
    r->valid_raw_uri = false;
    return 0;
}

static int limit_at(lua_State *L, int index)
{
    lua_Integer max = luaL_optinteger(L, index, BL_ARGS_MAX);

    return max < 0 ? 0 : (int)max;
}

static int l_get_uri_args(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    int max = limit_at(L, 1);
    bool whole;

    if (lua_istable(L, 2)) {
        lua_pushvalue(L, 2);
        whole = bl_args_decode(L, r->args, max, false).whole;
    } else if (max == BL_ARGS_MAX) {
        whole = bl_lua_push_request_args(L, r->args);
    } else {
        lua_newtable(L);
        whole = bl_args_decode(L, r->args, max, true).whole;
    }
    if (whole)
        return 1;
    bl_debug(r->log, "lua hit query args limit %d", max);
    lua_pushliteral(L, "truncated");
    return 2;
}

/* ------------------------------------------------------------- header fields */

static int l_get_headers(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    int max = limit_at(L, 1);
    bool raw = lua_toboolean(L, 2);

    if (max == BL_ARGS_MAX && !raw ? bl_lua_push_request_fields(L, &r->in)
                                   : bl_lua_push_fields(L, &r->in, max, raw, 0))
        return 1;
    bl_debug(r->log, "lua exceeding request header limit %u > %d", r->in.count, max);
    lua_pushliteral(L, "truncated");
    return 2;
}

/* $http_NAME and $host are looked up anew. */
static void forget_variable(bl_request *r, bl_str name)
{
    char text[64] = "http_";
    size_t len = 5 + name.len;

    if (r->vars == NULL || len > sizeof text)
        return;
    for (size_t i = 0; i < name.len; i++)
        text[5 + i] = name.p[i] == '-' ? '_' : bl_lower(name.p[i]);
    bl_str names[] = {bl_str_of(text, len), bl_str_of(text + 5, name.len)};
    for (size_t i = 0; i < 2; i++) {
        int index = bl_var_find(r->http, names[i]);
        const bl_variable *row = index >= 0 ? bl_var_row(r->http, index) : NULL;
        if (row && row->get && row->set == NULL)
            r->vars[index].state = BL_VAR_UNKNOWN;
    }
}

/* $host and the port of it. What is no host at all is taken as it is. */
static void use_host(bl_request *r, bl_str value)
{
    char *lower = bl_pool_bytes(r->pool, value.len + 1);

    if (bl_parse_host(value, lower, &r->host, &r->host_port))
        return;
    r->host = value;
    r->host_port = 0;
}

/* The fields that the server has read into places of their own. */
static void changed(bl_request *r, bl_str name, bl_str value)
{
    forget_variable(r, name);
    if (bl_str_ieq(name, BL_STR("Host")))
        use_host(r, value);
    else if (bl_str_ieq(name, BL_STR("Content-Length")))
        r->body.length = value.len ? bl_str_to_int(value) : -1;
}

static bl_str string_at(lua_State *L, int index, bl_pool *pool)
{
    bl_str s;

    s.p = (char *)lua_tolstring(L, index, &s.len);
    return bl_pool_str(pool, s);
}

static void add_value(lua_State *L, bl_request *r, bl_str name, int index)
{
    if (!lua_isstring(L, index))
        luaL_error(L, "bad argument #2 to 'set_header' (string, number or table expected, got %s)",
                   luaL_typename(L, index));
    bl_str value = bl_lua_safe_field(r->pool, string_at(L, index, r->pool), false);
    bl_headers_add(&r->in, r->pool, name, value);
    changed(r, name, value);
}

static int put_header(lua_State *L, bool replace)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);

    if (r->http_version < 1000)
        return 0;
    luaL_checkstring(L, 1);
    bl_str name = bl_lua_safe_field(r->pool, string_at(L, 1, r->pool), true);
    if (replace) {
        bl_headers_remove(&r->in, name);
        forget_variable(r, name);
    }
    if (lua_isnoneornil(L, 2)) {
        if (!replace)
            return luaL_error(L, "bad argument #2 to 'add_header' (invalid value)");
        changed(r, name, BL_STR(""));
        return 0;
    }
    if (!lua_istable(L, 2)) {
        add_value(L, r, name, 2);
        return 0;
    }
    int count = (int)lua_objlen(L, 2);
    if (count == 0 && replace)
        changed(r, name, BL_STR(""));
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, 2, i);
        add_value(L, r, name, lua_gettop(L));
        lua_pop(L, 1);
    }
    return 0;
}

static int l_set_header(lua_State *L)
{
    if (lua_gettop(L) < 2)
        return luaL_error(L, "expecting two arguments, but got %d", lua_gettop(L));
    return put_header(L, true);
}

static int l_clear_header(lua_State *L)
{
    lua_settop(L, 1);
    return put_header(L, true);
}

static int l_add_header(lua_State *L)
{
    return put_header(L, false);
}

void bl_lua_open_request(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"is_internal", l_is_internal},
        {"start_time", l_start_time},
        {"http_version", l_http_version},
        {"raw_header", l_raw_header},
        {"get_method", l_get_method},
        {"set_method", l_set_method},
        {"set_uri", l_set_uri},
        {"set_uri_args", l_set_uri_args},
        {"get_uri_args", l_get_uri_args},
        {"get_headers", l_get_headers},
        {"set_header", l_set_header},
        {"clear_header", l_clear_header},
        {NULL, NULL},
    };

    lua_createtable(L, 0, 24);
    luaL_register(L, NULL, functions);
    lua_setfield(L, -2, "req");
    lua_pushcfunction(L, l_add_header);
    bl_lua_vm_offer(L, "bulan.add_header");
}
