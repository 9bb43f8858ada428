/* The variables of the core: the request, the connection, the clock, header fields. */
#include "http/core_vars.h"
#include "core/time.h"
#include "event/proxy_protocol.h"
#include "http/body.h"
#include "http/core_module.h"
#include "http/credentials.h"
#include "http/parse.h"
#include "http/variable.h"
#include "http/version.h"

#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GET(name)                                                                                  \
    static bool name(bl_request *r BL_UNUSED, const bl_variable *v BL_UNUSED,                      \
                     bl_str member BL_UNUSED, bl_str *value)

static bool number(bl_request *r, uint64_t n, bl_str *value)
{
    char *text = bl_pool_bytes(r->pool, 20);

    *value = bl_str_of(text, (size_t)(bl_u64_write(text, n) - text));
    return true;
}

static bool text(bl_str s, bl_str *value)
{
    *value = s;
    return s.p != NULL;
}

/* Seconds with three decimals. */
static bool seconds(bl_request *r, uint64_t ms, bl_str *value)
{
    *value = bl_pool_printf(r->pool, "%llu.%03llu", (unsigned long long)(ms / 1000),
                            (unsigned long long)(ms % 1000));
    return true;
}

/* As a field's name in a family: each '_' matches '-' or '_'. */
static bool matches_member(bl_str name, bl_str member)
{
    if (name.len != member.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = bl_lower(name.p[i]);
        if (c == '-')
            c = '_';
        if (c != bl_lower(member.p[i]))
            return false;
    }
    return true;
}

static bool join_fields(bl_request *r, const bl_headers *headers, bl_str member, bl_str separator,
                        bl_str *value)
{
    const bl_header *first = NULL;
    bool several = false;

    BL_HEADERS_EACH(h, headers)
    {
        if (!matches_member(h->name, member))
            continue;
        several = first != NULL;
        if (several)
            break;
        first = h;
    }
    if (first == NULL)
        return false;
    if (several)
        *value = bl_headers_join(headers, r->pool, first->name, separator);
    else
        *value = first->value;
    return true;
}

/* ------------------------------------------------------------- the request */

GET(get_uri)
{
    return text(r->uri, value);
}

GET(get_request_uri)
{
    return text(r->raw_uri, value);
}

GET(get_args)
{
    return text(r->args, value);
}

static bool set_args(bl_request *r, const bl_variable *v BL_UNUSED, bl_str value)
{
    r->args = value;
    r->valid_raw_uri = false;
    return true;
}

GET(get_is_args)
{
    *value = r->args.len ? BL_STR("?") : BL_STR("");
    return true;
}

GET(get_request)
{
    return text(r->request_line, value);
}

GET(get_method)
{
    return text(r->main->method_name, value);
}

GET(get_protocol)
{
    return text(r->protocol, value);
}

GET(get_scheme)
{
    *value = r->conn->tls ? BL_STR("https") : BL_STR("http");
    return true;
}

GET(get_https)
{
    *value = r->conn->tls ? BL_STR("on") : BL_STR("");
    return true;
}

GET(get_host)
{
    *value = r->host.len ? r->host : r->server->core->server_name;
    return true;
}

GET(get_server_name)
{
    *value = r->server->core->server_name;
    return true;
}

static bool root_of(bl_request *r, bl_str *value, bool real)
{
    bl_str path;
    size_t root_len;

    if (!bl_request_path(r, &path, &root_len, 0))
        return false;
    *value = bl_str_of(path.p, root_len);
    if (!real)
        return true;
    char *resolved = realpath(bl_pool_cstr(r->pool, *value), NULL);
    if (resolved == NULL)
        return false;
    *value = bl_pool_str(r->pool, bl_str_c(resolved));
    free(resolved);
    return true;
}

GET(get_document_root)
{
    return root_of(r, value, false);
}

GET(get_realpath_root)
{
    return root_of(r, value, true);
}

GET(get_request_filename)
{
    size_t root_len;

    return bl_request_path(r, value, &root_len, 0);
}

GET(get_content_length)
{
    bl_header *h = bl_headers_known(&r->in, BL_H_CONTENT_LENGTH);

    if (h)
        return text(h->value, value);
    if (r->body.whole && r->body.length >= 0 && r->body.expected)
        return number(r, (uint64_t)r->body.length, value);
    return false;
}

