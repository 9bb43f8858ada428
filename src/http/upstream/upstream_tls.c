#include "http/upstream/upstream_tls.h"
#include "event/tls_cache.h"
#include "event/tls_reuse.h"
#include "http/upstream/upstream.h"

/* The name without a port: for SNI and for the certificate. */
static bl_str without_port(bl_str name)
{
    if (name.len && name.p[0] == '[') {
        ssize_t close = bl_str_chr(name, ']');
        return close < 0 ? name : bl_str_of(name.p, (size_t)close + 1);
    }
    ssize_t colon = bl_str_chr(name, ':');
    return colon < 0 ? name : bl_str_of(name.p, (size_t)colon);
}

bl_str bl_upstream_tls_name(bl_upstream *u)
{
    const bl_upstream_tls *tls = u->conf->tls;

    if (BL_UNLIKELY(u->tls_name.p != NULL))
        return u->tls_name;
    return without_port(tls->name ? bl_value_eval(u->r, tls->name) : u->host);
}

bl_str bl_upstream_tls_identity(bl_upstream *u)
{
    const bl_upstream_tls *tls = u->conf->tls;
    bl_str name = bl_upstream_tls_name(u);

    if (BL_LIKELY(!tls->late))
        return name;
    bl_str parts[] = {name, BL_STR(" "), bl_value_eval(u->r, tls->certificate)};
    return bl_pool_concat(u->r->pool, parts, 3);
}

static bl_str absolute(bl_upstream *u, const bl_value *value)
{
    bl_str path = bl_value_eval(u->r, value);

    if (path.len == 0 || path.p[0] == '/' || bl_str_starts(path, BL_STR("data:")))
        return path;
    bl_str parts[] = {u->r->http->generation->conf_prefix, path};
    return bl_pool_concat(u->r->pool, parts, 2);
}

/* A certificate that depends on the request; an empty one is none. */
static bool use_late(bl_upstream *u)
{
    const bl_upstream_tls *tls = u->conf->tls;
    const char *error = NULL;

    if (BL_LIKELY(!tls->late))
        return true;
    bl_str certificate = absolute(u, tls->certificate);
    if (certificate.len == 0)
        return true;
    bl_tls_pair *pair = bl_tls_cache_get(tls->cache, certificate, absolute(u, tls->certificate_key),
                                         tls->settings.passwords, &error);
    if (pair)
        error = bl_tls_pair_use(u->link->conn, pair);
    if (error)
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "%s", error);
    return error == NULL;
}

static bool may_be_asked_for(bl_str name)
{
    bl_addr addr;

    return name.len != 0 && name.p[0] != '[' && !bl_addr_parse_ip(name, &addr);
}

/* A session stands for what was agreed and checked when it began: there is none where certificates
 * depend on the request, or are chosen or checked by Lua. */
static bool may_resume(const bl_upstream *u)
{
    return u->conf->tls->session_reuse && !u->conf->tls->late && !u->r->loc->upstream_tls;
}

bool bl_upstream_tls_begin(bl_upstream *u, void (*done)(bl_conn *c, bool ok))
{
    const bl_upstream_tls *tls = u->conf->tls;
    bl_str name = bl_upstream_tls_name(u);
    SSL_SESSION *session =
        may_resume(u) ? bl_tls_reuse_get(tls->client, &u->choice.peer->addr, name) : NULL;
    bl_conn *c = u->link->conn;

    if (!bl_tls_prepare(c, tls->client, done)) {
        done(c, false);
        return true;
    }
    if (!use_late(u))
        return false;
    if (u->r->loc->upstream_tls) {
        u->link->hooked = u->r->loc;
        u->r->loc->upstream_tls(u);
    }
    bl_tls_begin(c, tls->server_name && may_be_asked_for(name) ? name : BL_STR_NONE, session);
    return true;
}

bool bl_upstream_tls_verified(bl_upstream *u)
{
    if (!u->conf->tls->verify)
        return true;
    bl_str name = bl_upstream_tls_name(u);
    const char *why = bl_tls_verify_error(u->link->conn, name.p ? name : BL_STR(""));
    if (why == NULL)
        return true;
    bl_log_write(BL_LOG_ERR, u->r->log, 0, "upstream SSL certificate verify error: %s", why);
    return false;
}

/* A session stands for what was agreed and checked when it began: with a certificate that depends
 * on the request there is none. */
void bl_upstream_tls_save(bl_upstream *u)
{
    const bl_upstream_tls *tls = u->conf->tls;
    bl_conn *c = u->link->conn;

    if (!may_resume(u) || u->choice.peer == NULL || c->tls == NULL)
        return;
    SSL_SESSION *session = SSL_get1_session(c->tls->ssl);
    if (session)
        bl_tls_reuse_put(tls->client, &u->choice.peer->addr, bl_upstream_tls_name(u), session);
}
