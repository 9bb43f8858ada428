/* TLS of cosockets. What Lua sees of a session is a cdata object that resty.core.socket makes of
 * the pointer that is pushed here. */
#include "lua/api/socket_tls.h"
#include "core/mem.h"
#include "lua/api/socket.h"

#include <openssl/x509v3.h>

enum {
    TYPE_CDATA = 10, /* lua_type of LuaJIT's cdata */
};

/* What a handshake needs that the configuration does not say, and what is to come of it. */
typedef struct bl_socket_tls {
    STACK_OF(X509) * chain; /* ours to present; NULL: none */
    EVP_PKEY *key;
    X509_STORE *store;
    bool verify;
    bool want_session;
    bool over; /* bl_tls_begin came back with the end already */
    bool ok;
    char *name; /* the server's; NULL: none */
} tls_state;

static tls_state *state_of(bl_socket *s)
{
    if (s->tls == NULL)
        s->tls = bl_zalloc(sizeof *s->tls);
    return s->tls;
}

static void drop_certificate(tls_state *t)
{
    sk_X509_pop_free(t->chain, X509_free);
    EVP_PKEY_free(t->key);
    t->chain = NULL;
    t->key = NULL;
}

void bl_socket_tls_free(bl_socket *s)
{
    tls_state *t = s->tls;

    if (t == NULL)
        return;
    drop_certificate(t);
    X509_STORE_free(t->store);
    bl_free(t->name);
    bl_free(t);
    s->tls = NULL;
}

void bl_socket_session_free(void *session)
{
    bl_debug(&bl_log_process, "lua ssl free session: %lX", (unsigned long)session);
    SSL_SESSION_free(session);
}

/* ------------------------------------------------------------- pointers from Lua */

/* The pointer in a cdata object or light userdata; NULL for anything else. */
static void *pointer(lua_State *L, int arg)
{
    if (lua_type(L, arg) == TYPE_CDATA)
        return *(void *const *)lua_topointer(L, arg);
    return lua_islightuserdata(L, arg) ? lua_touserdata(L, arg) : NULL;
}

static bool check_pointer(lua_State *L, int arg, const char *name, void **value, int *count)
{
    *value = NULL;
    if (lua_isnoneornil(L, arg))
        return true;
    *value = pointer(L, arg);
    if (*value)
        return true;
    *count = bl_socket_fail(
        L, lua_pushfstring(L, "bad %s arg: cdata expected, got %s", name, luaL_typename(L, arg)));
    return false;
}

static int l_setclientcert(lua_State *L)
{
    int count = lua_gettop(L);
    void *chain, *key;

    if (count != 3)
        return luaL_error(L,
                          "ngx.socket setclientcert: expecting 3 arguments (including the "
                          "object), but seen %d",
                          count);
    bl_socket *s = bl_socket_check(L);
    if (lua_isnil(L, 2) != lua_isnil(L, 3))
        return bl_socket_fail(L,
                              "client certificate must be supplied with corresponding private key");
    if (!check_pointer(L, 2, "cert", &chain, &count) || !check_pointer(L, 3, "pkey", &key, &count))
        return count;
    tls_state *t = state_of(s);
    drop_certificate(t);
    if (chain) {
        t->chain = X509_chain_up_ref(chain);
        t->key = key;
        EVP_PKEY_up_ref(key);
    }
    lua_pushboolean(L, true);
    return 1;
}

const char *bl_socket_tls_trust(bl_socket *s, void *store)
{
    if (s->conn == NULL || !bl_socket_is_open(s))
        return "closed";
    if (s->conn->tls)
        return "ssl handshake already done; trusted store cannot be changed on an established "
               "TLS connection";
    tls_state *t = state_of(s);
    X509_STORE_free(t->store);
    t->store = store;
    if (store)
        X509_STORE_up_ref(t->store);
    return NULL;
}

static int l_settrustedstore(lua_State *L)
{
    int count = lua_gettop(L);
    void *store;

    if (count != 2)
        return luaL_error(L,
                          "ngx.socket settrustedstore: expecting 2 arguments (including the "
                          "object), but seen %d",
                          count);
    bl_socket *s = bl_socket_check(L);
    if (!check_pointer(L, 2, "store", &store, &count))
        return count;
    const char *error = bl_socket_tls_trust(s, store);
    if (error)
        return bl_socket_fail(L, error);
    lua_pushboolean(L, true);
    return 1;
}