GET(get_request_body)
{
    bl_str body;

    if (!bl_body_string(r, &body))
        return false;
    *value = body;
    return true;
}

GET(get_request_body_file)
{
    return r->body.file && text(r->body.file->path, value);
}

GET(get_request_length)
{
    return number(r, r->main->header_bytes + r->main->received_bytes, value);
}

GET(get_request_time)
{
    return seconds(r, bl_now_ms() - r->main->start_ms, value);
}

GET(get_request_id)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char random[16];
    char *to = bl_pool_bytes(r->pool, 32);

    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    for (size_t i = 0; i < sizeof random; i++) {
        to[2 * i] = hex[random[i] >> 4];
        to[2 * i + 1] = hex[random[i] & 15];
    }
    *value = bl_str_of(to, 32);
    return true;
}

GET(get_request_completion)
{
    if (r->main->broken || r->main->aborted || !r->main->output.eof)
        return false;
    *value = BL_STR("OK");
    return true;
}

GET(get_remote_user)
{
    bl_str password;

    return text(r->main->realm_user, value) || bl_credentials(r, value, &password);
}

GET(get_limit_rate)
{
    return number(r, r->limit_rate_set ? (uint64_t)r->limit_rate : 0, value);
}

static bool set_limit_rate(bl_request *r, const bl_variable *v BL_UNUSED, bl_str value)
{
    int64_t rate = bl_conf_size(value);

    if (rate < 0)
        return false;
    r->limit_rate = rate;
    r->limit_rate_set = true;
    return true;
}

GET(get_request_port)
{
    int port = r->host_port;

    if (port == 0)
        return false;
    return number(r, (uint64_t)port, value);
}

GET(get_is_request_port)
{
    *value = r->host_port ? BL_STR(":") : BL_STR("");
    return true;
}

/* ------------------------------------------------------------- the response */

GET(get_status)
{
    int status = r->out.status ? r->out.status : r->error_status;

    if (status == 0 && r->http_version == 9)
        status = 9;
    *value = bl_pool_printf(r->pool, "%03d", status);
    return true;
}

GET(get_bytes_sent)
{
    return number(r, r->conn->sent - r->main->sent_before, value);
}

GET(get_body_bytes_sent)
{
    uint64_t sent = r->conn->sent - r->main->sent_before, head = r->main->head_sent_bytes;

    return number(r, sent > head ? sent - head : 0, value);
}

GET(get_sent_content_type)
{
    if (r->out.content_type.len == 0)
        return false;
    if (r->out.charset.len && !r->out.charset_done) {
        bl_str parts[] = {r->out.content_type, BL_STR("; charset="), r->out.charset};
        *value = bl_pool_concat(r->pool, parts, 3);
        return true;
    }
    return text(r->out.content_type, value);
}

GET(get_sent_content_length)
{
    return r->out.content_length >= 0 && number(r, (uint64_t)r->out.content_length, value);
}

/* What has a place of its own in the response may stand among the fields all the same. */
static bool in_fields(bl_request *r, bl_str name, bl_str *value)
{
    return join_fields(r, &r->out.headers, name, BL_STR(", "), value);
}

GET(get_sent_location)
{
    return text(r->out.location, value) || in_fields(r, BL_STR("location"), value);
}

GET(get_sent_accept_ranges)
{
    if (!r->out.accept_ranges || r->out.no_range)
        return in_fields(r, BL_STR("accept_ranges"), value);
    *value = BL_STR("bytes");
    return true;
}

GET(get_sent_last_modified)
{
    if (r->out.last_modified < 0)
        return in_fields(r, BL_STR("last_modified"), value);
    char *to = bl_pool_bytes(r->pool, BL_TIME_HTTP_LEN);
    bl_time_http(to, r->out.last_modified);
    *value = bl_str_of(to, BL_TIME_HTTP_LEN);
    return true;
}

GET(get_sent_connection)
{
    if (r->out.status == 101)
        *value = BL_STR("upgrade");
    else
        *value = r->main->keepalive ? BL_STR("keep-alive") : BL_STR("close");
    return true;
}

