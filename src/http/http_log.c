#include "http/http_log.h"
#include "http/core_module.h"
#include "http/phases.h"
#include "http/server.h"

static char *put_client(bl_conn *c, char *at, char *end)
{
    char text[BL_ADDR_TEXT];

    bl_addr_text(&c->peer.sa, sizeof c->peer, text);
    return bl_log_put(at, end, ", client: %s", text);
}

char *bl_http_log_describe_conn(void *conn, char *at, char *end)
{
    bl_conn *c = conn;

    at = put_client(c, at, end);
    if (c->listener)
        at = bl_log_put(at, end, ", server: %.*s", BL_STR_ARG(c->listener->text));
    return at;
}

char *bl_http_log_describe(void *request, char *at, char *end)
{
    bl_request *r = request;
    bl_header *host = bl_headers_known(&r->in, BL_H_HOST);
    bl_header *referrer = bl_headers_known(&r->in, BL_H_REFERER);

    at = put_client(r->conn, at, end);
    if (r->server)
        at = bl_log_put(at, end, ", server: %.*s", BL_STR_ARG(r->server->core->server_name));
    if (r->request_line.p)
        at = bl_log_put(at, end, ", request: \"%.*s\"", BL_STR_ARG(r->request_line));
    if (r->log_more)
        at = r->log_more(r, at, end);
    if (host)
        at = bl_log_put(at, end, ", host: \"%.*s\"", BL_STR_ARG(host->value));
    if (referrer)
        at = bl_log_put(at, end, ", referrer: \"%.*s\"", BL_STR_ARG(referrer->value));
    return at;
}

/* Lua has no business with a request that was none: only the access log's handler runs. */
void bl_http_log_request(bl_request *r)
{
    for (const bl_handler *h = r->loc->log; h && h->run; h++) {
        if ((h->rank & 0xff) == BL_PLACE_LOG)
            h->run(r);
    }
}
