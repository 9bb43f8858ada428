#include "lua/api/semaphore.h"
#include "lua/task.h"
#include "lua/vm.h"

/* Units that one may hold: a Lua number counts them. */
#define MOST 1000000000000000
/* Seconds from which on a timeout is none. */
#define FOREVER 1e12

typedef struct semaphore {
    int64_t count;
    bl_link waiting; /* bl_task.link */
} semaphore;

static const char type_name[] = "bulan.semaphore";

static semaphore *check(lua_State *L)
{
    return luaL_checkudata(L, 1, type_name);
}

static int l_new(lua_State *L)
{
    lua_Number n = luaL_optnumber(L, 1, 0);

    if (!(n >= 0 && n <= MOST))
        return luaL_error(L, "no negative number");
    semaphore *s = lua_newuserdata(L, sizeof *s);
    s->count = (int64_t)n;
    bl_list_init(&s->waiting);
    luaL_getmetatable(L, type_name);
    lua_setmetatable(L, -2);
    return 1;
}

static void lost(bl_wait *w);

/* Each unit wakes one, the one that has waited longest first. */
static void serve(semaphore *s, void (*end)(bl_wait *w, int results))
{
    while (s->count > 0 && !bl_list_empty(&s->waiting)) {
        bl_task *task = BL_LIST_FIRST(&s->waiting, bl_task, link);
        bl_list_remove(&task->link);
        s->count--;
        lua_pushboolean(task->L, true);
        task->own.lost = lost;
        end(&task->own, 1);
    }
}

/* Its unit is for the next one. */
static void lost(bl_wait *w)
{
    semaphore *s = w->object;

    w->lost = NULL;
    s->count++;
    serve(s, bl_wait_end_later);
}

static int l_post(lua_State *L)
{
    semaphore *s = check(L);
    lua_Number n = luaL_optnumber(L, 2, 1);

    if (!(n >= 1))
        return luaL_error(L, "no positive number");
    if (n > MOST || s->count > MOST - (int64_t)n)
        return luaL_error(L, "too many units");
    s->count += (int64_t)n;
    serve(s, bl_wait_end);
    lua_pushboolean(L, true);
    return 1;
}

static int timed_out(bl_wait *w, lua_State *L)
{
    bl_list_remove(&BL_CONTAINER(w, bl_task, own)->link);
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
}

static void cancelled(bl_wait *w)
{
    bl_list_remove(&BL_CONTAINER(w, bl_task, own)->link);
}

static int l_wait(lua_State *L)
{
    semaphore *s = check(L);
    lua_Number seconds = luaL_optnumber(L, 2, -1);

    if (s->count > 0 && bl_list_empty(&s->waiting)) {
        s->count--;
        lua_pushboolean(L, true);
        return 1;
    }
    if (seconds == 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "timeout");
        return 2;
    }
    bl_task *task = bl_task_may_wait(L);
    bl_list_push(&s->waiting, &task->link);
    task->own.object = s;
    task->own.cancel = cancelled;
    task->own.expire = timed_out;
    if (!(seconds >= 0 && seconds < FOREVER))
        seconds = -1;
    return bl_wait_begin(&task->own, L, seconds < 0 ? -1 : (int64_t)(seconds * 1000 + 0.5));
}

static int l_count(lua_State *L)
{
    semaphore *s = check(L);
    int64_t waiting = 0;

    BL_LIST_EACH (it, &s->waiting)
        waiting++;
    lua_pushnumber(L, (lua_Number)(s->count - waiting));
    return 1;
}

static int l_gc(lua_State *L)
{
    semaphore *s = check(L);

    while (!bl_list_empty(&s->waiting))
        bl_list_remove(s->waiting.next);
    return 0;
}

/* What ngx.semaphore is made of, under a name that programs don't see. */
void bl_lua_open_semaphore(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"post", l_post}, {"wait", l_wait}, {"count", l_count}, {"__gc", l_gc}, {NULL, NULL}};

    luaL_newmetatable(L, type_name);
    luaL_register(L, NULL, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, l_new);
    bl_lua_vm_offer(L, "bulan.semaphore");
}
