#include "lua/api/fields.h"
#include "lua/api/encode.h"
#include "lua/task.h"

static bl_request *request_here(void)
{
    return bl_lua_now.phase & BL_LUA_REAL ? bl_lua_now.request : NULL;
}

int bl_lua_request_fields(bl_lua_pair *to, int max)
{
    bl_request *r = request_here();
    int count = 0;

    if (r == NULL)
        return -1;
    BL_HEADERS_EACH(h, &r->in)
    {
        if (count == max)
            return -1;
        bl_lua_pair *pair = &to[count++];
        pair->value = h->value.p;
        pair->value_len = (int)h->value.len;
        pair->key_len = (int)h->name.len;
        pair->id = h->id;
        if (h->id == BL_H_OTHER) { /* Lua remembers the others' names */
            char *lower = bl_pool_bytes(r->pool, h->name.len);
            bl_str_lower(lower, h->name);
            pair->key = lower;
        } else {
            pair->key = h->name.p;
        }
    }
    return count;
}

static const char *decode(bl_request *r, const char *at, const char *end, int *len)
{
    size_t size = (size_t)(end - at);

    if (memchr(at, '%', size) == NULL && memchr(at, '+', size) == NULL) {
        *len = (int)size;
        return at;
    }
    char *to = bl_pool_bytes(r->pool, size);
    *len = (int)bl_lua_unescape_uri(to, at, size);
    return to;
}

int bl_lua_request_args(bl_lua_pair *to, int max)
{
    bl_request *r = request_here();
    int count = 0;

    if (r == NULL)
        return -1;
    const char *at = r->args.p, *end = at + r->args.len;
    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        if (stop == NULL)
            stop = end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        if (stop > at && equals != at) {
            if (count == max)
                return -1;
            bl_lua_pair *pair = &to[count++];
            pair->key = decode(r, at, equals ? equals : stop, &pair->key_len);
            pair->value_len = -1;
            if (equals)
                pair->value = decode(r, equals + 1, stop, &pair->value_len);
        }
        at = stop + 1;
    }
    return count;
}
