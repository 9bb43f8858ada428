#include "lua/api/upstream.h"
#include "http/upstream/upstream.h"
#include "lua/ctx.h"
#include "lua/vm.h"

#include <lauxlib.h>

static const bl_http *http_here(void)
{
    return bl_lua_now.vm->generation->http;
}

/* The group whose name is the first argument; NULL: what the function answers then is pushed. */
static bl_upstream_group *group_of(lua_State *L)
{
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);

    BL_ARRAY_EACH (bl_upstream_group *, g, bl_upstream_groups(http_here())) {
        if ((*g)->peers && bl_str_ieq((*g)->host, bl_str_of((char *)name, len)))
            return *g;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "upstream not found");
    return NULL;
}

static void set_str(lua_State *L, const char *field, bl_str value)
{
    lua_pushlstring(L, value.p, value.len);
    lua_setfield(L, -2, field);
}

static void set_number(lua_State *L, const char *field, int64_t value)
{
    lua_pushnumber(L, (lua_Number)value);
    lua_setfield(L, -2, field);
}

static void set_flag(lua_State *L, const char *field, bool value)
{
    if (!value)
        return;
    lua_pushboolean(L, true);
    lua_setfield(L, -2, field);
}

/* Seconds since the epoch, of a time of the monotonic clock; 0 is no time, and no field. */
static void set_time(lua_State *L, const char *field, uint64_t ms)
{
    if (ms)
        set_number(L, field, bl_clock_now.sec - (int64_t)(bl_now_ms() - ms) / 1000);
}

static int l_get_upstreams(lua_State *L)
{
    int count = 0;

    lua_createtable(L, 4, 0);
    BL_ARRAY_EACH (bl_upstream_group *, g, bl_upstream_groups(http_here())) {
        if (!(*g)->explicit)
            continue;
        lua_pushlstring(L, (*g)->host.p, (*g)->host.len);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* ------------------------------------------------------------- servers */

static void push_addr(lua_State *L, const bl_addr *addr)
{
    char text[BL_ADDR_TEXT];

    lua_pushlstring(L, text, bl_addr_text_port(&addr->sa, addr->len, text));
}

/* A string; an array when there are several, nothing when none is known yet. */
static void set_addrs(lua_State *L, const bl_array *addrs)
{
    if (addrs->count == 0)
        return;
    if (addrs->count == 1) {
        push_addr(L, bl_array_at(addrs, 0));
    } else {
        lua_createtable(L, (int)addrs->count, 0);
        for (uint32_t i = 0; i < addrs->count; i++) {
            push_addr(L, bl_array_at(addrs, i));
            lua_rawseti(L, -2, (int)i + 1);
        }
    }
    lua_setfield(L, -2, "addr");
}

static void push_server(lua_State *L, const bl_upstream_server *s)
{
    lua_createtable(L, 0, 8);
    set_str(L, "name", s->name);
    set_addrs(L, &s->addrs);
    set_number(L, "weight", s->weight);
    set_number(L, "max_fails", s->max_fails);
    set_number(L, "max_conns", s->max_conns);
    set_number(L, "fail_timeout", (int64_t)s->fail_timeout / 1000);
    set_flag(L, "backup", s->backup);
    set_flag(L, "down", s->down);
}

static int l_get_servers(lua_State *L)
{
    const bl_upstream_group *g = group_of(L);
    int count = 0;

    if (g == NULL)
        return 2;
    lua_createtable(L, (int)g->servers.count, 0);
    BL_ARRAY_EACH (bl_upstream_server, s, &g->servers) {
        push_server(L, s);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* ------------------------------------------------------------- peers */

/* The state is a copy: no memory is asked of Lua, whose errors unwind, under the lock. */
static void push_peer(lua_State *L, const bl_peer *p, const bl_peer_state *s, int id)
{
    lua_createtable(L, 0, 16);
    set_number(L, "id", id);
    set_str(L, "name", p->name);
    set_number(L, "weight", p->weight);
    set_number(L, "current_weight", s->current_weight);
    set_number(L, "effective_weight", s->effective_weight);
    set_number(L, "conns", s->conns);
    set_number(L, "fails", s->fails);
    set_number(L, "max_fails", p->max_fails);
    set_number(L, "max_conns", p->max_conns);
    set_number(L, "fail_timeout", (int64_t)p->fail_timeout / 1000);
    set_time(L, "accessed", s->used_at);
    set_time(L, "checked", s->checked_at);
    set_flag(L, "down", s->down);
}

static int push_peers(lua_State *L, bool backups)
{
    const bl_upstream_group *g = group_of(L);

    if (g == NULL)
        return 2;
    bl_peers *peers = g->peers;
    int from = backups ? peers->primaries : 0, to = backups ? peers->count : peers->primaries;
    lua_createtable(L, to - from, 0);
    for (int i = from; i < to; i++) {
        bl_peers_lock(peers);
        bl_peer_state state = *peers->all[i].state;
        bl_peers_unlock(peers);
        push_peer(L, &peers->all[i], &state, i - from);
        lua_rawseti(L, -2, i - from + 1);
    }
    return 1;
}

static int l_get_primary_peers(lua_State *L)
{
    return push_peers(L, false);
}

static int l_get_backup_peers(lua_State *L)
{
    return push_peers(L, true);
}

static int l_set_peer_down(lua_State *L)
{
    const bl_upstream_group *g = group_of(L);

    if (g == NULL)
        return 2;
    bool backup = lua_toboolean(L, 2);
    lua_Integer id = luaL_checkinteger(L, 3);
    bl_peers *peers = g->peers;
    int count = backup ? peers->count - peers->primaries : peers->primaries;
    if (id < 0 || id >= count) {
        lua_pushnil(L);
        lua_pushliteral(L, "bad peer id");
        return 2;
    }
    bl_peers_set_down(peers, (int)id + (backup ? peers->primaries : 0), lua_toboolean(L, 4));
    lua_pushboolean(L, true);
    return 1;
}

static int l_current_upstream_name(lua_State *L)
{
    const bl_request *r = bl_lua_now.request;

    if (r == NULL || r->upstream == NULL) {
        lua_pushnil(L);
        return 1;
    }
    const bl_upstream *u = r->upstream;
    bl_str name = u->group ? u->group->host : u->host;
    lua_pushlstring(L, name.p, name.len);
    return 1;
}

void bl_lua_open_upstream(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"get_upstreams", l_get_upstreams},
        {"get_servers", l_get_servers},
        {"get_primary_peers", l_get_primary_peers},
        {"get_backup_peers", l_get_backup_peers},
        {"set_peer_down", l_set_peer_down},
        {"current_upstream_name", l_current_upstream_name},
        {NULL, NULL},
    };

    lua_createtable(L, 0, 6);
    luaL_register(L, NULL, functions);
    bl_lua_vm_offer(L, "bulan.upstream");
}
