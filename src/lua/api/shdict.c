#include "lua/api/shdict.h"
#include "core/time.h"
#include "http/http_block.h"
#include "lua/vm.h"
#include "os/shm.h"

#include <lauxlib.h>

/* ------------------------------------------------------------- zones */

static bool init_zone(bl_zone *zone, void *before)
{
    if (before) {
        zone->data = before;
        return true;
    }
    zone->data = bl_dict_create(zone->memory, zone->size);
    if (zone->data == NULL)
        bl_log_write(BL_LOG_EMERG, &bl_log_process, 0,
                     "the shared dictionary \"%.*s\" is too small or too large",
                     BL_STR_ARG(zone->name));
    return zone->data != NULL;
}

static void take_over(bl_zone *zone, const bl_zone *before)
{
    bl_dict_copy(before->data, zone->data, bl_clock_here()->mono_ms);
}

static bool read_shared_dict(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                             void *field BL_UNUSED)
{
    bl_str name = bl_conf_arg(node, 1);
    int64_t size = bl_conf_size(bl_conf_arg(node, 2));

    if (name.len == 0)
        return bl_conf_error(cf, node, 1, "invalid lua shared dict name \"%.*s\"",
                             BL_STR_ARG(name));
    if (size < BL_DICT_SIZE_MIN)
        return bl_conf_error(cf, node, 2, "invalid lua shared dict size \"%.*s\"",
                             BL_STR_ARG(bl_conf_arg(node, 2)));
    BL_LIST_EACH (it, &cf->generation->zones) {
        const bl_zone *other = BL_CONTAINER(it, bl_zone, link);
        if (other->owner == &bl_lua_shdict_module && bl_str_eq(other->name, name))
            return bl_conf_error(cf, node, 1,
                                 "lua_shared_dict \"%.*s\" is already defined as \"%.*s\"",
                                 BL_STR_ARG(name), BL_STR_ARG(name));
    }
    bl_zone *zone = bl_zone_add(cf, name, (size_t)size, &bl_lua_shdict_module);
    if (zone == NULL)
        return false;
    zone->init = init_zone;
    zone->take_over = take_over;
    return true;
}

static const bl_directive directives[] = {
    {"lua_shared_dict", BL_IN_HTTP, BL_TAKE2 | BL_REPEATS, &bl_type_action,
     .set = read_shared_dict},
    {0},
};

bl_module bl_lua_shdict_module = {.name = "lua_shared_dict", .directives = directives};

static int push_keys(lua_State *L);
static int push_scan(lua_State *L);

/* ngx.shared = {name = pointer}: shdict.lua makes dictionaries of the pointers. */
void bl_lua_shdict_zones(lua_State *L, const bl_generation *g)
{
    lua_newtable(L);
    BL_LIST_EACH (it, &g->zones) {
        const bl_zone *zone = BL_CONTAINER(it, bl_zone, link);
        if (zone->owner != &bl_lua_shdict_module)
            continue;
        lua_pushlstring(L, zone->name.p, zone->name.len);
        lua_pushlightuserdata(L, zone->data);
        lua_settable(L, -3);
    }
    lua_setfield(L, -2, "shared");
    lua_pushcfunction(L, push_keys);
    lua_setfield(L, -2, "bl_shdict_keys"); /* taken away again by shdict.lua */
    lua_pushcfunction(L, push_scan);
    lua_setfield(L, -2, "bl_shdict_scan");
}

void bl_lua_open_shdict(lua_State *L)
{
    bl_lua_shdict_zones(L, bl_lua_now.vm->generation);
}

/* ------------------------------------------------------------- values */

static uint64_t ms_of(double seconds)
{
    if (!(seconds > 0))
        return 0;
    return seconds > 1e15 ? 0 : BL_MAX((uint64_t)(seconds * 1000), 1u);
}

static bl_dict_value from_lua(const bl_lua_shdict_value *v)
{
    return (bl_dict_value){.type = (bl_dict_type)v->type,
                           .flags = v->flags,
                           .number = v->number,
                           .str = bl_str_of(v->str, v->len)};
}

static int to_lua(bl_dict_result result, const bl_dict_value *from, bl_lua_shdict_value *v)
{
    v->type = from->type;
    v->flags = from->flags;
    v->number = from->number;
    v->str = from->str.p;
    v->len = from->str.len;
    return result;
}

/* ------------------------------------------------------------- functions */

int bl_lua_shdict_get(bl_dict *dict, const char *key, size_t key_len, bool stale, char *buffer,
                      size_t room, bl_lua_shdict_value *v)
{
    bl_dict_value value = {0};
    bl_str k = bl_str_of(key, key_len);
    bl_dict_result result;

    v->stale = false;
    if (stale)
        result =
            bl_dict_get_stale(dict, k, bl_clock_here()->mono_ms, buffer, room, &value, &v->stale);
    else
        result = bl_dict_get(dict, k, bl_clock_here()->mono_ms, buffer, room, &value);
    return to_lua(result, &value, v);
}

int bl_lua_shdict_store(bl_dict *dict, int how, const char *key, size_t key_len, double ttl,
                        bl_lua_shdict_value *v)
{
    bl_dict_value value = from_lua(v);
    bl_str k = bl_str_of(key, key_len);
    uint64_t ms = ms_of(ttl), now = bl_clock_here()->mono_ms;

    v->forcible = false;
    switch (how) {
    case BL_LUA_SHDICT_ADD:
        return bl_dict_add(dict, k, &value, ms, now, &v->forcible);
    case BL_LUA_SHDICT_REPLACE:
        return bl_dict_replace(dict, k, &value, ms, now, &v->forcible);
    case BL_LUA_SHDICT_SAFE_SET:
        return bl_dict_safe_set(dict, k, &value, ms, now);
    case BL_LUA_SHDICT_SAFE_ADD:
        return bl_dict_safe_add(dict, k, &value, ms, now);
    default:
        return bl_dict_set(dict, k, &value, ms, now, &v->forcible);
    }
}