/* ------------------------------------------------------------- results */

static int push_session(bl_socket *s, lua_State *L)
{
    SSL_SESSION *session = SSL_get1_session(s->conn->tls->ssl);

    if (session == NULL)
        return bl_socket_fail(L, "session not found");
    bl_debug(bl_socket_log_of(s), "lua ssl save session: %lX", (unsigned long)session);
    lua_pushlightuserdata(L, session);
    return 1;
}

static int succeed(bl_socket *s, lua_State *L)
{
    s->stage = BL_SOCKET_OPEN;
    if (s->tls->want_session)
        return push_session(s, L);
    lua_pushboolean(L, true);
    return 1;
}

static int fail(bl_socket *s, lua_State *L, const char *error)
{
    int count = bl_socket_fail(L, error);

    bl_socket_close(s);
    return count;
}

static int fail_verify(bl_socket *s, lua_State *L, long result)
{
    char message[320];
    const char *text = X509_verify_cert_error_string(result);

    snprintf(message, sizeof message, "lua ssl certificate verify error: (%ld: %s)", result, text);
    bl_socket_log(s, BL_LOG_ERR, 0, message);
    return fail(s, L, lua_pushfstring(L, "%d: %s", (int)result, text));
}

static int finish(bl_socket *s, lua_State *L, bool ok)
{
    bl_conn *c = s->conn;
    const tls_state *t = s->tls;
    char message[320];

    if (!ok)
        return fail(s, L, "handshake failed");
    c->io.on_read = bl_socket_on_read;
    c->io.on_write = bl_socket_on_write;
    if (!t->verify)
        return succeed(s, L);
    long result = SSL_get_verify_result(c->tls->ssl);
    if (result != X509_V_OK)
        return fail_verify(s, L, result);
    if (t->name && bl_tls_verify_error(c, bl_str_c(t->name))) {
        snprintf(message, sizeof message, "lua ssl certificate does not match host \"%s\"",
                 t->name);
        bl_socket_log(s, BL_LOG_ERR, 0, message);
        return fail(s, L, "certificate host mismatch");
    }
    return succeed(s, L);
}

static void done(bl_conn *c, bool ok)
{
    bl_socket *s = c->data;

    if (bl_wait_armed(&s->writing)) {
        bl_socket_done(s, &s->writing, finish(s, bl_wait_stack(&s->writing), ok));
        return;
    }
    s->tls->over = true;
    s->tls->ok = ok;
}

static int timed_out(bl_wait *w, lua_State *L)
{
    bl_socket *s = BL_CONTAINER(w, bl_socket, writing);

    bl_debug(bl_socket_log_of(s), "lua ssl handshake timed out");
    s->conn->timed_out = true;
    int count = fail(s, L, "timeout");
    bl_socket_left(s);
    return count;
}

static void cancelled(bl_wait *w)
{
    bl_socket *s = BL_CONTAINER(w, bl_socket, writing);

    bl_socket_close(s);
    bl_socket_left(s);
}

/* ------------------------------------------------------------- the handshake */

/* False: the certificate and the key don't belong together. */
static bool present(SSL *ssl, const tls_state *t)
{
    int count = sk_X509_num(t->chain);

    if (count < 1 || SSL_use_certificate(ssl, sk_X509_value(t->chain, 0)) != 1)
        return false;
    for (int i = 1; i < count; i++) {
        if (SSL_add1_chain_cert(ssl, sk_X509_value(t->chain, i)) != 1)
            return false;
    }
    return SSL_use_PrivateKey(ssl, t->key) == 1;
}

/* The store serves one handshake. */
static void use_store(SSL *ssl, tls_state *t)
{
    if (t->verify)
        SSL_set1_verify_cert_store(ssl, t->store);
    X509_STORE_free(t->store);
    t->store = NULL;
}

