#include "lua/vm.h"
#include "core/mem.h"
#include "lua/cjson.h"
#include "lua/embedded.h"
#include "lua/fault.h"
#include "lua/module.h"
#include "lua/watch.h"
#include "lua/thread_vm.h"

#include <lualib.h>
#include <stdlib.h>

/* ------------------------------------------------------------- libraries inside the binary */

static int load_embedded(lua_State *L, const bl_embedded *library)
{
    luaL_gsub(L, library->name, ".", "/");
    lua_pushfstring(L, "@lualib/%s.lua", lua_tostring(L, -1));
    if (luaL_loadbuffer(L, library->source, library->length, lua_tostring(L, -1)) != 0)
        return lua_error(L);
    return 1;
}

/* ngx.* and resty.core are part of the server: no file of that name gets in their way. */
static bool is_ours(const char *name)
{
    return strncmp(name, "ngx.", 4) == 0 || strncmp(name, "bulan.", 6) == 0 ||
           strcmp(name, "resty.core") == 0 || strncmp(name, "resty.core.", 11) == 0;
}

static int search_own(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const bl_embedded *library = is_ours(name) ? bl_embedded_find(bl_str_c(name)) : NULL;

    if (library)
        return load_embedded(L, library);
    lua_pushliteral(L, "");
    return 1;
}

static const char user_path_key; /* in the registry: package.path without what the system has */

/* A file on the configured path, or below the prefix, goes before what the binary carries. */
static bool is_on_user_path(lua_State *L, const char *name)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchpath");
    lua_pushstring(L, name);
    lua_pushlightuserdata(L, (void *)&user_path_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_call(L, 2, 1);
    bool found = lua_isstring(L, -1);
    lua_pop(L, 2);
    return found;
}

static int search_embedded(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const bl_embedded *library = bl_embedded_find(bl_str_c(name));

    if (library && !is_on_user_path(L, name))
        return load_embedded(L, library);
    lua_pushfstring(L, "\n\tno library '%s' in the server itself", name);
    return 1;
}

/* package.loaders: preload, our own, what else the binary carries, files, C libraries. */
static void add_searchers(lua_State *L)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaders");
    int count = (int)lua_objlen(L, -1);
    for (int i = count; i >= 2; i--) {
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, i + 2);
    }
    lua_pushcfunction(L, search_own);
    lua_rawseti(L, -2, 2);
    lua_pushcfunction(L, search_embedded);
    lua_rawseti(L, -2, 3);
    lua_getfield(L, -2, "preload");
    lua_pushcfunction(L, luaopen_cjson);
    lua_setfield(L, -2, "cjson");
    lua_pushcfunction(L, luaopen_cjson_safe);
    lua_setfield(L, -2, "cjson.safe");
    lua_pop(L, 3);
}

/* ------------------------------------------------------------- package.path */

/* Replaces what `from` says in the string on top. */
static void replace_in_top(lua_State *L, const char *from, const char *to)
{
    luaL_gsub(L, lua_tostring(L, -1), from, to);
    lua_remove(L, -2);
}

/* Sets package.FIELD to what the configuration says: $prefix is the server's, ";;" what was there.
 */
static void set_path(lua_State *L, const char *field, bl_str setting, const char *prefix)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, field);
    const char *before = lua_tostring(L, -1);

    if (setting.len) {
        lua_pushlstring(L, setting.p, setting.len);
        replace_in_top(L, "${prefix}", prefix);
        replace_in_top(L, "$prefix", prefix);
        replace_in_top(L, ";;", ";\1;");
        replace_in_top(L, "\1", before);
        lua_setfield(L, -3, field);
    }
    lua_pop(L, 2);
}

/* What the server brings along is found below the prefix without any setting, unless the
 * environment says where to look. */
static void add_lualib(lua_State *L, const char *prefix)
{
    lua_getglobal(L, "package");
    if (getenv("LUA_PATH") == NULL) {
        lua_getfield(L, -1, "path");
        lua_pushfstring(L, "%slualib/?.lua;%slualib/?/init.lua;%s", prefix, prefix,
                        lua_tostring(L, -1));
        lua_setfield(L, -3, "path");
        lua_pop(L, 1);
    }
    if (getenv("LUA_CPATH") == NULL) {
        lua_getfield(L, -1, "cpath");
        lua_pushfstring(L, "%slualib/?.so;%s", prefix, lua_tostring(L, -1));
        lua_setfield(L, -3, "cpath");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void push_package_field(lua_State *L, const char *field)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, field);
    lua_remove(L, -2);
}

static void set_paths(lua_State *L, const bl_generation *g)
{
    const bl_lua_main *main = bl_lua_main_of(g);
    const char *prefix = g->prefix.p;

    lua_pushlightuserdata(L, (void *)&user_path_key);
    push_package_field(L, "path");
    add_lualib(L, prefix);
    set_path(L, "path", main->package_path, prefix);
    set_path(L, "cpath", main->package_cpath, prefix);
    push_package_field(L, "path");
    luaL_gsub(L, lua_tostring(L, -1), lua_tostring(L, -2), "");
    lua_replace(L, -3);
    lua_pop(L, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

void bl_lua_vm_libraries(lua_State *L, const bl_generation *g)
{
    luaL_openlibs(L);
    add_searchers(L);
    set_paths(L, g);
}

void bl_lua_vm_offer(lua_State *L, const char *name)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaded");
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, name);
    lua_pop(L, 3);
}

/* ------------------------------------------------------------- birth */

