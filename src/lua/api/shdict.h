/* lua_shared_dict and ngx.shared.DICT: zones of shared memory with a core/dict.h dictionary in
 * each. lualib/resty/core/shdict.lua calls the functions here through the FFI. */
#ifndef BL_LUA_API_SHDICT_H
#define BL_LUA_API_SHDICT_H

#include "core/dict.h"
#include "http/http.h"

#include <lua.h>

extern bl_module bl_lua_shdict_module;

/* Pushes the array of {name, dictionary} of the generation; opens the family. */
void bl_lua_open_shdict(lua_State *L);
/* ngx.shared of a configuration, in the table on top: also for VMs of threads. */
void bl_lua_shdict_zones(lua_State *L, const bl_generation *g);

/* A value on its way between Lua and the dictionary. Declared again in shdict.lua. */
typedef struct bl_lua_shdict_value {
    int type; /* bl_dict_type */
    uint32_t flags;
    double number;
    const char *str;
    size_t len;
    bool stale, forcible;
} bl_lua_shdict_value;

enum {
    BL_LUA_SHDICT_SET,
    BL_LUA_SHDICT_ADD,
    BL_LUA_SHDICT_REPLACE,
    BL_LUA_SHDICT_SAFE_SET,
    BL_LUA_SHDICT_SAFE_ADD,
};

/* All return a bl_dict_result. Strings come in `buffer` of `room` bytes; BL_DICT_SMALL_BUFFER:
 * v->len says how many are needed. */
int bl_lua_shdict_get(bl_dict *dict, const char *key, size_t key_len, bool stale, char *buffer,
                      size_t room, bl_lua_shdict_value *v);
int bl_lua_shdict_store(bl_dict *dict, int how, const char *key, size_t key_len, double ttl,
                        bl_lua_shdict_value *v);
int bl_lua_shdict_delete(bl_dict *dict, const char *key, size_t key_len);
/* v->number: what to add, then the result; *init NULL: none. ttl in seconds. */
int bl_lua_shdict_incr(bl_dict *dict, const char *key, size_t key_len, const double *init,
                       double init_ttl, bl_lua_shdict_value *v);
int bl_lua_shdict_incr_ttl(bl_dict *dict, const char *key, size_t key_len, const double *init,
                           double ttl, bl_lua_shdict_value *v);
int bl_lua_shdict_swap(bl_dict *dict, const char *key, size_t key_len, double ttl,
                       const bl_lua_shdict_value *expected, bl_lua_shdict_value *v);
void bl_lua_shdict_measure(bl_dict *dict, bl_dict_usage *usage);
int bl_lua_shdict_push(bl_dict *dict, bool left, const char *key, size_t key_len,
                       const bl_lua_shdict_value *v, uint32_t *length);
int bl_lua_shdict_pop(bl_dict *dict, bool left, const char *key, size_t key_len, char *buffer,
                      size_t room, bl_lua_shdict_value *v);
int bl_lua_shdict_llen(bl_dict *dict, const char *key, size_t key_len, uint32_t *length);
/* Seconds; 0 when it never expires. */
int bl_lua_shdict_ttl(bl_dict *dict, const char *key, size_t key_len, double *ttl);
int bl_lua_shdict_expire(bl_dict *dict, const char *key, size_t key_len, double ttl);
double bl_lua_shdict_flush_expired(bl_dict *dict, double max);

#endif
