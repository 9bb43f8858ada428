#include "lua/api/header.h"
#include "core/time.h"
#include "http/error_page.h"
#include "lua/api/fields.h"
#include "lua/ctx.h"

/* ------------------------------------------------------------- fields with places of their own */

/* How a field that lives outside r->out.headers is read and written. */
typedef struct special {
    bl_header_id id;
    /* p NULL: not there */
    bl_str (*get)(bl_request *r);
    /* p NULL: taken out */
    void (*set)(bl_request *r, bl_str value);
} special;

static bl_str get_type(bl_request *r)
{
    const bl_response *o = &r->out;

    if (o->content_type.p == NULL || o->charset.p == NULL || o->charset_done)
        return o->content_type;
    bl_str parts[] = {o->content_type, BL_STR("; charset="), o->charset};
    return bl_pool_concat(r->pool, parts, 3);
}

static void set_type(bl_request *r, bl_str value)
{
    bl_lua_ctx_of(r)->no_type = value.p == NULL;
    r->out.content_type = value;
    r->out.charset = BL_STR_NONE;
    r->out.charset_done = value.p && bl_str_ifind(value, BL_STR("charset=")) >= 0;
}

static bl_str get_length(bl_request *r)
{
    if (r->out.content_length < 0)
        return BL_STR_NONE;
    char *text = bl_pool_alloc(r->pool, BL_U64_DIGITS);
    return bl_str_of(text, (size_t)(bl_u64_write(text, (uint64_t)r->out.content_length) - text));
}

static void set_length(bl_request *r, bl_str value)
{
    r->out.content_length = value.p ? bl_str_to_int(value) : -1;
}

static bl_str get_modified(bl_request *r)
{
    if (r->out.last_modified < 0)
        return BL_STR_NONE;
    char *to = bl_pool_bytes(r->pool, BL_TIME_HTTP_LEN);
    bl_time_http(to, r->out.last_modified);
    return bl_str_of(to, BL_TIME_HTTP_LEN);
}

static void set_modified(bl_request *r, bl_str value)
{
    r->out.last_modified = value.p ? bl_time_parse_http(value) : -1;
}

static bl_str get_etag(bl_request *r)
{
    return r->out.etag;
}

static void set_etag(bl_request *r, bl_str value)
{
    r->out.etag = value;
}

static bl_str get_location(bl_request *r)
{
    const bl_header *h = bl_headers_known(&r->out.headers, BL_H_LOCATION);

    return h ? h->value : r->out.location;
}

void bl_lua_set_location(bl_request *r, bl_str value)
{
    bl_str name = BL_STR("Location");
    bool path = value.len && value.p[0] == '/';

    r->out.location = path ? BL_STR_NONE : value;
    bl_headers_remove(&r->out.headers, name);
    if (path)
        bl_headers_add(&r->out.headers, r->pool, name, value);
}

static bl_str get_connection(bl_request *r)
{
    return r->keepalive ? BL_STR("keep-alive") : BL_STR("close");
}

static void set_connection(bl_request *r, bl_str value)
{
    if (value.p && bl_str_ieq(value, BL_STR("close")))
        r->keepalive = false;
}

/* Framing is the codec's: chunked when there is no length. */
static bl_str get_transfer(bl_request *r)
{
    return r->http_version == 1001 && r->out.content_length < 0 && r->output.begun
               ? BL_STR("chunked")
               : BL_STR_NONE;
}

static void set_transfer(bl_request *r BL_UNUSED, bl_str value BL_UNUSED)
{
}

static const special specials[] = {
    {BL_H_CONTENT_TYPE, get_type, set_type},
    {BL_H_CONTENT_LENGTH, get_length, set_length},
    {BL_H_LAST_MODIFIED, get_modified, set_modified},
    {BL_H_ETAG, get_etag, set_etag},
    {BL_H_LOCATION, get_location, bl_lua_set_location},
    {BL_H_CONNECTION, get_connection, set_connection},
    {BL_H_TRANSFER_ENCODING, get_transfer, set_transfer},
};

static const special *special_of(bl_header_id id)
{
    for (size_t i = 0; id && i < BL_COUNTOF(specials); i++) {
        if (specials[i].id == id)
            return &specials[i];
    }
    return NULL;
}

/* ------------------------------------------------------------- names and values without danger */

enum {
    IN_NAME = 1, /* unsafe there */
    IN_VALUE = 2,
};