int bl_lua_shdict_delete(bl_dict *dict, const char *key, size_t key_len)
{
    return bl_dict_delete(dict, bl_str_of(key, key_len));
}

int bl_lua_shdict_incr(bl_dict *dict, const char *key, size_t key_len, const double *init,
                       double init_ttl, bl_lua_shdict_value *v)
{
    v->forcible = false;
    return bl_dict_incr(dict, bl_str_of(key, key_len), v->number, init, ms_of(init_ttl),
                        bl_clock_here()->mono_ms, &v->number, &v->forcible);
}

int bl_lua_shdict_incr_ttl(bl_dict *dict, const char *key, size_t key_len, const double *init,
                           double ttl, bl_lua_shdict_value *v)
{
    v->forcible = false;
    return bl_dict_incr_ttl(dict, bl_str_of(key, key_len), v->number, init, ms_of(ttl),
                            bl_clock_here()->mono_ms, &v->number, &v->forcible);
}

int bl_lua_shdict_swap(bl_dict *dict, const char *key, size_t key_len, double ttl,
                       const bl_lua_shdict_value *expected, bl_lua_shdict_value *v)
{
    bl_dict_value old = from_lua(expected), value = from_lua(v);

    v->forcible = false;
    return bl_dict_swap(dict, bl_str_of(key, key_len), &old, &value, ms_of(ttl),
                        bl_clock_here()->mono_ms, &v->forcible);
}

void bl_lua_shdict_measure(bl_dict *dict, bl_dict_usage *usage)
{
    bl_dict_measure(dict, bl_clock_here()->mono_ms, usage);
}

int bl_lua_shdict_push(bl_dict *dict, bool left, const char *key, size_t key_len,
                       const bl_lua_shdict_value *v, uint32_t *length)
{
    bl_dict_value value = from_lua(v);
    bl_str k = bl_str_of(key, key_len);

    return left ? bl_dict_lpush(dict, k, &value, bl_clock_here()->mono_ms, length)
                : bl_dict_rpush(dict, k, &value, bl_clock_here()->mono_ms, length);
}

int bl_lua_shdict_pop(bl_dict *dict, bool left, const char *key, size_t key_len, char *buffer,
                      size_t room, bl_lua_shdict_value *v)
{
    bl_dict_value value = {0};
    bl_str k = bl_str_of(key, key_len);
    bl_dict_result result =
        left ? bl_dict_lpop(dict, k, bl_clock_here()->mono_ms, buffer, room, &value)
             : bl_dict_rpop(dict, k, bl_clock_here()->mono_ms, buffer, room, &value);

    return to_lua(result, &value, v);
}

int bl_lua_shdict_llen(bl_dict *dict, const char *key, size_t key_len, uint32_t *length)
{
    return bl_dict_llen(dict, bl_str_of(key, key_len), bl_clock_here()->mono_ms, length);
}

int bl_lua_shdict_ttl(bl_dict *dict, const char *key, size_t key_len, double *ttl)
{
    uint64_t ms = 0;
    bl_dict_result result =
        bl_dict_ttl(dict, bl_str_of(key, key_len), bl_clock_here()->mono_ms, &ms);

    *ttl = (double)ms / 1000;
    return result;
}

int bl_lua_shdict_expire(bl_dict *dict, const char *key, size_t key_len, double ttl)
{
    return bl_dict_expire(dict, bl_str_of(key, key_len), ms_of(ttl), bl_clock_here()->mono_ms);
}

double bl_lua_shdict_flush_expired(bl_dict *dict, double max)
{
    return (double)bl_dict_flush_expired(dict, max > 0 ? (uint64_t)max : 0,
                                         bl_clock_here()->mono_ms);
}

/* get_keys: the keys go straight into a table, which Lua's allocator may refuse: so not by the FFI.
 */
typedef struct gathering {
    lua_State *L;
    int count;
} gathering;

static bool add_key(void *arg, bl_str key)
{
    gathering *g = arg;

    lua_pushlstring(g->L, key.p, key.len);
    lua_rawseti(g->L, -2, ++g->count);
    return true;
}

static int push_keys(lua_State *L)
{
    bl_dict *dict = lua_touserdata(L, 1);
    double max = luaL_checknumber(L, 2);
    gathering g = {.L = L};

    lua_newtable(L);
    bl_dict_keys(dict, max > 0 ? (uint64_t)max : 0, bl_clock_here()->mono_ms, add_key, &g);
    return 1;
}

/* (dictionary, cursor, max): the next cursor and an array of keys. */
static int push_scan(lua_State *L)
{
    bl_dict *dict = lua_touserdata(L, 1);
    double cursor = luaL_checknumber(L, 2), max = luaL_checknumber(L, 3);
    gathering g = {.L = L};

    lua_newtable(L);
    uint64_t next =
        bl_dict_scan(dict, cursor > 0 ? (uint64_t)cursor : 0, max > 1 ? (uint64_t)max : 1,
                     bl_clock_here()->mono_ms, add_key, &g);
    lua_pushnumber(L, (lua_Number)next);
    lua_insert(L, -2);
    return 2;
}