GET(get_sent_keep_alive)
{
    int64_t s = r->loc->core->keepalive.header;

    if (!r->main->keepalive || s < 0)
        return false;
    *value = bl_pool_printf(r->pool, "timeout=%lld", (long long)s);
    return true;
}

GET(get_sent_transfer_encoding)
{
    if (!r->chunked_out)
        return false;
    *value = BL_STR("chunked");
    return true;
}

/* ------------------------------------------------------------- header fields, arguments, cookies
 */

GET(get_http_field)
{
    bl_str separator = bl_str_ieq(member, BL_STR("cookie")) ? BL_STR("; ") : BL_STR(", ");

    return join_fields(r, &r->in, member, separator, value);
}

GET(get_sent_field)
{
    return join_fields(r, &r->out.headers, member, BL_STR(", "), value);
}

GET(get_sent_trailer)
{
    return join_fields(r, &r->out.trailers, member, BL_STR(", "), value);
}

GET(get_etag_sent)
{
    return text(r->out.etag, value) || in_fields(r, BL_STR("etag"), value);
}

GET(get_content_type)
{
    return join_fields(r, &r->in, BL_STR("content_type"), BL_STR(", "), value);
}

GET(get_arg)
{
    return bl_parse_arg(r->args, member, value);
}

GET(get_cookie)
{
    BL_HEADERS_EACH(h, &r->in)
    {
        if (h->id == BL_H_COOKIE && bl_parse_cookie(h->value, member, value))
            return true;
    }
    return false;
}

/* ------------------------------------------------------------- the connection */

GET(get_remote_addr)
{
    char *to = bl_pool_bytes(r->pool, BL_ADDR_TEXT);

    *value = bl_str_of(to, bl_addr_text(&r->conn->peer.sa, sizeof r->conn->peer, to));
    return true;
}

GET(get_binary_remote_addr)
{
    bl_sockaddr *peer = &r->conn->peer;

    if (peer->sa.sa_family == AF_INET)
        *value = bl_pool_str(r->pool, bl_str_of((char *)&peer->in.sin_addr, 4));
    else if (peer->sa.sa_family == AF_INET6)
        *value = bl_pool_str(r->pool, bl_str_of((char *)&peer->in6.sin6_addr, 16));
    else
        *value = BL_STR("unix:");
    return true;
}

GET(get_remote_port)
{
    int port = bl_addr_port(&r->conn->peer.sa);

    if (port)
        return number(r, (uint64_t)port, value);
    *value = BL_STR("");
    return true;
}

GET(get_server_addr)
{
    char *to = bl_pool_bytes(r->pool, BL_ADDR_TEXT);

    *value = bl_str_of(to, bl_addr_text(bl_conn_local(r->conn), sizeof(struct sockaddr_un), to));
    return true;
}

GET(get_server_port)
{
    int port = bl_addr_port(bl_conn_local(r->conn));

    if (port)
        return number(r, (uint64_t)port, value);
    *value = BL_STR("");
    return true;
}

GET(get_connection)
{
    return number(r, r->conn->number, value);
}

GET(get_connection_requests)
{
    return number(r, r->conn->requests, value);
}

GET(get_connection_time)
{
    return seconds(r, bl_now_ms() - r->conn->start_ms, value);
}