#define BOTH (IN_NAME | IN_VALUE)
static const unsigned char unsafe[256] = {
    ['\0'] = BOTH,   [0x01 ... 0x09] = IN_NAME, ['\n'] = BOTH,
    ['\r'] = BOTH,   [0x0b ... 0x0c] = IN_NAME, [0x0e ... ' '] = IN_NAME,
    ['"'] = IN_NAME, ['('] = IN_NAME,           [')'] = IN_NAME,
    [','] = IN_NAME, ['/'] = IN_NAME,           [':'] = IN_NAME,
    [';'] = IN_NAME, ['<'] = IN_NAME,           ['='] = IN_NAME,
    ['>'] = IN_NAME, ['?'] = IN_NAME,           ['@'] = IN_NAME,
    ['['] = IN_NAME, ['\\'] = IN_NAME,          [']'] = IN_NAME,
    ['{'] = IN_NAME, ['}'] = IN_NAME,           [0x7f ... 0xff] = IN_NAME,
};
#undef BOTH

bl_str bl_lua_safe_field(bl_pool *pool, bl_str s, bool name)
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned char where = name ? IN_NAME : IN_VALUE;
    size_t count = 0;

    for (size_t i = 0; i < s.len; i++)
        count += (unsafe[(unsigned char)s.p[i]] & where) != 0;
    if (BL_LIKELY(count == 0))
        return s;
    char *to = bl_pool_bytes(pool, s.len + 2 * count), *at = to;
    for (size_t i = 0; i < s.len; i++) {
        if (!(unsafe[(unsigned char)s.p[i]] & where)) {
            *at++ = s.p[i];
            continue;
        }
        *at++ = '%';
        *at++ = hex[(unsigned char)s.p[i] >> 4];
        *at++ = hex[s.p[i] & 15];
    }
    return bl_str_of(to, (size_t)(at - to));
}

/* ------------------------------------------------------------- names that programs use */

/* What is to be known of a name when a field is set. */
typedef struct field_name {
    bl_str text; /* without unsafe bytes */
    uint32_t hash;
    bl_header_id id;
    const special *special;
} field_name;

static field_name name_of(bl_str safe)
{
    uint32_t hash = bl_header_hash(safe);
    bl_header_id id = bl_header_identify(safe, hash);

    return (field_name){safe, hash, id, special_of(id)};
}

/* Lua knows them by number, for the life of the process. */
static struct {
    field_name names[BL_LUA_NAMES_MAX];
    int count;
} known;

int bl_lua_ffi_header_name(const char *p, size_t len)
{
    bl_pool *pool = bl_pool_new();
    bl_str text = bl_lua_safe_field(pool, bl_str_of(p, len), true);
    int i = 0;

    while (i < known.count && !bl_str_eq(known.names[i].text, text))
        i++;
    if (i == BL_LUA_NAMES_MAX) {
        i = -1;
    } else if (i == known.count) {
        char *copy = bl_alloc(text.len + 1);
        memcpy(copy, text.p, text.len);
        known.names[known.count++] = name_of(bl_str_of(copy, text.len));
    }
    bl_pool_free(pool);
    return i;
}

/* ------------------------------------------------------------- get, set */

int bl_lua_ffi_header_get(const char *p, size_t len, bl_str *value)
{
    bl_request *r = bl_lua_now.request;
    bl_str name = bl_str_of(p, len);
    const special *s = special_of(bl_header_identify(name, bl_header_hash(name)));
    int count = 0;

    if (s) {
        *value = s->get(r);
        return value->p != NULL;
    }
    for (bl_header *h = NULL; (h = bl_headers_find(&r->out.headers, name, h)) != NULL; count++) {
        if (count == 0)
            *value = h->value;
    }
    return count;
}

/* False: the value can't be one of this field. */
static bool set_field(bl_request *r, const field_name *name, bl_str value, bool append)
{
    if (name->id == BL_H_CONTENT_LENGTH && value.len && bl_str_to_int(value) < 0)
        return false;
    if (name->special) {
        name->special->set(r, value);
        return true;
    }
    /* What the server would add by itself is left out when the program has its own, or wants none.
     */
    if (name->id == BL_H_SERVER)
        r->out.no_server = true;
    else if (name->id == BL_H_DATE)
        r->out.no_date = true;
    if (!append)
        bl_headers_remove_hashed(&r->out.headers, name->text, name->hash);
    if (value.p)
        bl_headers_add_known(&r->out.headers, r->pool, name->text, value, name->hash, name->id);
    return true;
}

static bool may_set(const bl_request *r)
{
    if (BL_UNLIKELY(r == NULL))
        return false;
    if (BL_LIKELY(!r->output.begun || bl_lua_now.phase == BL_LUA_HEADER_FILTER))
        return true;
    bl_log_write(BL_LOG_ERR, r->log, 0,
                 "attempt to set ngx.header.HEADER after sending out response headers");
    return false;
}

static bl_str safe_copy(bl_pool *pool, const char *value, size_t len)
{
    if (value == NULL)
        return BL_STR_NONE;
    return bl_pool_str(pool, bl_lua_safe_field(pool, bl_str_of(value, len), false));
}

