#include "lua/handshake.h"
#include "core/mem.h"
#include "http/core_module.h"
#include "http/http_log.h"
#include "http/parse.h"
#include "http/server.h"
#include "lua/code.h"
#include "lua/init.h"
#include "lua/module.h"
#include "lua/vm.h"
#include "lua/watch.h"

enum {
    FAILED = 500, /* how a Lua error is told in the log */
};

typedef struct settings {
    bl_lua_code *hello, *certificate;
} settings;

typedef struct main_settings {
    bl_lua_code *fetch, *store;
} main_settings;

/* Code of a server, hooked into its handshakes. */
typedef struct step {
    bl_lua_code *code;
    bl_server *server;
    uint32_t phase;
    const char *name, *callback, *word; /* in the log */
    bl_tls_hook hook;
} step;

/* What the Lua room keeps of a connection: c->tls->data. */
typedef struct handshake {
    bl_lua_vm *vm;
    bl_run *run; /* that the handshake waits for */
    int ctx_ref;
    uint32_t phase;
    bl_conn *conn;
    bl_log log;
} handshake;

/* A run that stores a session. */
typedef struct storing {
    SSL_SESSION *session;
    char *origin;
} storing;

/* ------------------------------------------------------------- what runs */

bl_conn *bl_lua_handshake_conn(void)
{
    if (bl_lua_now.request)
        return bl_lua_now.request->conn;
    return bl_lua_now.task ? bl_lua_now.task->run->conn : NULL;
}

bl_tls *bl_lua_handshake_tls(const char **error)
{
    const bl_conn *c = bl_lua_handshake_conn();

    if (c && c->tls && c->tls->ssl)
        return c->tls;
    *error = "bad request";
    return NULL;
}

SSL_SESSION *bl_lua_handshake_session(void)
{
    if (bl_lua_now.phase != BL_LUA_SSL_SESSION_STORE)
        return NULL;
    const storing *s = bl_lua_now.task->run->data;
    return s->session;
}

/* ------------------------------------------------------------- the connection's */

static char *describe(void *data, char *at, char *end)
{
    const handshake *h = data;

    at = bl_log_put(at, end, ", context: %s", bl_lua_phase_context(h->phase));
    return bl_http_log_describe_conn(h->conn, at, end);
}

static void forget(void *data)
{
    handshake *h = data;

    if (h->ctx_ref) {
        bl_debug(h->vm->log, "lua release ngx.ctx at ref %d", h->ctx_ref);
        bl_lua_vm_unref_ctx(h->vm, h->ctx_ref);
    }
    bl_lua_vm_drop(h->vm);
    bl_free(h);
}

/* With lua_code_cache off a connection's handshake has a VM of its own. */
static bl_lua_vm *vm_for(const bl_server *server)
{
    const bl_lua_location *s = bl_settings_of(&server->loc->settings, BL_LOCATION, &bl_lua_module);
    bl_generation *g = server->http->generation;
    bl_lua_vm *vm = s->code_cache == BL_CODE_CACHE_OFF ? bl_lua_vm_new(g, &bl_log_process) : NULL;

    if (BL_LIKELY(vm == NULL))
        return bl_lua_vm_hold(bl_lua_vm_of(g));
    vm->own = true;
    bl_watch_attach(vm);
    bl_lua_init_vm(vm, vm->log);
    return vm;
}

static handshake *handshake_of(bl_conn *c, const step *s)
{
    bl_tls *tls = c->tls;

    if (tls->data)
        return tls->data;
    handshake *h = bl_zalloc(sizeof *h);
    h->vm = vm_for(s->server);
    h->conn = c;
    tls->data = h;
    tls->forget = forget;
    return h;
}

int bl_lua_handshake_ctx(const bl_lua_vm *vm, const bl_conn *c)
{
    if (c->tls == NULL || c->tls->forget != forget)
        return 0;
    const handshake *h = c->tls->data;
    return h->vm == vm ? h->ctx_ref : 0;
}

static bl_run *new_run(bl_conn *c, const step *s, void (*done)(bl_run *run))
{
    handshake *h = handshake_of(c, s);
    bl_run *run = bl_run_new(h->vm, NULL, s->phase, done);

    bl_debug(&c->log, "%s: connection reusable: %d", s->word, c->reusable);
    h->phase = s->phase;
    h->log = c->log;
    h->log.action = NULL;
    h->log.describe = describe;
    h->log.data = h;
    run->conn = c;
    run->location = s->server->loc;
    run->log = &h->log;
    run->ctx_ref = h->ctx_ref;
    run->data = (void *)s;
    return run;
}