GET(get_tcpinfo)
{
#ifdef TCP_INFO
    struct tcp_info info;
    socklen_t len = sizeof info;

    if (r->conn->io.fd < 0 || getsockopt(r->conn->io.fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    const uint32_t figures[] = {info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_snd_cwnd,
                                info.tcpi_rcv_space};
    return number(r, figures[(uintptr_t)v->data], value);
#else
    return false;
#endif
}

GET(get_pipe)
{
    *value = r->conn->requests > 1 && r->pipelined ? BL_STR("p") : BL_STR(".");
    return true;
}

GET(get_proxy_protocol)
{
    const bl_proxy_protocol *pp = r->conn->proxy_protocol;

    if (pp == NULL)
        return false;
    switch ((uintptr_t)v->data) {
    case 0:
        return text(pp->src_addr, value);
    case 1:
        return pp->src_addr.len && number(r, (uint64_t)pp->src_port, value);
    case 2:
        return text(pp->dst_addr, value);
    default:
        return pp->dst_addr.len && number(r, (uint64_t)pp->dst_port, value);
    }
}

GET(get_proxy_protocol_tlv)
{
    static const struct {
        const char *name;
        int type, sub;
    } names[] = {{"alpn", 0x01, 0},           {"authority", 0x02, 0},
                 {"unique_id", 0x05, 0},      {"ssl", 0x20, 0},
                 {"netns", 0x30, 0},          {"ssl_version", 0x20, 0x21},
                 {"ssl_cn", 0x20, 0x22},      {"ssl_cipher", 0x20, 0x23},
                 {"ssl_sig_alg", 0x20, 0x24}, {"ssl_key_alg", 0x20, 0x25},
                 {"ssl_verify", 0x20, -1}};
    const bl_proxy_protocol *pp = r->conn->proxy_protocol;

    if (pp == NULL)
        return false;
    for (size_t i = 0; i < BL_COUNTOF(names); i++) {
        if (!bl_str_eq(member, bl_str_c(names[i].name)))
            continue;
        if (names[i].sub >= 0)
            return bl_proxy_protocol_tlv(pp, names[i].type, names[i].sub, value);
        bl_str ssl;
        if (!bl_proxy_protocol_tlv(pp, 0x20, 0, &ssl) || ssl.len < 5)
            return false;
        uint32_t verify = (uint32_t)(unsigned char)ssl.p[1] << 24 |
                          (uint32_t)(unsigned char)ssl.p[2] << 16 |
                          (uint32_t)(unsigned char)ssl.p[3] << 8 | (unsigned char)ssl.p[4];
        return number(r, verify, value);
    }
    bool sub = bl_str_starts(member, BL_STR("ssl_0x"));
    if (!sub && !bl_str_starts(member, BL_STR("0x")))
        return false;
    size_t prefix = sub ? 6 : 2;
    int64_t type = bl_str_to_hex(bl_str_of(member.p + prefix, member.len - prefix));
    if (type < 0 || type > 255 || (sub && type == 0))
        return false;
    return sub ? bl_proxy_protocol_tlv(pp, 0x20, (int)type, value)
               : bl_proxy_protocol_tlv(pp, (int)type, 0, value);
}

/* ------------------------------------------------------------- the server and its clock */

GET(get_version)
{
    *value = BL_STR(BL_NGINX_VERSION);
    return true;
}

GET(get_hostname)
{
    static char name[256];

    if (name[0] == '\0')
        gethostname(name, sizeof name - 1);
    *value = bl_str_c(name);
    return true;
}

GET(get_pid)
{
    return number(r, (uint64_t)getpid(), value);
}

GET(get_msec)
{
    *value = bl_pool_printf(r->pool, "%lld.%03u", (long long)bl_clock_now.sec, bl_clock_now.msec);
    return true;
}

GET(get_time_local)
{
    *value = bl_pool_str(r->pool, bl_clock_access_log());
    return true;
}

GET(get_time_iso8601)
{
    *value = bl_pool_str(r->pool, bl_clock_iso8601());
    return true;
}

#define ROW(text, get)                                                                             \
    {                                                                                              \
        BL_STR_INIT(text), get                                                                     \
    }
#define VOLATILE(text, get)                                                                        \
    {                                                                                              \
        BL_STR_INIT(text), get, NULL, NULL, BL_VAR_VOLATILE                                        \
    }
#define FAMILY(text, get)                                                                          \
    {                                                                                              \
        BL_STR_INIT(text), get, NULL, NULL, BL_VAR_PREFIX                                          \
    }
#define WITH_DATA(text, get, data)                                                                 \
    {                                                                                              \
        BL_STR_INIT(text), get, NULL, (void *)(data), BL_VAR_VOLATILE                              \
    }

// clang-format off
static const bl_variable rows[] = {
    VOLATILE("uri", get_uri), VOLATILE("document_uri", get_uri),
    ROW("request_uri", get_request_uri), ROW("request", get_request),
    {BL_STR_INIT("args"), get_args, set_args, NULL, BL_VAR_CHANGEABLE | BL_VAR_VOLATILE},
    {BL_STR_INIT("query_string"), get_args, NULL, NULL, BL_VAR_VOLATILE},
    VOLATILE("is_args", get_is_args), ROW("request_method", get_method),
    ROW("server_protocol", get_protocol), ROW("scheme", get_scheme), ROW("https", get_https),
    ROW("host", get_host), ROW("server_name", get_server_name),
    VOLATILE("document_root", get_document_root), VOLATILE("realpath_root", get_realpath_root),
    VOLATILE("request_filename", get_request_filename),
    VOLATILE("content_length", get_content_length), VOLATILE("content_type", get_content_type),
    VOLATILE("request_body", get_request_body), VOLATILE("request_body_file", get_request_body_file),
    VOLATILE("request_length", get_request_length), VOLATILE("request_time", get_request_time),
    ROW("request_id", get_request_id), VOLATILE("request_completion", get_request_completion),
    VOLATILE("remote_user", get_remote_user), ROW("request_port", get_request_port),
    ROW("is_request_port", get_is_request_port),
    {BL_STR_INIT("limit_rate"), get_limit_rate, set_limit_rate, NULL, BL_VAR_CHANGEABLE | BL_VAR_VOLATILE},
    VOLATILE("status", get_status), VOLATILE("bytes_sent", get_bytes_sent),
    VOLATILE("body_bytes_sent", get_body_bytes_sent),
    VOLATILE("sent_http_content_type", get_sent_content_type),
    VOLATILE("sent_http_content_length", get_sent_content_length),
    VOLATILE("sent_http_location", get_sent_location),
    VOLATILE("sent_http_last_modified", get_sent_last_modified),
    VOLATILE("sent_http_accept_ranges", get_sent_accept_ranges),
    VOLATILE("sent_http_connection", get_sent_connection),
    VOLATILE("sent_http_keep_alive", get_sent_keep_alive),
    VOLATILE("sent_http_transfer_encoding", get_sent_transfer_encoding),
    VOLATILE("sent_http_etag", get_etag_sent),
    {BL_STR_INIT("http_"), get_http_field, NULL, NULL, BL_VAR_PREFIX},
    {BL_STR_INIT("sent_http_"), get_sent_field, NULL, NULL, BL_VAR_PREFIX | BL_VAR_VOLATILE},
    {BL_STR_INIT("sent_trailer_"), get_sent_trailer, NULL, NULL, BL_VAR_PREFIX | BL_VAR_VOLATILE},
    {BL_STR_INIT("arg_"), get_arg, NULL, NULL, BL_VAR_PREFIX | BL_VAR_VOLATILE},
    FAMILY("cookie_", get_cookie), FAMILY("proxy_protocol_tlv_", get_proxy_protocol_tlv),
    VOLATILE("remote_addr", get_remote_addr), VOLATILE("binary_remote_addr", get_binary_remote_addr),
    VOLATILE("remote_port", get_remote_port), ROW("server_addr", get_server_addr),
    ROW("server_port", get_server_port), ROW("connection", get_connection),
    ROW("connection_requests", get_connection_requests), VOLATILE("connection_time", get_connection_time),
    ROW("pipe", get_pipe),
    WITH_DATA("tcpinfo_rtt", get_tcpinfo, 0), WITH_DATA("tcpinfo_rttvar", get_tcpinfo, 1),
    WITH_DATA("tcpinfo_snd_cwnd", get_tcpinfo, 2), WITH_DATA("tcpinfo_rcv_space", get_tcpinfo, 3),
    WITH_DATA("proxy_protocol_addr", get_proxy_protocol, 0),
    WITH_DATA("proxy_protocol_port", get_proxy_protocol, 1),
    WITH_DATA("proxy_protocol_server_addr", get_proxy_protocol, 2),
    WITH_DATA("proxy_protocol_server_port", get_proxy_protocol, 3),
    ROW("nginx_version", get_version), ROW("hostname", get_hostname), ROW("pid", get_pid),
    VOLATILE("msec", get_msec), VOLATILE("time_local", get_time_local),
    VOLATILE("time_iso8601", get_time_iso8601),
    {{NULL, 0}},
};
// clang-format on

bool bl_core_vars_define(bl_conf *cf)
{
    return bl_var_define_all(cf, rows);
}
