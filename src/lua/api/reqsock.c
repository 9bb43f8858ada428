#include "lua/api/reqsock.h"
#include "http/body.h"
#include "lua/api/output.h"
#include "lua/api/socket.h"
#include "lua/ctx.h"

static const char body_type[] = "bulan.socket.body";
static const char raw_type[] = "bulan.socket.raw";

/* ------------------------------------------------------------- the body */

static void body_ready(bl_request *r)
{
    bl_socket *s = bl_lua_ctx_of(r)->body_socket;

    if (s)
        bl_socket_readable(s);
}

static const char *body_error(const bl_request *r, int status)
{
    if (status == 408)
        return "timeout";
    if (status == 413)
        return "body too large";
    return r->conn && r->conn->error ? "client aborted" : "closed";
}

static bl_status fill_body(bl_socket *s)
{
    int status = 0;
    bl_str piece;
    bool end = s->eof;

    if (!end) {
        bl_status result = bl_body_stream(s->request, &piece, &end, &status, body_ready);
        if (result == BL_AGAIN)
            return result;
        if (result == BL_ERROR) {
            s->error = body_error(s->request, status);
            return result;
        }
        s->eof = end;
        s->floor = s->pos = piece.p;
        s->last = s->pos + piece.len;
        if (piece.len)
            return BL_OK;
    }
    s->error = "closed";
    return BL_ERROR;
}

static void close_body(bl_socket *s)
{
    bl_lua_ctx *ctx = s->source_data;

    if (ctx)
        ctx->body_socket = NULL;
    s->source_data = NULL;
}

static const bl_socket_source body_source = {"tcp", fill_body, close_body};

static int open_body(lua_State *L, bl_request *r)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);

    if (ctx->raw)
        return bl_socket_fail(L, "duplicate call");
    if (!r->body.expected || (r->body.length == 0 && !r->body.chunked))
        return bl_socket_fail(L, "no body");
    if (r->body.reading || ctx->reading)
        return bl_socket_fail(L, "pending request body reading in some other thread");
    if (r->body.whole || r->body.discarded)
        return bl_socket_fail(L, "request body already exists");
    if (ctx->body_socket)
        return bl_socket_fail(L, "duplicate call");
    r->body.asked = true;
    if (r->expect_100 && r->codec->send_interim) {
        r->expect_100 = false;
        r->codec->send_interim(r, 100);
    }
    bl_socket *s = bl_socket_push(L, &body_source, body_type);
    bl_socket_adopt(s);
    s->stage = BL_SOCKET_OPEN;
    s->write_shut = true;
    s->source_data = ctx;
    ctx->body_socket = s;
    return 1;
}

/* ------------------------------------------------------------- the connection */

static void nothing(bl_io *io BL_UNUSED)
{
}

/* The reader hears of the client's going away first, then ngx.on_abort's function or, without one,
 * the end. */
static void on_read(bl_io *io)
{
    bl_socket *s = bl_conn_of(io)->taker;
    bl_request *r = s->request;
    bool hup = io->hup;

    bl_request_hold(r);
    bl_socket_readable(s);
    void (*client_gone)(bl_request *) = hup ? r->client_gone : NULL;
    if (client_gone) {
        r->client_gone = NULL;
        client_gone(r);
    }
    bl_request_drop(r);
}

static bl_status fill_raw(bl_socket *s)
{
    bl_status status = bl_socket_fill_conn(s);

    if (status == BL_ERROR && s->request->client_gone)
        s->error = "client aborted";
    return status;
}

static void on_write(bl_io *io)
{
    bl_socket *s = bl_conn_of(io)->taker;

    if (bl_wait_armed(&s->writing))
        bl_socket_go_on_writing(s);
}

static void let_go(bl_socket *s)
{
    bl_conn *c = s->conn;

    if (c == NULL)
        return;
    c->io.on_read = c->io.on_write = nothing;
    c->taker = NULL;
    s->conn = NULL;
}

/* The exchange is over: the protocol closes its connection. */
static void taken_back(bl_conn *c)
{
    bl_socket_close(c->taker);
}

static const bl_socket_source raw_source = {"tcp", fill_raw, let_go};

static const char *why_not_raw(const bl_lua_ctx *ctx)
{
    bl_request *r = ctx->r;

    if (ctx->raw || ctx->body_socket)
        return "duplicate call";
    if (ctx->holding)
        return "http 1.0 buffering";
    if (r->body.reading || ctx->reading)
        return "pending request body reading in some other thread";
    if (ctx->out || (r->output.begun && !bl_output_is_drained(r)))
        return "pending data to write";
    if (ctx->eof)
        return "seen eof";
    return NULL;
}

static int open_raw(lua_State *L, bl_request *r)
{
    bl_lua_ctx *ctx = bl_lua_ctx_of(r);
    const char *why = why_not_raw(ctx);
    bl_str extra = BL_STR_NONE;

    if (why)
        return bl_socket_fail(L, why);
    bl_conn *c = r->codec->take_over ? r->codec->take_over(r, &extra) : NULL;
    if (c == NULL)
        return bl_socket_fail(L, r->output.begun ? "pending data to write"
                                                 : "not supported by the protocol");
    bl_socket *s = bl_socket_push(L, &raw_source, raw_type);
    bl_socket_adopt(s);
    s->stage = BL_SOCKET_OPEN;
    s->floor = s->pos = extra.p;
    s->last = s->pos + extra.len;
    s->conn = c;
    c->taker = s;
    c->on_taken_back = taken_back;
    c->io.on_read = on_read;
    c->io.on_write = on_write;
    if (r->loc->core->tcp_nodelay) {
        bl_debug(r->log, "lua socket tcp_nodelay");
        bl_conn_nodelay(c);
    }
    ctx->raw = true;
    return 1;
}

/* ------------------------------------------------------------- the API */

static int l_socket(lua_State *L)
{
    bl_request *r = bl_lua_request(L, BL_LUA_HANDLERS);
    int count = lua_gettop(L);

    if (count > 1)
        return luaL_error(L, "expecting zero arguments, but got %d", count);
    if (!bl_request_is_main(r))
        return luaL_error(L, "attempt to read the request body in a subrequest");
    return lua_toboolean(L, 1) ? open_raw(L, r) : open_body(L, r);
}

static int l_getfd(lua_State *L)
{
    const bl_socket *s = bl_socket_check(L);

    if (!bl_socket_is_open(s))
        return bl_socket_fail(L, "closed");
    lua_pushinteger(L, s->request->conn->io.fd);
    return 1;
}

static void make_metatable(lua_State *L, const char *name, bool send)
{
    static const luaL_Reg methods[] = {
        {"receive", bl_socket_l_receive},
        {"receiveany", bl_socket_l_receiveany},
        {"receiveuntil", bl_socket_l_receiveuntil},
        {"settimeout", bl_socket_l_settimeout},
        {"settimeouts", bl_socket_l_settimeouts},
        {"getfd", l_getfd},
        {"setoption", bl_socket_l_setoption},
        {"getoption", bl_socket_l_getoption},
        {NULL, NULL},
    };

    bl_socket_metatable(L, name, methods);
    if (send) {
        lua_pushcfunction(L, bl_socket_l_send);
        lua_setfield(L, -2, "send");
    }
    lua_pop(L, 1);
}

void bl_lua_open_reqsock(lua_State *L)
{
    make_metatable(L, body_type, false);
    make_metatable(L, raw_type, true);
    lua_getfield(L, -1, "req");
    lua_pushcfunction(L, l_socket);
    lua_setfield(L, -2, "socket");
    lua_pop(L, 1);
}
