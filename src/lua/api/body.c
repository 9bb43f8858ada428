#include "lua/api/body.h"
#include "http/body.h"
#include "http/core_module.h"
#include "lua/api/args.h"
#include "lua/api/text.h"
#include "lua/ctx.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    IN_MEMORY_MAX = 1 << 30, /* bytes of a new body; more goes to a file */
};

/* ------------------------------------------------------------- reading */

/* The one task that reads the request's body. */
static void body_read(bl_request *r, bl_step step)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);
    bl_task *task = ctx->reading;

    ctx->reading = NULL;
    if (task == NULL)
        return;
    if (step == BL_NEXT)
        bl_wait_end(&task->own, 0);
    else
        bl_run_end(task->run, BL_RUN_EXIT, step == BL_CLOSE ? -1 : step);
}

static void forget_reading(bl_wait *w)
{
    bl_lua_ctx_of(BL_CONTAINER(w, bl_task, own)->run->request)->reading = NULL;
}

static int l_read_body(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_HANDLERS);
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);

    r->body.asked = true;
    if (r->body.whole || r->body.discarded)
        return 0;
    bl_task *task = bl_task_may_wait(L);
    if (r->body.reading || ctx->reading)
        return luaL_error(L, "the request body is being read by another light thread");
    bl_step step = bl_body_read(r, body_read);
    if (step == BL_NEXT)
        return 0;
    if (step != BL_WAIT)
        return bl_task_end(L, BL_RUN_EXIT, step == BL_CLOSE ? -1 : step);
    ctx->reading = task;
    task->own.cancel = forget_reading;
    return bl_wait_begin(&task->own, L, -1);
}

static int l_discard_body(lua_State *L)
{
    bl_body_discard(bl_lua_request(L, BL_LUA_REAL));
    return 0;
}

/* ------------------------------------------------------------- what was read */

static int push_nil(lua_State *L)
{
    lua_pushnil(L);
    return 1;
}

static int l_get_body_data(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    lua_Integer max = luaL_optinteger(L, 1, 0);
    bl_str data;

    if (!bl_body_string(r, &data) || data.len == 0)
        return push_nil(L);
    if (max > 0 && data.len > (size_t)max)
        data.len = (size_t)max;
    lua_pushlstring(L, data.p, data.len);
    return 1;
}

static int l_get_body_file(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);

    if (r->body.file == NULL || r->body.data.first == NULL)
        return push_nil(L);
    lua_pushlstring(L, r->body.file->path.p, r->body.file->path.len);
    return 1;
}

static int l_get_post_args(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    lua_Integer max = luaL_optinteger(L, 1, BL_ARGS_MAX);
    bl_str data;

    if (!r->body.whole && r->body.expected && !r->body.discarded)
        return luaL_error(L, "no request body found; maybe you should turn on "
                             "lua_need_request_body?");
    lua_settop(L, 0);
    if (r->body.file && r->body.data.first) {
        lua_pushnil(L);
        lua_pushliteral(L, "request body in temp file not supported");
        return 2;
    }
    lua_newtable(L);
    if (!bl_body_string(r, &data) || bl_args_decode(L, data, max < 0 ? 0 : (int)max, true).whole)
        return 1;
    bl_debug(r->log, "lua hit query args limit %d", (int)max);
    lua_pushliteral(L, "truncated");
    return 2;
}

/* ------------------------------------------------------------- another one */

static void check_read(lua_State *L, const bl_request *r)
{
    if (r->body.discarded)
        luaL_error(L, "request body already discarded asynchronously");
    if (!r->body.asked)
        luaL_error(L, "request body not read yet");
}

static int l_set_body_data(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);

    if (lua_gettop(L) != 1)
        return luaL_error(L, "expecting 1 argument but seen %d", lua_gettop(L));
    luaL_argcheck(L, lua_isstring(L, 1) || lua_istable(L, 1), 1, "string or table expected");
    size_t len = bl_lua_text_len(L, 1, "set_body_data");
    check_read(L, r);
    char *p = bl_pool_bytes(r->pool, len + 1);
    bl_lua_text_put(L, 1, p);
    bl_body_set(r, bl_str_of(p, len));
    return 0;
}

static void close_file(void *data)
{
    bl_temp_file *file = data;

    if (!file->keep)
        unlink(file->path.p);
    close(file->fd);
}

static void use_file(bl_request *r, bl_temp_file *file)
{
    char length[24];

    bl_body_set(r, BL_STR(""));
    r->body.file = file;
    r->body.length = file->size;
    r->body.expected = true;
    bl_chain_push(&r->body.data, bl_buf_file(r->pool, file->fd, 0, file->size));
    size_t len = (size_t)(bl_u64_write(length, (uint64_t)file->size) - length);
    bl_headers_set(&r->in, r->pool, BL_STR("Content-Length"),
                   bl_pool_str(r->pool, bl_str_of(length, len)));
}

