#include "http/core_module.h"
#include "http/modules/proxy.h"
#include "http/escape.h"

/* ------------------------------------------------------------- URLs */

static bl_str behind(bl_str s, size_t n)
{
    return bl_str_of(s.p + n, s.len - n);
}

static bool take_scheme(bl_str *text, bl_proxy_url *to)
{
    static const bl_str http = BL_STR_INIT("http://"), https = BL_STR_INIT("https://");

    to->tls = bl_str_istarts(*text, https);
    if (!to->tls && !bl_str_istarts(*text, http))
        return false;
    to->scheme = to->tls ? https : http;
    to->default_port = to->tls ? 443 : 80;
    *text = behind(*text, to->scheme.len);
    return true;
}

/* "unix:/path:/uri", or "host:port/uri". */
static void split(bl_str text, bl_proxy_url *to)
{
    size_t end = 0;

    to->uri = BL_STR_NONE;
    if (bl_str_starts(text, BL_STR("unix:"))) {
        ssize_t colon = bl_str_chr(behind(text, 5), ':');
        to->authority = colon < 0 ? text : bl_str_of(text.p, (size_t)colon + 5);
        if (colon >= 0 && text.len > (size_t)colon + 6)
            to->uri = behind(text, (size_t)colon + 6);
        return;
    }
    while (end < text.len && text.p[end] != '/' && text.p[end] != '?')
        end++;
    to->authority = bl_str_of(text.p, end);
    if (end < text.len)
        to->uri = behind(text, end);
}

const char *bl_proxy_url_parse(bl_str text, bl_proxy_url *to)
{
    if (!take_scheme(&text, to))
        return "invalid URL prefix";
    split(text, to);
    const char *error = bl_hostport_parse(to->authority, to->default_port, &to->hp);
    if (error)
        return error;
    if (to->hp.wildcard)
        return "no host";
    to->port = to->hp.is_unix || to->hp.port < 0 ? 0 : to->hp.port;
    to->host = to->hp.is_unix ? to->authority : to->hp.host;
    return NULL;
}

static void describe(bl_pool *pool, const bl_proxy_url *from, bl_proxy_target *to)
{
    bool usual = from->port == 0 || from->port == from->default_port;

    to->scheme = from->scheme;
    to->tls = from->tls;
    to->uri = from->uri;
    if (from->hp.is_unix) {
        to->host_port = BL_STR("localhost");
        to->port = BL_STR("");
        return;
    }
    bl_str host = from->authority;
    if (usual && from->port) { /* ":80" is not said */
        while (host.p[host.len - 1] != ':')
            host.len--;
        host.len--;
    }
    to->host_port = host;
    to->port = from->port  ? bl_pool_printf(pool, "%d", from->port)
               : from->tls ? BL_STR("443")
                           : BL_STR("80");
}

/* ------------------------------------------------------------- proxy_pass */

/* Where a URI has no part of the request's to stand for. */
static const char *why_no_uri(const bl_location *loc)
{
    switch (loc->kind) {
    case BL_LOC_REGEX:
        return "location given by regular expression";
    case BL_LOC_NAMED:
        return "named location";
    case BL_LOC_IF:
        return "\"if\" statement";
    case BL_LOC_LIMIT_EXCEPT:
        return "\"limit_except\" block";
    default:
        return NULL;
    }
}

static bool read_constant(bl_conf *cf, const bl_conf_node *node, bl_str text,
                          bl_proxy_target *target, const bl_location *loc)
{
    bl_proxy_url parts;
    const char *error = bl_proxy_url_parse(text, &parts), *why = why_no_uri(loc);

    if (error && strcmp(error, "invalid URL prefix") == 0)
        return bl_conf_error(cf, node, 1, "invalid URL prefix");
    if (error)
        return bl_conf_error(cf, node, 1, "%s in upstream \"%.*s\"", error,
                             BL_STR_ARG(parts.authority));
    if (parts.uri.len && parts.uri.p[0] == '?')
        parts.uri = bl_pool_printf(cf->pool, "/%.*s", BL_STR_ARG(parts.uri));
    describe(cf->pool, &parts, target);
    if (target->uri.len && why)
        return bl_conf_error(cf, node, 1,
                             "\"proxy_pass\" cannot have URI part in location given by regular "
                             "expression, or inside named location, or inside \"if\" statement, "
                             "or inside \"limit_except\" block");
    target->group = bl_upstream_group_for(cf, node, parts.host, parts.port, parts.default_port);
    return target->group != NULL;
}