static bool adjust(SSL *ssl, tls_state *t, bool ask_status)
{
    if (!t->verify)
        SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    if (t->store)
        use_store(ssl, t);
    if (ask_status)
        SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
    return t->chain == NULL || present(ssl, t);
}

static bl_str set_name(lua_State *L, int arg, tls_state *t)
{
    bl_str name = BL_STR_NONE;

    bl_free(t->name);
    t->name = NULL;
    if (lua_isnoneornil(L, arg))
        return name;
    name.p = (char *)luaL_checklstring(L, arg, &name.len);
    if (name.len == 0)
        return BL_STR_NONE;
    t->name = bl_alloc(name.len + 1);
    memcpy(t->name, name.p, name.len + 1);
    return bl_str_of(t->name, name.len);
}

static int start(bl_socket *s, lua_State *L)
{
    tls_state *t = state_of(s);
    bl_conn *c = s->conn;
    SSL_SESSION *session = lua_isboolean(L, 2) ? NULL : pointer(L, 2);
    bl_str name = set_name(L, 3, t);

    /* What came in clear would be taken for what was said under encryption. */
    if (s->pos < s->last)
        return fail(s, L, "unread data in buffer");
    t->verify = lua_toboolean(L, 4);
    t->over = false;
    if (name.len)
        bl_debug(bl_socket_log_of(s), "lua ssl server name: \"%s\"", t->name);
    if (!bl_tls_prepare(c, s->conf->client, done) || !adjust(c->tls->ssl, t, lua_toboolean(L, 5)))
        return fail(s, L, "failed to prepare the handshake");
    if (session)
        bl_debug(bl_socket_log_of(s), "lua ssl set session: %lX", (unsigned long)session);
    s->stage = BL_SOCKET_HANDSHAKING;
    bl_tls_begin(c, name, session);
    if (t->over)
        return finish(s, L, t->ok);
    s->writing.cancel = cancelled;
    s->writing.expire = timed_out;
    return bl_wait_begin(&s->writing, L, bl_socket_ms(s->connect_ms, s->conf->connect_timeout));
}

static int l_sslhandshake(lua_State *L)
{
    int count = lua_gettop(L);

    if (count < 1 || count > 5)
        return luaL_error(L,
                          "ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the "
                          "object), but seen %d",
                          count);
    bl_socket *s = bl_socket_check(L);
    bl_task_may_wait(L);
    if (s->stage < BL_SOCKET_CONNECTING || s->read_shut || s->write_shut)
        return bl_socket_fail(L, "closed");
    int failure = bl_socket_busy(s, L, true, true);
    if (failure)
        return failure;
    state_of(s)->want_session = !(lua_isboolean(L, 2) && !lua_toboolean(L, 2));
    return s->conn->tls ? succeed(s, L) : start(s, L);
}

/* ------------------------------------------------------------- what is inside */

static SSL *check_ssl(lua_State *L, int *count)
{
    const bl_socket *s = bl_socket_check(L);

    if (s->stage != BL_SOCKET_OPEN || s->conn == NULL)
        *count = bl_socket_fail(L, "closed");
    else if (s->conn->tls == NULL)
        *count = bl_socket_fail(L, "not an ssl connection");
    else
        return s->conn->tls->ssl;
    return NULL;
}

static int l_getsslsession(lua_State *L)
{
    int count = 1;

    return check_ssl(L, &count) ? push_session(bl_socket_check(L), L) : count;
}

static int l_getsslpointer(lua_State *L)
{
    int count = 1;
    SSL *ssl = check_ssl(L, &count);

    if (ssl)
        lua_pushlightuserdata(L, ssl);
    return count;
}

static int l_getsslctx(lua_State *L)
{
    int count = 1;
    SSL *ssl = check_ssl(L, &count);

    if (ssl)
        lua_pushlightuserdata(L, SSL_get_SSL_CTX(ssl));
    return count;
}

void bl_socket_tls_methods(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"sslhandshake", l_sslhandshake},
        {"setclientcert", l_setclientcert},
        {"settrustedstore", l_settrustedstore},
        {"getsslsession", l_getsslsession},
        {"getsslpointer", l_getsslpointer},
        {"getsslctx", l_getsslctx},
        {NULL, NULL},
    };

    luaL_register(L, NULL, methods);
}
