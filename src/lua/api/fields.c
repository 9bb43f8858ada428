#include "lua/api/fields.h"
#include "lua/api/args.h"
#include "lua/recall.h"
#include "lua/vm.h"

enum {
    SPELLINGS = 1024,
    SPELLING_MAX = 39, /* bytes of a name that is remembered */
};

/* A spelling of a name ("User-Agent"), and the registry reference of "user-agent". */
typedef struct spelling {
    char text[SPELLING_MAX];
    unsigned char len; /* 0: nothing here yet */
    int ref;           /* 0: none yet */
} spelling;

struct bl_lua_fields {
    spelling spellings[SPELLINGS];
    bl_recall sections; /* of header fields */
    bl_recall queries;
};

/* ------------------------------------------------------------- names */

static void push_lower(lua_State *L, bl_str name)
{
    char small[256], *lower = name.len <= sizeof small ? small : lua_newuserdata(L, name.len);

    bl_str_lower(lower, name);
    lua_pushlstring(L, lower, name.len);
    if (lower != small)
        lua_remove(L, -2);
}

static void remember_spelling(lua_State *L, spelling *s, bl_str name)
{
    lua_pushvalue(L, -1);
    if (s->ref == 0)
        s->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    else
        lua_rawseti(L, LUA_REGISTRYINDEX, s->ref);
    memcpy(s->text, name.p, name.len);
    s->len = (unsigned char)name.len;
}

static void push_name(lua_State *L, bl_lua_fields *f, bl_str name, uint32_t hash)
{
    /* the hash knows no case, but "Host" and "host" are not to take each other's place */
    spelling *s = &f->spellings[(hash + (name.len ? (unsigned char)name.p[0] : 0)) % SPELLINGS];

    if (BL_LIKELY(name.len && s->len == name.len && memcmp(s->text, name.p, name.len) == 0)) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, s->ref);
        return;
    }
    push_lower(L, name);
    if (name.len && name.len <= SPELLING_MAX)
        remember_spelling(L, s, name);
}

/* ------------------------------------------------------------- tables */

/* A second value for the name on top of the table at -2; the name is popped. */
static void add_to_list(lua_State *L, bl_str value)
{
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (!lua_istable(L, -1)) { /* table name old */
        lua_createtable(L, 4, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -5);
    }
    lua_pushlstring(L, value.p, value.len);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    lua_pop(L, 2);
}

static bool has_name(lua_State *L)
{
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    bool found = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return found;
}

/* The name is on top of the table. `fresh`: it certainly was not there before. False: it was. */
static bool add_value(lua_State *L, bl_str value, bool fresh)
{
    if (!fresh && has_name(L)) {
        add_to_list(L, value);
        return false;
    }
    lua_pushlstring(L, value.p, value.len);
    lua_rawset(L, -3);
    return true;
}

void bl_lua_add_field(lua_State *L, bl_str name, bl_str value, bool raw)
{
    if (raw)
        lua_pushlstring(L, name.p, name.len);
    else
        push_name(L, bl_lua_now.vm->fields, name, bl_header_hash(name));
    add_value(L, value, false);
}

/* `more`: so many fields will be added to the table. */
static bl_lua_made push_table(lua_State *L, const bl_headers *headers, int max, bool raw, int more)
{
    bl_lua_fields *f = raw ? NULL : bl_lua_now.vm->fields;
    uint64_t met = 0; /* a bit for each class of names that was met: another class is a new name */
    int left = max > 0 ? max : INT32_MAX;
    bl_lua_made result = {true, true};

    lua_createtable(L, 0, (int)BL_MIN(headers->count, (uint32_t)BL_ARGS_MAX) + more);
    BL_HEADERS_EACH(h, headers)
    {
        if (left-- == 0) {
            result.whole = false;
            break;
        }
        uint64_t class = 1ull << (h->hash >> 26);
        if (raw)
            lua_pushlstring(L, h->name.p, h->name.len);
        else
            push_name(L, f, h->name, h->hash);
        result.flat &= add_value(L, h->value, !(met & class));
        met |= class;
    }
    return result;
}

bool bl_lua_push_fields(lua_State *L, const bl_headers *headers, int max, bool raw, int more)
{
    return push_table(L, headers, max, raw, more).whole;
}

/* ------------------------------------------------------------- what was seen before */

BL_HOT int bl_lua_fields_known(void)
{
    const bl_request *r = bl_lua_now.request;

    if (BL_UNLIKELY(r == NULL || !(bl_lua_now.phase & BL_LUA_REAL)) || r->in.text.p == NULL)
        return 0;
    return bl_recall_find(&bl_lua_now.vm->fields->sections, r->in.text);
}

BL_HOT int bl_lua_args_known(void)
{
    const bl_request *r = bl_lua_now.request;

    if (BL_UNLIKELY(r == NULL || !(bl_lua_now.phase & BL_LUA_REAL)))
        return 0;
    return r->args.len ? bl_recall_find(&bl_lua_now.vm->fields->queries, r->args) : -1;
}

bool bl_lua_push_request_fields(lua_State *L, const bl_headers *headers)
{
    bl_recall *recall = &bl_lua_now.vm->fields->sections;
    bl_lua_made made = push_table(L, headers, BL_ARGS_MAX, false, 0);

    if (made.whole && made.flat && headers->text.p && bl_recall_wants(recall, headers->text)) {
        push_table(L, headers, 0, false, 0);
        bl_recall_keep(L, recall, headers->text);
    }
    return made.whole;
}

bool bl_lua_push_request_args(lua_State *L, bl_str args)
{
    bl_recall *recall = &bl_lua_now.vm->fields->queries;

    lua_createtable(L, 0, args.len ? 4 : 0);
    bl_lua_made made = bl_args_decode(L, args, BL_ARGS_MAX, true);
    if (made.whole && made.flat && bl_recall_wants(recall, args)) {
        lua_newtable(L);
        bl_args_decode(L, args, 0, true);
        bl_recall_keep(L, recall, args);
    }
    return made.whole;
}

static void offer(lua_State *L, const bl_recall *recall, const char *name)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, recall->tables);
    bl_lua_vm_offer(L, name);
}

void bl_lua_open_fields(lua_State *L)
{
    bl_lua_fields *f = lua_newuserdata(L, sizeof *f);

    memset(f, 0, sizeof *f);
    luaL_ref(L, LUA_REGISTRYINDEX);
    bl_recall_open(L, &f->sections);
    bl_recall_open(L, &f->queries);
    offer(L, &f->sections, "bulan.fields");
    offer(L, &f->queries, "bulan.args");
    bl_lua_now.vm->fields = f;
}
