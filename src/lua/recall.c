#include "lua/recall.h"

#include <lauxlib.h>

static unsigned place_of(bl_str text)
{
    return bl_hash_sample(text) % BL_RECALL_PLACES;
}

BL_HOT int bl_recall_find(bl_recall *recall, bl_str text)
{
    if (text.len == 0 || text.len > BL_RECALL_MAX)
        return 0;
    unsigned i = place_of(text);
    if (recall->places[i].len != text.len || memcmp(recall->places[i].text, text.p, text.len) != 0)
        return 0;
    bl_habit_hit(&recall->places[i].habit);
    return (int)i + 1;
}

bool bl_recall_wants(bl_recall *recall, bl_str text)
{
    if (text.len == 0 || text.len > BL_RECALL_MAX)
        return false;
    uint32_t sample = bl_hash_sample(text);
    return bl_habit_takes(&recall->places[sample % BL_RECALL_PLACES].habit, sample);
}

/* array[number] = what is on top of L, which is popped. */
static void store(lua_State *L, int array, int number)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, array);
    lua_insert(L, -2);
    lua_rawseti(L, -2, number);
    lua_pop(L, 1);
}

void bl_recall_keep(lua_State *L, bl_recall *recall, bl_str text)
{
    unsigned i = place_of(text);

    recall->places[i].len = 0; /* should memory run out on the way */
    store(L, recall->tables, (int)i + 1);
    lua_pushlstring(L, text.p, text.len);
    recall->places[i].text = lua_tostring(L, -1);
    store(L, recall->texts, (int)i + 1);
    recall->places[i].len = text.len;
}

static int new_array(lua_State *L)
{
    lua_createtable(L, BL_RECALL_PLACES, 0);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

void bl_recall_open(lua_State *L, bl_recall *recall)
{
    memset(recall, 0, sizeof *recall);
    recall->texts = new_array(L);
    recall->tables = new_array(L);
}
