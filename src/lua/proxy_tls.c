#include "lua/proxy_tls.h"
#include "http/modules/proxy.h"
#include "lua/code.h"
#include "lua/ctx.h"

enum {
    FAILED = 500, /* how a Lua error is told in the log */
};

typedef struct settings {
    bl_lua_code *certificate, *verify;
    int skip_verify;
} settings;

/* Code in one handshake. */
typedef struct step {
    bl_tls_hook hook;
    bl_request *r;
    bl_lua_code *code;
    bl_run *run; /* that the handshake waits for */
    bl_conn *conn;
    const char *before; /* what the log said that the request was doing */
    uint32_t phase;
    const char *name, *callback, *action; /* in the log */
} step;

bl_tls *bl_lua_proxy_tls_here(const char **error)
{
    const bl_request *r = bl_lua_now.request;
    const bl_upstream *u = r ? r->upstream : NULL;

    if (u && u->link && u->link->conn->tls)
        return u->link->conn->tls;
    *error = "bad request";
    return NULL;
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

static bl_status end_run(bl_run *run)
{
    step *s = run->data;
    int code = code_of(run);
    bool ok = code >= 0 && code < 300;

    if (s->run)
        bl_debug(s->r->log, "%s: %s exit code: %d", s->name, s->callback, ok);
    else
        bl_debug(s->r->log, "%s: handler return value: %d, %s exit code: %d", s->name, code,
                 s->callback, ok);
    s->run = NULL;
    bl_upstream_action(s->r->upstream, s->before);
    bl_run_free(run);
    return ok ? BL_OK : BL_ERROR;
}

static void run_done(bl_run *run)
{
    bl_conn *c = ((step *)run->data)->conn;

    bl_tls_resume(c, end_run(run));
}

static bl_status run_hook(bl_conn *c, bl_tls_hook *hook)
{
    step *s = hook->data;
    bl_lua_vm *vm = bl_lua_ctx_of(s->r)->vm;

    if (BL_UNLIKELY(vm == NULL))
        return BL_ERROR;
    bl_run *run = bl_run_new(vm, s->r, s->phase, run_done);
    run->data = s;
    s->conn = c;
    if (s->phase == BL_LUA_PROXY_SSL_CERT)
        s->r->upstream->link->personal = true;
    s->before = s->r->log->action;
    bl_upstream_action(s->r->upstream, s->action);
    if (bl_lua_code_push(s->code, vm, s->r, run->entry->L) != 0) {
        run->outcome = BL_RUN_ERROR;
        return end_run(run);
    }
    if (bl_run_start(run, 0))
        return end_run(run);
    s->run = run;
    return BL_AGAIN;
}

static void cancel(bl_conn *c BL_UNUSED, bl_tls_hook *hook)
{
    step *s = hook->data;

    bl_debug(s->r->log, "%s: %s aborted", s->name, s->callback);
    bl_run_free(s->run);
    s->run = NULL;
}

static void add(bl_upstream *u, int at, bl_lua_code *code, const step *model)
{
    step *s = BL_NEW(u->r->pool, step);

    *s = *model;
    s->r = u->r;
    s->code = code;
    s->hook = (bl_tls_hook){.run = run_hook, .cancel = cancel, .data = s};
    bl_tls_conn_hook(u->link->conn, at, &s->hook);
}

static void begin(bl_upstream *u)
{
    static const step certificate = {.phase = BL_LUA_PROXY_SSL_CERT,
                                     .name = "proxy_ssl_certificate_by_lua",
                                     .callback = "cert cb",
                                     .action = "loading proxy ssl certificate by lua"};
    static const step verify = {.phase = BL_LUA_PROXY_SSL_VERIFY,
                                .name = "proxy_ssl_verify_by_lua",
                                .callback = "cert verify callback",
                                .action = "loading proxy ssl verify by lua"};
    const settings *conf = BL_LOC_SETTINGS(u->r, bl_lua_proxy_tls_module);

    if (conf->certificate)
        add(u, BL_TLS_AT_CERTIFICATE, conf->certificate, &certificate);
    if (conf->verify)
        add(u, BL_TLS_AT_VERIFY, conf->verify, &verify);
    if (conf->verify && conf->skip_verify)
        bl_tls_conn_skip_verify(u->link->conn);
    else if (conf->verify)
        bl_debug(u->r->log, "proxy_ssl_verify_by_lua: openssl default verify");
}

/* ------------------------------------------------------------- set-up */

static bool may_speak_tls(const bl_location *loc)
{
    const bl_proxy_location *proxy = bl_settings_of(&loc->settings, BL_LOCATION, &bl_proxy_module);

    return proxy->target == NULL || proxy->target->tls || proxy->target->url;
}

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_lua_proxy_tls_module);

    if (s->certificate == NULL && s->verify == NULL)
        return true;
    loc->upstream_tls = begin;
    if (may_speak_tls(loc))
        return true;
    return bl_conf_error(cf, loc->node, 0, "%s should be used with proxy_pass https url",
                         s->certificate ? "proxy_ssl_certificate_by_lua*"
                                        : "proxy_ssl_verify_by_lua*");
}

#define HOOK(directive, field)                                                                     \
    {directive "_block",                                                                           \
     BL_IN_LOCATION | BL_IN_LOCATION_IF,                                                           \
     BL_TAKE0 | BL_TAKE_LUA,                                                                       \
     &bl_type_lua_code,                                                                            \
     BL_LOCATION,                                                                                  \
     offsetof(settings, field)},                                                                   \
    {                                                                                              \
        directive "_file", BL_IN_LOCATION | BL_IN_LOCATION_IF, BL_TAKE1, &bl_type_lua_code,        \
            BL_LOCATION, offsetof(settings, field)                                                 \
    }

static const bl_directive directives[] = {
    HOOK("proxy_ssl_certificate_by_lua", certificate),
    HOOK("proxy_ssl_verify_by_lua", verify),
    {"lua_upstream_skip_openssl_default_verify", BL_IN_LOCATION | BL_IN_LOCATION_IF, BL_TAKE_FLAG,
     &bl_type_flag, BL_LOCATION, offsetof(settings, skip_verify), "off"},
    {0},
};

static const bl_http_module http = {.compile = compile};

bl_module bl_lua_proxy_tls_module = {
    .name = "lua_proxy_tls",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