BL_HOT int bl_lua_ffi_header_put(int name, const char *value, size_t len, int append)
{
    bl_request *r = bl_lua_now.request;

    if (BL_UNLIKELY(!may_set(r)))
        return r ? 0 : 2;
    bl_str text = safe_copy(r->pool, value, len);
    return set_field(r, &known.names[name], text, append) ? 0 : 3;
}

int bl_lua_ffi_header_set(const char *name, size_t name_len, const char *value, size_t len,
                          int append)
{
    bl_request *r = bl_lua_now.request;

    if (BL_UNLIKELY(!may_set(r)))
        return r ? 0 : 2;
    bl_str safe = bl_lua_safe_field(r->pool, bl_str_of(name, name_len), true);
    field_name n = name_of(bl_pool_str(r->pool, safe));
    return set_field(r, &n, safe_copy(r->pool, value, len), append) ? 0 : 3;
}

int bl_lua_ffi_get_status(void)
{
    const bl_request *r = bl_lua_now.request;

    if (r == NULL)
        return -1;
    if (r->http_version == 9)
        return 9;
    return r->out.status ? r->out.status : r->error_status ? r->error_status : 0;
}

int bl_lua_ffi_set_status(int status)
{
    bl_request *r = bl_lua_now.request;

    if (r == NULL)
        return -1;
    if (r->output.begun && bl_lua_now.phase != BL_LUA_HEADER_FILTER) {
        bl_log_write(BL_LOG_ERR, r->log, 0,
                     "attempt to set ngx.status after sending out response headers");
        return 0;
    }
    r->out.status = status;
    r->error_status = 0;
    r->out.status_line = BL_STR_NONE;
    if (bl_status_line(status).p == NULL)
        r->out.status_line = bl_pool_printf(r->pool, "%d ", status);
    return 0;
}

int bl_lua_ffi_set_status_line(int status, const char *reason, size_t len)
{
    bl_request *r = bl_lua_now.request;

    if (bl_lua_ffi_set_status(status) == 0 && r && !r->output.begun && len)
        r->out.status_line = bl_pool_printf(r->pool, "%d %.*s", status, (int)len, reason);
    return r ? 0 : -1;
}

int bl_lua_ffi_transform_underscores(void)
{
    const bl_request *r = bl_lua_now.request;

    return r == NULL ||
           ((const bl_lua_location *)BL_LOC_SETTINGS(r, bl_lua_module))->transform_underscores;
}

void bl_lua_ffi_bypass_if_checks(void)
{
    if (bl_lua_now.request)
        bl_lua_now.request->out.no_modified = true;
}

/* ------------------------------------------------------------- all of them */

bool bl_lua_push_response_headers(lua_State *L, bl_request *r, int max, bool raw)
{
    static const bl_str names[] = {
        BL_STR_INIT("Content-Type"),      BL_STR_INIT("Content-Length"),
        BL_STR_INIT("Last-Modified"),     BL_STR_INIT("ETag"),
        BL_STR_INIT("Location"),          BL_STR_INIT("Connection"),
        BL_STR_INIT("Transfer-Encoding"),
    };
    bl_str values[BL_COUNTOF(names)];
    size_t specials_count = BL_COUNTOF(names) - (r->sub ? 2 : 0); /* the last: of connections */
    int count = (int)BL_MIN(r->out.headers.count, (uint32_t)INT32_MAX), more = 0;

    for (size_t i = 0; i < specials_count; i++) {
        bool there = specials[i].id != BL_H_LOCATION || r->out.location.p;
        values[i] = there ? specials[i].get(r) : BL_STR_NONE;
        more += values[i].p != NULL;
    }
    bool whole = bl_lua_push_fields(L, &r->out.headers, max, raw, more);
    for (size_t i = 0; i < specials_count && whole; i++) {
        if (values[i].p == NULL)
            continue;
        if (max && count++ >= max)
            return false;
        bl_lua_add_field(L, names[i], values[i], raw);
    }
    return whole;
}

static int l_get_headers(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    int max = (int)luaL_optinteger(L, 1, 100);

    if (bl_lua_push_response_headers(L, r, max, lua_toboolean(L, 2)))
        return 1;
    bl_debug(r->log, "lua exceeding response header limit %d > %d", max + 1, max);
    lua_pushliteral(L, "truncated");
    return 2;
}

/* All values of a field that has several. */
static int l_get_all(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    bl_str name;
    int count = 0;

    name.p = (char *)luaL_checklstring(L, 1, &name.len);
    lua_newtable(L);
    for (bl_header *h = NULL; (h = bl_headers_find(&r->out.headers, name, h)) != NULL;) {
        lua_pushlstring(L, h->value.p, h->value.len);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

void bl_lua_open_header(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, l_get_headers);
    lua_setfield(L, -2, "get_headers");
    lua_setfield(L, -2, "resp");
    lua_pushcfunction(L, l_get_all);
    lua_setfield(L, -2, "header"); /* taken by resty.core.response */
}
