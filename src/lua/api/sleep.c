#include "lua/api/sleep.h"
#include "lua/fault.h"

static int over(bl_wait *w, lua_State *L BL_UNUSED)
{
    const bl_request *r = BL_CONTAINER(w, bl_task, own)->run->request;

    if (r)
        bl_debug(r->log, "lua sleep timer expired: \"%.*s?%.*s\"", BL_STR_ARG(r->uri),
                 BL_STR_ARG(r->args));
    return 0;
}

static void cancelled(bl_wait *w BL_UNUSED)
{
    bl_debug(&bl_log_process, "lua clean up the timer for pending ngx.sleep");
}

static int l_sleep(lua_State *L)
{
    int count = lua_gettop(L);

    if (count != 1)
        return luaL_error(L, "attempt to pass %d arguments, but accepted 1", count);
    double seconds = luaL_checknumber(L, 1);
    if (!(seconds >= 0 && seconds < 1e12))
        return luaL_error(L, "invalid sleep duration \"%d\"", (int)(seconds * 1000));
    bl_task *task = bl_task_may_wait(L);
    bl_debug(bl_lua_log(), "lua ready to sleep for %lld ms", (long long)(seconds * 1000));
    task->own.cancel = cancelled;
    task->own.expire = over;
    return bl_wait_begin(&task->own, L, (int64_t)(seconds * 1000 + 0.5));
}

void bl_lua_open_sleep(lua_State *L)
{
    lua_pushcfunction(L, l_sleep);
    lua_setfield(L, -2, "sleep");
}