/* The table stays when the run goes. */
static void keep_ctx(bl_run *run, handshake *h)
{
    h->ctx_ref = run->ctx_ref;
    run->ctx_ref = 0;
}

/* ------------------------------------------------------------- a hook */

static int code_of(const bl_run *run)
{
    switch (run->outcome) {
    case BL_RUN_RETURNED:
        return 0;
    case BL_RUN_EXIT:
        return run->status;
    default:
        return FAILED;
    }
}

/* A session that could not be found is none; nothing else may fail. */
static bl_status verdict(uint32_t phase, int code)
{
    bool ok = phase == BL_LUA_SSL_SESSION_FETCH || (code >= 0 && code < 300);

    return ok ? BL_OK : BL_ERROR;
}

static bl_status end_run(bl_run *run, handshake *h)
{
    const step *s = run->data;
    int code = code_of(run);
    bl_status status = verdict(s->phase, code);
    bool good =
        s->phase == BL_LUA_SSL_SESSION_FETCH ? h->conn->tls->given != NULL : status == BL_OK;

    if (h->run)
        bl_debug(&h->conn->log, "%s: %s exit code: %d", s->name, s->callback, good);
    else
        bl_debug(&h->conn->log, "%s: handler return value: %d, %s exit code: %d", s->name, code,
                 s->callback, good);
    h->run = NULL;
    keep_ctx(run, h);
    bl_run_free(run);
    return status;
}

static void run_done(bl_run *run)
{
    bl_conn *c = run->conn;

    bl_tls_resume(c, end_run(run, c->tls->data));
}

static bl_status run_hook(bl_conn *c, bl_tls_hook *hook)
{
    step *s = hook->data;
    bl_run *run = new_run(c, s, run_done);
    handshake *h = c->tls->data;

    if (bl_lua_code_push(s->code, h->vm, NULL, run->entry->L) != 0) {
        run->outcome = BL_RUN_ERROR;
        return end_run(run, h);
    }
    if (bl_run_start(run, 0))
        return end_run(run, h);
    h->run = run;
    return BL_AGAIN;
}

static void cancel(bl_conn *c, bl_tls_hook *hook BL_UNUSED)
{
    handshake *h = c->tls->data;
    bl_run *run = h->run;
    const step *s = run->data;

    bl_debug(&c->log, "%s: %s aborted", s->name, s->callback);
    h->run = NULL;
    keep_ctx(run, h);
    bl_run_free(run);
}

/* ------------------------------------------------------------- certificates */

/* The server that the client names, whether it has certificates of its own or not. */
static bl_server *named_server(bl_conn *c)
{
    const char *name = SSL_get_servername(c->tls->ssl, TLSEXT_NAMETYPE_host_name);
    bl_str host;
    int port;

    if (name == NULL)
        return NULL;
    char *lower = bl_pool_bytes(bl_conn_pool(c), strlen(name) + 1);
    if (!bl_parse_host(bl_str_c(name), lower, &host, &port))
        return NULL;
    return bl_server_find(bl_http_addr_of(c->listener->data, c), host, NULL);
}

static const settings *settings_of(const bl_server *server)
{
    return bl_settings_of(&server->loc->settings, BL_SERVER, &bl_lua_handshake_module);
}

/* A server without certificates gets those of the default one, but not its code: who decides about
 * certificates must not be passed by. */
static bl_status run_certificate(bl_conn *c, bl_tls_hook *hook)
{
    const bl_server *named = named_server(c);

    if (named == NULL || settings_of(named)->certificate)
        return run_hook(c, hook);
    bl_log_write(BL_LOG_ALERT, &c->log, 0, "no ssl_certificate_by_lua* defined in server %.*s",
                 BL_STR_ARG(named->core->server_name));
    return BL_ERROR;
}

/* ------------------------------------------------------------- storing sessions */

static void end_storing(bl_run *run)
{
    storing *s = run->data;

    SSL_SESSION_free(s->session);
    run->origin = NULL;
    bl_free(s->origin);
    bl_free(s);
    bl_run_free(run);
}

static char *origin_of(bl_conn *c)
{
    char text[512];
    char *end = bl_http_log_describe_conn(c, text, text + sizeof text - 1);
    char *copy = bl_alloc((size_t)(end - text) + 1);

    memcpy(copy, text, (size_t)(end - text));
    copy[end - text] = '\0';
    return copy;
}

/* It goes on alone. */
static void part(bl_run *run, bl_conn *c)
{
    storing *s = run->data;

    keep_ctx(run, c->tls->data);
    run->conn = NULL;
    run->log = NULL;
    run->origin = s->origin = origin_of(c);
}

