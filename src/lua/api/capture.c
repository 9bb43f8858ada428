#include "lua/api/capture.h"
#include "http/subrequest.h"
#include "http/variable.h"
#include "lua/api/args.h"
#include "lua/api/header.h"
#include "lua/ctx.h"
#include "lua/vm.h"

#include <errno.h>
#include <unistd.h>

/* Subrequests that one call waits for. Their results are kept on the stack of who waits, each at
 * its place, from the first that is there. */
typedef struct group {
    bl_wait wait;
    int count, left;
    bl_request **subs;
} group;

typedef struct member {
    group *group;
    int place; /* from 1 */
} member;

/* ------------------------------------------------------------- results */

/* Copies a piece; how many bytes there really were. */
static size_t copy_piece(char *to, const bl_buf *piece)
{
    off_t len = bl_buf_len(piece), done = 0;

    if (!bl_buf_in_file(piece)) {
        if (len) /* what only ends the body points nowhere */
            memcpy(to, piece->pos, (size_t)len);
        return (size_t)len;
    }
    while (done < len) {
        ssize_t n = pread(piece->fd, to + done, (size_t)(len - done), piece->file_pos + done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += n;
    }
    return (size_t)done;
}

/* Pushes the pieces as one string, up to where a file could not be read: false then. */
static bool push_text(lua_State *L, const bl_chain *body)
{
    const bl_buf *first = body->first;
    size_t len = 0;
    bool whole = true;

    if (first && !first->next && !bl_buf_in_file(first)) {
        lua_pushlstring(L, first->pos, (size_t)bl_buf_len(first));
        return true;
    }
    char *text = lua_newuserdata(L, (size_t)bl_chain_len(body));
    for (const bl_buf *piece = first; piece && whole; piece = piece->next) {
        size_t n = copy_piece(text + len, piece);
        len += n;
        whole = n == (size_t)bl_buf_len(piece);
    }
    lua_pushlstring(L, text, len);
    lua_remove(L, -2);
    return whole;
}

/* The body; false: it has no end, or a file of it could not be read. */
static bool push_body(lua_State *L, bl_chain *body)
{
    bool whole = push_text(L, body), ended = false;

    for (bl_buf *piece; (piece = bl_chain_shift(body)) != NULL;) {
        ended |= piece->eof;
        bl_buf_done(piece);
    }
    return whole && ended;
}

static void push_result(lua_State *L, bl_request *sub)
{
    bl_subrequest *s = sub->sub;

    lua_createtable(L, 0, 4);
    bool whole = push_body(L, &s->body);
    lua_setfield(L, -2, "body");
    lua_pushinteger(L, s->status ? s->status : 500);
    lua_setfield(L, -2, "status");
    lua_pushboolean(L, s->truncated || (sub->output.begun && !whole));
    lua_setfield(L, -2, "truncated");
    bl_lua_push_response_headers(L, sub, 0, true);
    lua_setfield(L, -2, "header");
}

static void done(bl_request *sub)
{
    member *m = sub->sub->data;
    group *g = m->group;
    lua_State *to = bl_wait_stack(&g->wait);

    if (g->left == g->count) {
        luaL_checkstack(to, g->count + 8, NULL);
        lua_settop(to, lua_gettop(to) + g->count);
    }
    push_result(to, sub);
    lua_replace(to, lua_gettop(to) - 1 - g->count + m->place);
    g->subs[m->place - 1] = NULL;
    if (--g->left == 0)
        bl_wait_end(&g->wait, g->count);
}

static void cancel(bl_wait *w)
{
    group *g = BL_CONTAINER(w, group, wait);

    for (int i = 0; i < g->count; i++) {
        if (g->subs[i])
            bl_subrequest_cancel(g->subs[i]);
    }
}

/* ------------------------------------------------------------- options */

/* The field of the options table at `index`, on top; false and nothing there: nil. */
static bool option(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

static bl_str string_at(lua_State *L, int index, bl_pool *pool)
{
    bl_str s;

    s.p = (char *)lua_tolstring(L, index, &s.len);
    return bl_pool_str(pool, s);
}

static bool flag(lua_State *L, int index, const char *name)
{
    bool on = false;

    if (option(L, index, name)) {
        on = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    return on;
}

/* Climbs out of where it is, or has bytes that no URI has. */
static bool is_unsafe(bl_str uri)
{
    if (memchr(uri.p, '\0', uri.len) || bl_str_starts(uri, BL_STR("../")))
        return true;
    for (size_t i = 0; i + 3 <= uri.len; i++) {
        bool segment = i + 3 == uri.len || uri.p[i + 3] == '/';
        if (segment && memcmp(uri.p + i, "/..", 3) == 0)
            return true;
    }
    return false;
}

/* URI and arguments: those in the URI, then those of the option. */
static void read_target(lua_State *L, bl_request *r, bl_subrequest_options *o, int uri_at,
                        int options)
{
    bl_str uri, more = BL_STR_NONE;

    uri.p = (char *)luaL_checklstring(L, uri_at, &uri.len);
    uri = bl_pool_str(r->pool, uri);
    ssize_t question = bl_str_chr(uri, '?');
    if (question >= 0) {
        o->args = bl_str_of(uri.p + question + 1, uri.len - (size_t)question - 1);
        uri.len = (size_t)question;
    }
    if (options && option(L, options, "args")) {
        if (!lua_istable(L, -1) && !lua_isstring(L, -1))
            luaL_error(L, "Bad args option value");
        more = bl_args_from_lua(L, lua_gettop(L), r->pool, "capture");
        lua_pop(L, 1);
    }
    if (more.len) {
        bl_str parts[] = {o->args, BL_STR("&"), more};
        o->args = o->args.len ? bl_pool_concat(r->pool, parts, 3) : more;
    }
    if (uri.len == 0 || is_unsafe(uri))
        luaL_error(L, "unsafe uri in argument #1: \"%s\"", bl_lua_shown(r->pool, uri).p);
    o->uri = uri;
}

static void read_method(lua_State *L, bl_subrequest_options *o, int options)
{
    o->method = BL_M_GET;
    if (option(L, options, "method")) {
        if (!lua_isnumber(L, -1))
            luaL_error(L, "Bad http request method");
        int method = (int)lua_tointeger(L, -1);
        bl_str name = method > 0 ? bl_method_name((uint32_t)method) : BL_STR("UNKNOWN");
        if (bl_method_of(name) != (uint32_t)method || method == BL_M_UNKNOWN)
            luaL_error(L, "unsupported HTTP method: %d", method);
        o->method = (uint32_t)method;
        lua_pop(L, 1);
    }
}

static void read_body(lua_State *L, bl_request *r, bl_subrequest_options *o, int options)
{
    if (option(L, options, "body")) {
        if (!lua_isstring(L, -1))
            luaL_error(L, "Bad http request body");
        o->body = BL_NEW(r->pool, bl_str);
        *o->body = string_at(L, -1, r->pool);
        lua_pop(L, 1);
        return;
    }
    o->forward_body =
        flag(L, options, "always_forward_body") || (o->method & (BL_M_POST | BL_M_PUT)) != 0;
}

/* ------------------------------------------------------------- what is set on the subrequest */

static void set_vars(lua_State *L, bl_request *sub, int table)
{
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "attempt to use a non-string key in the \"vars\" option table");
        if (!lua_isstring(L, -1))
            luaL_error(L, "attempt to use bad variable value type %s", luaL_typename(L, -1));
        bl_str name = string_at(L, -2, sub->pool);
        bl_str_lower(name.p, name);
        lua_pushvalue(L, -1);
        bl_str value = string_at(L, -1, sub->pool);
        lua_pop(L, 2);
        if (!bl_var_set_by_name(sub, name, value))
            luaL_error(L,
                       "variable \"%s\" cannot be assigned a value (maybe you forgot to define it "
                       "first?) ",
                       name.p);
    }
}

/* The value on top, which goes. */
static void add_header(lua_State *L, bl_request *sub, bl_str name)
{
    lua_pushvalue(L, -1); /* a number becomes text */
    bl_str value = bl_lua_safe_field(sub->pool, string_at(L, -1, sub->pool), false);
    bl_headers_add(&sub->in, sub->pool, name, value);
    lua_pop(L, 2);
}

static void set_headers(lua_State *L, bl_request *sub, int table)
{
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "attempt to use a non-string key in the \"headers\" option table");
        bl_str name = bl_lua_safe_field(sub->pool, string_at(L, -2, sub->pool), true);
        bl_headers_remove(&sub->in, name);
        if (!lua_istable(L, -1)) {
            add_header(L, sub, name);
            continue;
        }
        for (int i = 1, n = (int)lua_objlen(L, -1); i <= n; i++) {
            lua_rawgeti(L, -1, i);
            add_header(L, sub, name);
        }
        lua_pop(L, 1);
    }
}