static bool read_proxy_pass(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                            void *field BL_UNUSED)
{
    bl_location *loc = cf->block;
    bl_proxy_location *conf = bl_settings_of(&loc->settings, BL_LOCATION, &bl_proxy_module);
    bl_str text = bl_pool_str(cf->pool, bl_conf_arg(node, 1));

    if (conf->target)
        return bl_conf_error(cf, node, 0, "\"proxy_pass\" directive is duplicate");
    bl_proxy_target *target = BL_NEW(cf->pool, bl_proxy_target);
    target->node = node;
    target->location = loc->name;
    loc->content = bl_proxy_handler;
    if (loc->name.len && loc->name.p[loc->name.len - 1] == '/')
        loc->auto_redirect = true;
    conf->target = target;
    if (bl_str_chr(text, '$') < 0)
        return read_constant(cf, node, text, target, loc);
    target->url = bl_value_compile(cf, node, 1, text);
    return target->url != NULL;
}

const bl_type bl_type_proxy_pass = {"URL", 0, read_proxy_pass};

/* ------------------------------------------------------------- of a request */

static int aim_at_text(bl_upstream *u, const bl_proxy_target *conf, bl_proxy *proxy)
{
    bl_request *r = u->r;
    bl_str text = bl_value_eval(r, conf->url);
    bl_proxy_target *target = BL_NEW(r->pool, bl_proxy_target);
    bl_proxy_url parts;
    const char *error = bl_proxy_url_parse(text, &parts);

    if (error) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "%s in \"%.*s\"", error, BL_STR_ARG(text));
        return 500;
    }
    *target = *conf;
    describe(r->pool, &parts, target);
    if (target->uri.len && target->uri.p[0] == '?')
        target->uri = bl_pool_printf(r->pool, "/%.*s", BL_STR_ARG(target->uri));
    proxy->target = target;
    u->host = parts.host;
    u->port = parts.port ? parts.port : parts.default_port;
    u->group = bl_upstream_group_find(r->http, parts.host, parts.port, parts.default_port);
    if (u->group == NULL && parts.hp.is_ip)
        u->choice.peers = bl_peers_of_addrs(r->pool, &parts.hp.addr, 1, parts.host);
    return 0;
}

int bl_proxy_aim(bl_upstream *u, bl_proxy *proxy)
{
    const bl_proxy_target *target = proxy->conf->target;

    if (BL_UNLIKELY(target->url != NULL)) {
        int status = aim_at_text(u, target, proxy);
        if (status)
            return status;
    } else {
        proxy->target = target;
        u->group = target->group;
        u->host = target->group->host;
    }
    u->scheme = proxy->target->scheme;
    u->tls = proxy->target->tls;
    return 0;
}

/* ------------------------------------------------------------- the URI */

static bl_str put_args(bl_request *r, bl_str path)
{
    bl_str parts[] = {path, BL_STR("?"), r->args};

    return r->args.p ? bl_pool_concat(r->pool, parts, 3) : path;
}

static bl_str escaped(bl_request *r, bl_str path)
{
    return bl_escape_uri(r->pool, path, BL_ESCAPE_PATH);
}

/* As the client sent it, without scheme and host. */
static bl_str raw_uri(bl_request *r)
{
    if (BL_LIKELY(r->scheme_in_line.len == 0))
        return r->raw_uri;
    const char *path = r->host_in_line.p + r->host_in_line.len;
    bl_str rest = bl_str_of(path, (size_t)(r->raw_uri.p + r->raw_uri.len - path));
    if (rest.len && rest.p[0] == '/')
        return rest;
    return bl_pool_printf(r->pool, "/%.*s", BL_STR_ARG(rest));
}

bl_str bl_proxy_uri(bl_request *r, const bl_proxy_target *target)
{
    if (target->uri.len == 0)
        return r->valid_raw_uri && bl_request_is_main(r) ? raw_uri(r)
                                                         : put_args(r, escaped(r, r->uri));
    if (target->url)
        return bl_escape_line(r->pool, target->uri);
    if (r->rewritten)
        return put_args(r, escaped(r, r->uri));
    size_t stands_for = BL_MIN(target->location.len, r->uri.len);
    bl_str rest = escaped(r, behind(r->uri, stands_for));
    bl_str parts[] = {target->uri, rest};
    return put_args(r, rest.len ? bl_pool_concat(r->pool, parts, 2) : target->uri);
}
