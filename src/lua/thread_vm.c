#include "lua/thread_vm.h"
#include "core/mem.h"
#include "lua/api/misc.h"
#include "lua/api/shdict.h"
#include "lua/module.h"
#include "lua/vm.h"

#include <lauxlib.h>

enum {
    DEPTH_MAX = 100,       /* of nested tables that are copied */
    GARBAGE_MAX_KB = 2048, /* more is collected before the next call */
};

/* ------------------------------------------------------------- a VM's life */

bl_thread_vm *bl_lua_thread_vm_take(bl_lua_vm *owner)
{
    bl_thread_vm *vm;

    if (!bl_list_empty(&owner->thread_vms)) {
        vm = BL_LIST_FIRST(&owner->thread_vms, bl_thread_vm, link);
        bl_list_remove(&vm->link);
        return vm;
    }
    if (owner->thread_vm_count >= bl_lua_main_of(owner->generation)->thread_vms)
        return NULL;
    vm = bl_zalloc(sizeof *vm);
    vm->owner = owner;
    vm->L = luaL_newstate();
    BL_ASSERT(vm->L != NULL);
    owner->thread_vm_count++;
    return vm;
}

void bl_lua_thread_vm_give(bl_thread_vm *vm)
{
    lua_settop(vm->L, 0);
    bl_list_unshift(&vm->owner->thread_vms, &vm->link);
}

void bl_lua_thread_vms_close(bl_lua_vm *owner)
{
    while (!bl_list_empty(&owner->thread_vms)) {
        bl_thread_vm *vm = BL_LIST_FIRST(&owner->thread_vms, bl_thread_vm, link);
        bl_list_remove(&vm->link);
        lua_close(vm->L);
        bl_free(vm);
    }
}

/* ------------------------------------------------------------- in the thread */

static const char *const families[] = {
    "resty.core.base", "resty.core.uri",    "resty.core.base64",
    "resty.core.hash", "resty.core.shdict",
};

static int boot(lua_State *L)
{
    const bl_thread_vm *vm = lua_touserdata(L, 1);
    const bl_generation *g = vm->owner->generation;

    bl_lua_vm_libraries(L, g);
    lua_newtable(L);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    bl_lua_misc_config(L, g);
    bl_lua_shdict_zones(L, g);
    lua_pushvalue(L, -1);
    lua_setglobal(L, "ngx");
    for (size_t i = 0; i < BL_COUNTOF(families); i++) {
        lua_getglobal(L, "require");
        lua_pushstring(L, families[i]);
        lua_call(L, 1, 0);
    }
    return 0;
}

/* module, function, arguments … -> results */
static int call(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
    lua_replace(L, 2);
    lua_settop(L, lua_gettop(L) - 1);
    lua_call(L, lua_gettop(L) - 2, LUA_MULTRET);
    return lua_gettop(L) - 1;
}

bool bl_lua_thread_vm_call(bl_thread_vm *vm, int args)
{
    lua_State *L = vm->L;

    if (!vm->ready && lua_cpcall(L, boot, vm) != 0)
        return false;
    vm->ready = true;
    if (lua_gc(L, LUA_GCCOUNT, 0) > GARBAGE_MAX_KB)
        lua_gc(L, LUA_GCCOLLECT, 0);
    lua_pushcfunction(L, call);
    lua_insert(L, 1);
    return lua_pcall(L, args + 2, LUA_MULTRET, 0) == 0;
}

/* ------------------------------------------------------------- values between VMs */

static const char *copy(lua_State *from, int index, lua_State *to, int depth);

/* The names are those of the C API's types. */
static const char *unsupported(int type)
{
    switch (type) {
    case LUA_TFUNCTION:
        return "unsupported Lua type: LUA_TFUNCTION";
    case LUA_TUSERDATA:
        return "unsupported Lua type: LUA_TUSERDATA";
    case LUA_TLIGHTUSERDATA:
        return "unsupported Lua type: LUA_TLIGHTUSERDATA";
    case LUA_TTHREAD:
        return "unsupported Lua type: LUA_TTHREAD";
    default:
        return "unsupported Lua type: LUA_TCDATA";
    }
}

static const char *copy_table(lua_State *from, int index, lua_State *to, int depth)
{
    const char *error = NULL;

    if (depth >= DEPTH_MAX)
        return "suspicious circular references, table depth exceed max depth: 100";
    lua_newtable(to);
    lua_pushnil(from);
    while (error == NULL && lua_next(from, index)) {
        int value = lua_gettop(from);
        int top = lua_gettop(to);
        if ((error = copy(from, value - 1, to, depth + 1)) == NULL &&
            (error = copy(from, value, to, depth + 1)) == NULL)
            lua_rawset(to, -3);
        else
            lua_settop(to, top);
        lua_pop(from, 1);
    }
    if (error) {
        lua_pop(from, 1);
        lua_pop(to, 1);
    }
    return error;
}

static const char *copy(lua_State *from, int index, lua_State *to, int depth)
{
    const char *text;
    size_t len;

    if (!lua_checkstack(from, 8) || !lua_checkstack(to, 8))
        return "out of stack";
    switch (lua_type(from, index)) {
    case LUA_TNIL:
        lua_pushnil(to);
        return NULL;
    case LUA_TBOOLEAN:
        lua_pushboolean(to, lua_toboolean(from, index));
        return NULL;
    case LUA_TNUMBER:
        lua_pushnumber(to, lua_tonumber(from, index));
        return NULL;
    case LUA_TSTRING:
        text = lua_tolstring(from, index, &len);
        lua_pushlstring(to, text, len);
        return NULL;
    case LUA_TTABLE:
        return copy_table(from, index, to, depth);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(from, index) == NULL) {
            lua_pushlightuserdata(to, NULL);
            return NULL;
        }
        /* fall through */
    default:
        return unsupported(lua_type(from, index));
    }
}

const char *bl_lua_thread_vm_copy(lua_State *from, int index, lua_State *to)
{
    return copy(from, index, to, 0);
}