/* ngx.ctx of the subrequest is the table on top of the stack. */
static void set_ctx(lua_State *L, bl_request *sub)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(sub);

    lua_rawgeti(L, LUA_REGISTRYINDEX, ctx->vm->ctxs);
    lua_pushvalue(L, -2);
    ctx->ctx_ref = luaL_ref(L, -2);
    bl_lua_ctx_cleanup(ctx);
    lua_pop(L, 1);
}

static bool table_option(lua_State *L, int options, const char *name)
{
    if (!option(L, options, name))
        return false;
    if (!lua_istable(L, -1))
        luaL_error(L, "Bad %s option value type %s, expected a Lua table", name,
                   luaL_typename(L, -1));
    return true;
}

static void check_tables(lua_State *L, int options)
{
    static const char *const names[] = {"vars", "headers", "ctx"};

    for (size_t i = 0; i < BL_COUNTOF(names); i++) {
        if (table_option(L, options, names[i]))
            lua_pop(L, 1);
    }
}

static void apply_tables(lua_State *L, bl_request *sub, int options)
{
    if (table_option(L, options, "ctx")) {
        set_ctx(L, sub);
        lua_pop(L, 1);
    }
    if (table_option(L, options, "vars")) {
        set_vars(L, sub, lua_gettop(L));
        lua_pop(L, 1);
    }
    if (table_option(L, options, "headers")) {
        set_headers(L, sub, lua_gettop(L));
        lua_pop(L, 1);
    }
}