static int new_table_ref(lua_State *L)
{
    lua_newtable(L);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Under protection: the families, then the Lua side of them. */
static int boot(lua_State *L)
{
    bl_lua_vm *vm = lua_touserdata(L, 1);

    bl_lua_vm_libraries(L, vm->generation);
    lua_newtable(L);
    for (const bl_lua_family *f = bl_lua_families; f->name; f++) {
        f->open(L);
        BL_ASSERT(lua_gettop(L) == 2);
    }
    lua_pushvalue(L, -1);
    lua_setglobal(L, "ngx");
    bl_lua_vm_offer(L, "ngx");
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->ctxs);
    bl_lua_vm_offer(L, "bulan.ctxs");
    lua_rawgeti(L, LUA_REGISTRYINDEX, vm->failed);
    bl_lua_vm_offer(L, "bulan.failed");
    lua_getglobal(L, "require");
    lua_pushliteral(L, "resty.core");
    lua_call(L, 1, 0);
    return 0;
}

static char *describe(void *data BL_UNUSED, char *at, char *end)
{
    uint32_t phase = bl_lua_now.phase;

    if (phase == 0 || phase & (BL_LUA_INIT | BL_LUA_EXIT_WORKER))
        return at;
    at = bl_log_put(at, end, ", context: %s", bl_lua_phase_context(phase));
    const char *origin = bl_lua_now.task ? bl_lua_now.task->run->origin : NULL;
    return origin ? bl_log_put(at, end, "%s", origin) : at;
}

void bl_lua_vm_log_alone(bl_lua_vm *vm)
{
    const bl_log_targets *targets = vm->generation->log;

    vm->own_log =
        (bl_log){.targets = targets ? targets : bl_log_process.targets, .describe = describe};
    vm->log = &vm->own_log;
}

static bl_lua_vm *allocate(bl_generation *g, bl_log *log)
{
    bl_lua_vm *vm = bl_zalloc(sizeof *vm);

    vm->magic = BL_LUA_VM_MAGIC;
    vm->refs = 1;
    vm->generation = g;
    vm->log = log;
    if (log == &bl_log_process)
        bl_lua_vm_log_alone(vm);
    vm->spare_max = (int)bl_lua_main_of(g)->thread_cache;
    bl_list_init(&vm->ready);
    bl_list_init(&vm->spare_tasks);
    bl_list_init(&vm->old_tasks);
    bl_list_init(&vm->timers);
    bl_list_init(&vm->thread_vms);
    bl_list_init(&vm->kin);
    if (bl_lua_vm_of(g)) {
        bl_list_push(&bl_lua_vm_of(g)->kin, &vm->kin);
        vm->exiting = bl_lua_vm_of(g)->exiting;
    }
    vm->L = luaL_newstate();
    BL_ASSERT(vm->L != NULL);
    vm->threads = new_table_ref(vm->L);
    vm->files = new_table_ref(vm->L);
    vm->ctxs = new_table_ref(vm->L);
    vm->failed = new_table_ref(vm->L);
    return vm;
}

bool bl_lua_vm_protected(bl_lua_vm *vm, lua_CFunction function, const char *what)
{
    bl_lua_here outer = bl_lua_now;

    bl_lua_now = (bl_lua_here){.vm = vm, .phase = BL_LUA_INIT};
    int code = lua_cpcall(vm->L, function, vm);
    if (code)
        bl_log_write(BL_LOG_EMERG, vm->log, 0, "%s: %s", what, bl_fault_text(vm->L));
    lua_settop(vm->L, 0);
    bl_lua_now = outer;
    return code == 0;
}

bl_lua_vm *bl_lua_vm_new(bl_generation *g, bl_log *log)
{
    bl_lua_vm *vm = allocate(g, log);

    if (bl_lua_vm_protected(vm, boot, "initialising the Lua VM failed"))
        return vm;
    bl_lua_vm_drop(vm);
    return NULL;
}

static int guard_globals(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "resty.core.globals");
    lua_call(L, 1, 0);
    return 0;
}

void bl_lua_vm_guard_globals(bl_lua_vm *vm)
{
    bl_lua_vm_protected(vm, guard_globals, "guarding Lua's globals failed");
}

void bl_lua_vm_unref_ctx(bl_lua_vm *vm, int ref)
{
    lua_rawgeti(vm->L, LUA_REGISTRYINDEX, vm->ctxs);
    luaL_unref(vm->L, -1, ref);
    lua_pop(vm->L, 1);
}

/* ------------------------------------------------------------- death */

bl_lua_vm *bl_lua_vm_hold(bl_lua_vm *vm)
{
    BL_CHECK(vm, BL_LUA_VM_MAGIC);
    vm->refs++;
    return vm;
}

static void free_spares(bl_lua_vm *vm)
{
    bl_list_splice(&vm->spare_tasks, &vm->old_tasks);
    while (!bl_list_empty(&vm->spare_tasks)) {
        bl_task *task = BL_LIST_FIRST(&vm->spare_tasks, bl_task, sibling);
        bl_list_remove(&task->sibling);
        bl_free(task);
    }
    for (bl_run *run; (run = vm->spare_runs) != NULL;) {
        vm->spare_runs = run->data;
        bl_free(run);
    }
}

void bl_lua_vm_drop(bl_lua_vm *vm)
{
    BL_CHECK(vm, BL_LUA_VM_MAGIC);
    if (--vm->refs > 0)
        return;
    bl_lua_here outer = bl_lua_now;
    bl_lua_now = (bl_lua_here){.vm = vm, .phase = BL_LUA_EXIT_WORKER};
    bl_list_remove(&vm->kin);
    bl_watch_detach(vm);
    bl_work_cancel(&vm->work);
    lua_close(vm->L);
    bl_lua_now = outer;
    free_spares(vm);
    bl_lua_thread_vms_close(vm);
    vm->magic = 0;
    bl_free(vm);
}