static void run_store(bl_conn *c, const step *step, SSL_SESSION *session)
{
    bl_run *run = new_run(c, step, end_storing);
    handshake *h = c->tls->data;
    storing *s = bl_zalloc(sizeof *s);

    SSL_SESSION_up_ref(session);
    s->session = session;
    run->data = s;
    bool over =
        bl_lua_code_push(step->code, h->vm, NULL, run->entry->L) != 0 || bl_run_start(run, 0);
    if (!over) {
        part(run, c);
        return;
    }
    bl_debug(&c->log, "%s: handler return value: %d, %s exit code: 0", step->name,
             run->outcome == BL_RUN_ERROR ? FAILED : 0, step->callback);
    keep_ctx(run, h);
    end_storing(run);
}

static void store(bl_conn *c, SSL_SESSION *session, void *data)
{
    const step *s = data;
    int version = SSL_version(c->tls->ssl);

    if (version >= TLS1_3_VERSION)
        bl_debug(&c->log, "%s: skipped since TLS version >= 1.3 (%x)", s->name, (unsigned)version);
    else
        run_store(c, s, session);
}

/* ------------------------------------------------------------- set-up */

static step *step_new(bl_conf *cf, bl_server *server, const step *model, bl_lua_code *code)
{
    step *s = BL_NEW(cf->pool, step);

    *s = *model;
    s->code = code;
    s->server = server;
    s->hook.cancel = cancel;
    s->hook.data = s;
    return s;
}

static void add(bl_conf *cf, bl_server *server, int at, const step *model, bl_lua_code *code)
{
    if (code)
        bl_tls_server_hook(server->tls, at, &step_new(cf, server, model, code)->hook);
}

static void add_all(bl_conf *cf, bl_server *server, const main_settings *top)
{
    static const step hello = {.phase = BL_LUA_SSL_CLIENT_HELLO,
                               .name = "ssl_client_hello_by_lua",
                               .word = "ssl client hello",
                               .callback = "client hello cb",
                               .hook.run = run_hook};
    static const step fetch = {.phase = BL_LUA_SSL_SESSION_FETCH,
                               .name = "ssl_session_fetch_by_lua*",
                               .word = "ssl session fetch",
                               .callback = "sess get cb",
                               .hook.run = run_hook};
    static const step certificate = {.phase = BL_LUA_SSL_CERT,
                                     .name = "ssl_certificate_by_lua",
                                     .word = "ssl cert",
                                     .callback = "cert cb",
                                     .hook.run = run_certificate};
    static const step storing = {.phase = BL_LUA_SSL_SESSION_STORE,
                                 .name = "ssl_session_store_by_lua*",
                                 .word = "ssl session store",
                                 .callback = "sess new cb"};

    add(cf, server, BL_TLS_AT_HELLO, &hello, settings_of(server)->hello);
    add(cf, server, BL_TLS_AT_SESSION, &fetch, top->fetch);
    add(cf, server, BL_TLS_AT_CERTIFICATE, &certificate, settings_of(server)->certificate);
    if (top->store)
        bl_tls_server_store(server->tls, store, step_new(cf, server, &storing, top->store));
}

static bool finish(bl_conf *cf, void *main)
{
    bl_http *http = cf->generation->http;

    BL_ARRAY_EACH (bl_server *, server, &http->servers) {
        if ((*server)->tls)
            add_all(cf, *server, main);
    }
    return true;
}

/* ------------------------------------------------------------- directives */

#define HOOK(directive, where, level, field)                                                       \
    {directive "_block", where, BL_TAKE0 | BL_TAKE_LUA, &bl_type_lua_code, level, field},          \
    {                                                                                              \
        directive "_file", where, BL_TAKE1, &bl_type_lua_code, level, field                        \
    }

static const bl_directive directives[] = {
    HOOK("ssl_client_hello_by_lua", BL_IN_HTTP | BL_IN_SERVER, BL_SERVER,
         offsetof(settings, hello)),
    HOOK("ssl_certificate_by_lua", BL_IN_HTTP | BL_IN_SERVER, BL_SERVER,
         offsetof(settings, certificate)),
    HOOK("ssl_session_fetch_by_lua", BL_IN_HTTP, BL_MAIN, offsetof(main_settings, fetch)),
    HOOK("ssl_session_store_by_lua", BL_IN_HTTP, BL_MAIN, offsetof(main_settings, store)),
    {0},
};

bl_module bl_lua_handshake_module = {
    .name = "lua_handshake",
    .directives = directives,
    .size = {[BL_MAIN] = sizeof(main_settings), [BL_SERVER] = sizeof(settings)},
    .finish = finish,
};
