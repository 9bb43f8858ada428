#include "lua/reload.h"
#include "core/time.h"
#include "lua/fault.h"
#include "lua/vm.h"

#include <errno.h>
#include <sys/stat.h>

enum {
    LOOK_MS = 20, /* between two looks at the files */
};

/* Pushes a function of lualib/bulan/reload.lua. */
static void push_function(lua_State *L, const char *name)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "bulan.reload");
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

/* ------------------------------------------------------------- requests */

/* A module's top level may end the run that loads it (ngx.exit, lua_block_abort). */
static void looked(bl_run *run)
{
    if (run->outcome != BL_RUN_RETURNED) {
        lua_State *L = run->vm->L;
        push_function(L, "abandon");
        if (lua_pcall(L, 0, 0, 0) != 0)
            lua_pop(L, 1);
    }
    bl_run_free(run);
}

static void look(bl_lua_vm *vm)
{
    vm->looked_ms = bl_now_ms();
    bl_run *run = bl_run_new(vm, NULL, BL_LUA_TIMER, looked);
    push_function(vm->L, "check");
    lua_xmove(vm->L, run->entry->L, 1);
    if (bl_run_start(run, 0))
        looked(run);
}

void bl_lua_reload_enter(bl_lua_ctx *ctx)
{
    bl_lua_vm *vm = ctx->vm;

    if (bl_lua_now.task == NULL && bl_now_ms() - vm->looked_ms >= LOOK_MS)
        look(vm);
    ctx->epoch = vm->epoch;
    bl_list_push(&vm->watched, &ctx->watched);
    bl_lua_ctx_cleanup(ctx);
}

void bl_lua_reload_leave(bl_lua_ctx *ctx)
{
    bl_list_remove(&ctx->watched);
}

double bl_lua_reload_epoch(void)
{
    const bl_lua_ctx *ctx = bl_lua_ctx_here();

    return ctx ? (double)ctx->epoch : 0;
}

double bl_lua_reload_oldest(void)
{
    const bl_lua_vm *vm = bl_lua_now.vm;

    if (bl_list_empty(&vm->watched))
        return (double)vm->epoch;
    return (double)BL_LIST_FIRST(&vm->watched, bl_lua_ctx, watched)->epoch;
}

double bl_lua_reload_next(void)
{
    return (double)++bl_lua_now.vm->epoch;
}

/* ------------------------------------------------------------- handlers' files */

bool bl_lua_reload_push(lua_State *L, const char *path)
{
    push_function(L, "file");
    lua_pushstring(L, path);
    if (lua_pcall(L, 1, 1, 0) == 0 && lua_isfunction(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

void bl_lua_reload_keep(lua_State *L, const char *path)
{
    push_function(L, "keep");
    lua_pushstring(L, path);
    lua_pushvalue(L, -3);
    if (lua_pcall(L, 2, 0, 0) != 0)
        lua_pop(L, 1);
}

/* ------------------------------------------------------------- what Lua needs */

/* stat(PATH): a string that changes when the file does; nil when there is none. */
static int l_stat(lua_State *L)
{
    struct stat st;

    if (stat(luaL_checkstring(L, 1), &st) != 0)
        return 0;
    lua_pushfstring(L, "%f %f %f %f", (lua_Number)st.st_mtim.tv_sec, (lua_Number)st.st_mtim.tv_nsec,
                    (lua_Number)st.st_size, (lua_Number)st.st_ino);
    return 1;
}

/* compile(PATH): a handler's function, or nil and what is wrong. */
static int l_compile(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int err = bl_lua_code_load_path(L, path);

    if (err == 0)
        return 1;
    lua_pushnil(L);
    if (err > 0)
        lua_pushfstring(L, "cannot open %s: %s", path, strerror(err));
    else
        lua_insert(L, -2);
    return 2;
}

static int open_watch(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"stat", l_stat},
        {"compile", l_compile},
        {NULL, NULL},
    };

    lua_createtable(L, 0, 2);
    luaL_register(L, NULL, functions);
    bl_lua_vm_offer(L, "bulan.files");
    lua_getglobal(L, "require");
    lua_pushliteral(L, "bulan.reload");
    lua_call(L, 1, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "bulan.reload");
    return 0;
}

void bl_lua_reload_watch(bl_lua_vm *vm)
{
    vm->watch = true;
    vm->epoch = 1;
    bl_list_init(&vm->watched);
    bl_lua_vm_protected(vm, open_watch, "watching Lua files failed");
}
