#include "lua/api/lookup.h"
#include "event/resolver.h"
#include "http/core_module.h"
#include "lua/api/socket_conf.h"
#include "lua/task.h"
#include "lua/vm.h"

#include <lauxlib.h>
#include <string.h>

/* A question that is on its way: it goes with its answer or with its task. */
typedef struct lookup {
    bl_resolve ask;
    bl_wait wait;
    lua_State *L; /* where the answer goes when it is there at once */
    int results;
    char name[];
} lookup;

static int push_answer(const bl_resolve *ask, lua_State *L)
{
    char text[BL_ADDR_TEXT];

    if (ask->status != BL_RESOLVE_OK) {
        lua_pushnil(L);
        lua_pushinteger(L, ask->status);
        lua_pushstring(L, bl_resolve_error(ask->status));
        return 3;
    }
    lua_createtable(L, ask->count, 0);
    for (int i = 0; i < ask->count; i++) {
        lua_pushlstring(L, text, bl_addr_text(&ask->addrs[i].sa, ask->addrs[i].len, text));
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushnumber(L, (lua_Number)ask->valid_ms / 1000);
    return 2;
}

static void resolved(bl_resolve *ask)
{
    lookup *l = ask->data;

    if (!bl_wait_armed(&l->wait)) {
        l->results = push_answer(ask, l->L);
        return;
    }
    bl_wait_end(&l->wait, push_answer(ask, bl_wait_stack(&l->wait)));
    bl_free(l);
}

static void cancelled(bl_wait *w)
{
    lookup *l = BL_CONTAINER(w, lookup, wait);

    bl_resolve_cancel(&l->ask);
    bl_free(l);
}

static int l_lookup(lua_State *L)
{
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);

    bl_task_may_wait(L);
    const bl_http_core_location *core = bl_socket_conf_core();
    lookup *l = bl_zalloc(sizeof *l + len);
    memcpy(l->name, name, len);
    l->L = L;
    l->wait.cancel = cancelled;
    l->ask.resolver = core->resolver ? core->resolver : bl_resolver_system();
    l->ask.name = bl_str_of(l->name, len);
    l->ask.timeout_ms = (uint64_t)core->resolver_timeout;
    l->ask.done = resolved;
    l->ask.data = l;
    if (!bl_resolve_start(&l->ask))
        return bl_wait_begin(&l->wait, L, -1);
    int results = l->results;
    bl_free(l);
    return results;
}

void bl_lua_open_lookup(lua_State *L)
{
    lua_pushcfunction(L, l_lookup);
    bl_lua_vm_offer(L, "bulan.lookup");
}