/* ------------------------------------------------------------- the calls */

static group *new_group(bl_request *r, int count)
{
    group *g = BL_NEW(r->pool, group);

    g->count = count;
    g->subs = BL_NEW_ARRAY(r->pool, bl_request *, (size_t)count);
    g->wait.cancel = cancel;
    g->wait.unstoppable = true;
    return g;
}

/* One subrequest; the URI is at `uri_at`, the options at `options` (0: none). */
static void add(lua_State *L, bl_request *r, group *g, int place, int uri_at, int options)
{
    bl_subrequest_options o = {.capture = true, .bare = true, .method = BL_M_GET, .done = done};
    member *m = BL_NEW(r->pool, member);

    *m = (member){g, place};
    o.data = m;
    read_target(L, r, &o, uri_at, options);
    if (options) {
        read_method(L, &o, options);
        read_body(L, r, &o, options);
        check_tables(L, options);
        o.share_vars = flag(L, options, "share_all_vars");
        o.copy_vars = flag(L, options, "copy_all_vars");
    }
    bl_request *sub = bl_subrequest_new(r, &o);
    if (sub == NULL) {
        luaL_error(L, "failed to issue subrequest: %d", -1);
        return;
    }
    bl_debug(r->log, "lua http subrequest \"%.*s?%.*s\"", BL_STR_ARG(o.uri), BL_STR_ARG(o.args));
    g->subs[place - 1] = sub;
    g->left++;
    if (options)
        apply_tables(L, sub, options);
}

static bl_request *check_phase(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_HANDLERS);

    bl_task_may_wait(L);
    if (r->body.expected && !r->body.whole && !r->body.discarded && r->main == r)
        bl_debug(r->log, "subrequest of a request whose body has not been read");
    return r;
}

/* add(), with the options at `uri_at` + 1 if there are any. */
static void add_pair(lua_State *L, group *g, int place, int uri_at)
{
    int options = lua_isnoneornil(L, uri_at + 1) ? 0 : uri_at + 1;

    if (options && !lua_istable(L, options))
        luaL_error(L, "the query option must be a table");
    add(L, bl_lua_now.request, g, place, uri_at, options);
}

/* group, list of pairs */
static int add_list(lua_State *L)
{
    group *g = lua_touserdata(L, 1);

    for (int i = 1; i <= g->count; i++) {
        lua_rawgeti(L, 2, i);
        luaL_checktype(L, 3, LUA_TTABLE);
        lua_rawgeti(L, 3, 1);
        lua_rawgeti(L, 3, 2);
        add_pair(L, g, i, 4);
        lua_settop(L, 2);
    }
    return 0;
}

/* group, URI, options */
static int add_one(lua_State *L)
{
    add_pair(L, lua_touserdata(L, 1), 1, 2);
    return 0;
}

/* Calls `adder` with a group and what is on the stack; under protection, so that what has begun is
 * cancelled when the next is refused. */
static int issue(lua_State *L, bl_request *r, int count, lua_CFunction adder)
{
    group *g = new_group(r, count);
    int args = lua_gettop(L);

    lua_pushcfunction(L, adder);
    lua_insert(L, 1);
    lua_pushlightuserdata(L, g);
    lua_insert(L, 2);
    if (lua_pcall(L, args + 1, 0, 0) != 0) {
        cancel(&g->wait);
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
        return lua_error(L);
    }
    return bl_wait_begin(&g->wait, L, -1);
}

static int l_capture_multi(lua_State *L)
{
    bl_request *r = check_phase(L);

    if (lua_gettop(L) != 1)
        return luaL_error(L, "only one argument is expected, but got %d", lua_gettop(L));
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_objlen(L, 1) == 0)
        return luaL_error(L, "at least one subrequest should be specified");
    return issue(L, r, (int)lua_objlen(L, 1), add_list);
}

static int l_capture(lua_State *L)
{
    bl_request *r = check_phase(L);
    int count = lua_gettop(L);

    if (count != 1 && count != 2)
        return luaL_error(L, "expecting one or two arguments");
    luaL_checkstring(L, 1);
    return issue(L, r, 1, add_one);
}

void bl_lua_open_capture(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, l_capture);
    lua_setfield(L, -2, "capture");
    lua_pushcfunction(L, l_capture_multi);
    lua_setfield(L, -2, "capture_multi");
    lua_setfield(L, -2, "location");
}