/* Another file takes its place. */
static void clean_up(bl_temp_file *file)
{
    if (file == NULL || file->keep)
        return;
    unlink(file->path.p);
    file->keep = true;
}

static int l_set_body_file(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    int count = lua_gettop(L);
    struct stat st;
    bl_str path;

    if (count != 1 && count != 2)
        return luaL_error(L, "expecting 1 or 2 arguments but seen %d", count);
    path.p = (char *)luaL_checklstring(L, 1, &path.len);
    if (path.len == 0)
        return 0;
    check_read(L, r);
    bl_temp_file *file = BL_NEW(r->pool, bl_temp_file);
    file->path = bl_pool_str(r->pool, path);
    file->keep = !lua_toboolean(L, 2);
    file->fd = open(file->path.p, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0)
        return luaL_error(L, "open() \"%s\" failed (%d: %s)", file->path.p, errno, strerror(errno));
    bl_pool_cleanup(r->pool, close_file, file);
    if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return luaL_error(L, "\"%s\" is no regular file", file->path.p);
    file->size = st.st_size;
    clean_up(r->body.file);
    use_file(r, file);
    return 0;
}

/* ------------------------------------------------------------- piece by piece */

/* A body under construction: in memory while it fits, then in a file. */
typedef struct bl_new_body {
    char *p;
    size_t len, size;
    bl_temp_file *file;
} new_body;

static int l_init_body(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    lua_Number size = luaL_optnumber(L, 1, (lua_Number)r->loc->core->client_body_buffer_size);

    if (lua_gettop(L) > 1)
        return luaL_error(L, "expecting 0 or 1 argument but seen %d", lua_gettop(L));
    if (!(size >= 0))
        return luaL_error(L, "bad argument #1 to 'init_body' (invalid buffer size)");
    check_read(L, r);
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);
    ctx->new_body = BL_NEW(r->pool, new_body);
    ctx->new_body->size = (size_t)BL_MAX(BL_MIN(size, IN_MEMORY_MAX), 1);
    ctx->new_body->p = bl_pool_bytes(r->pool, ctx->new_body->size);
    return 0;
}

static bool spill(bl_request *r, new_body *b)
{
    if (b->file == NULL) {
        b->file = bl_temp_file_new(r, r->loc->core->client_body_temp_path, false);
        if (b->file)
            bl_log_write(BL_LOG_WARN, r->log, 0,
                         "a client request body is buffered to a temporary file %s",
                         b->file->path.p);
    }
    if (b->file == NULL || !bl_temp_file_write(r, b->file, bl_str_of(b->p, b->len)))
        return false;
    b->len = 0;
    return true;
}

static new_body *check_begun(lua_State *L, bl_request *r)
{
    new_body *b = bl_lua_ctx_of(r)->new_body;

    if (b == NULL)
        luaL_error(L, "request body not initialized");
    return b;
}

static int l_append_body(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    new_body *b = check_begun(L, r);
    bl_str piece;

    piece.p = (char *)luaL_checklstring(L, 1, &piece.len);
    while (piece.len) {
        size_t n = BL_MIN(piece.len, b->size - b->len);
        memcpy(b->p + b->len, piece.p, n);
        b->len += n;
        piece = bl_str_of(piece.p + n, piece.len - n);
        if (piece.len && !spill(r, b))
            return luaL_error(L, "failed to write the request body");
    }
    return 0;
}

static int l_finish_body(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_REAL);
    new_body *b = check_begun(L, r);

    bl_lua_ctx_of(r)->new_body = NULL;
    if (b->file == NULL) {
        bl_body_set(r, bl_str_of(b->p, b->len));
        return 0;
    }
    if (!spill(r, b))
        return luaL_error(L, "failed to write the request body");
    use_file(r, b->file);
    return 0;
}

void bl_lua_open_body(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"read_body", l_read_body},
        {"discard_body", l_discard_body},
        {"get_body_data", l_get_body_data},
        {"get_body_file", l_get_body_file},
        {"get_post_args", l_get_post_args},
        {"set_body_data", l_set_body_data},
        {"set_body_file", l_set_body_file},
        {"init_body", l_init_body},
        {"append_body", l_append_body},
        {"finish_body", l_finish_body},
        {NULL, NULL},
    };

    lua_getfield(L, -1, "req");
    luaL_register(L, NULL, functions);
    lua_pop(L, 1);
}
