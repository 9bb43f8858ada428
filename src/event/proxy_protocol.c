#include "event/proxy_protocol.h"

#include <errno.h>
#include <stdio.h>

enum {
    V1_MAX = 107,      /* with CR LF */
    V2_PREFIX = 16,    /* signature, version and command, family, length */
    HEADER_MAX = 4096, /* of version 2 with its TLVs */
    TLV_SSL = 0x20,    /* PP2_TYPE_SSL: a byte of flags, 4 of verify, then sub-TLVs */
    TLV_SSL_PREFIX = 5,
};

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

/* What c->proxy_protocol points to while the header is being waited for, and after. */
typedef struct reader {
    bl_proxy_protocol pp;
    const char *action;
    void (*done)(bl_conn *c, bool ok);
} reader;

/* ------------------------------------------------------------- version 1 */

/* The word in front of the next `stop`, taken off `rest`. */
static bool take_word(bl_str *rest, char stop, bl_str *word)
{
    ssize_t end = bl_str_chr(*rest, stop);

    if (end <= 0)
        return false;
    *word = bl_str_of(rest->p, (size_t)end);
    *rest = bl_str_of(rest->p + end + 1, rest->len - (size_t)end - 1);
    return true;
}

static bool read_address(bl_pool *pool, bl_str word, int family, bl_str *to)
{
    bl_addr addr;

    if (word.p[0] == '[' || !bl_addr_parse_ip(word, &addr) || addr.sa.sa_family != family)
        return false;
    *to = bl_pool_str(pool, word);
    return true;
}

static bool read_port(bl_str word, int *port)
{
    int64_t n = bl_str_to_int(word);

    *port = (int)n;
    return n >= 0 && n <= 65535 && word.len <= 5;
}

/* `line` is what stands between "PROXY " and CR LF. */
static bool parse_line(bl_pool *pool, bl_str line, bl_proxy_protocol *out)
{
    bl_str word;

    if (bl_str_eq(line, BL_STR("UNKNOWN")) || bl_str_starts(line, BL_STR("UNKNOWN ")))
        return true;
    if (!take_word(&line, ' ', &word))
        return false;
    bool v4 = bl_str_eq(word, BL_STR("TCP4"));
    int family = v4 ? AF_INET : AF_INET6;
    if (!v4 && !bl_str_eq(word, BL_STR("TCP6")))
        return false;
    return take_word(&line, ' ', &word) && read_address(pool, word, family, &out->src_addr) &&
           take_word(&line, ' ', &word) && read_address(pool, word, family, &out->dst_addr) &&
           take_word(&line, ' ', &word) && read_port(word, &out->src_port) &&
           read_port(line, &out->dst_port);
}

static ssize_t parse_v1(bl_pool *pool, bl_str in, bl_proxy_protocol *out)
{
    bl_str window = bl_str_of(in.p, BL_MIN(in.len, (size_t)V1_MAX));
    ssize_t lf = bl_str_chr(window, '\n');

    if (lf < 0)
        return in.len >= V1_MAX ? -1 : 0;
    if (lf < 7 || in.p[lf - 1] != '\r')
        return -1;
    return parse_line(pool, bl_str_of(in.p + 6, (size_t)lf - 7), out) ? lf + 1 : -1;
}

/* ------------------------------------------------------------- version 2 */

static unsigned u8(const char *p)
{
    return (unsigned char)*p;
}

static unsigned u16(const char *p)
{
    return u8(p) << 8 | u8(p + 1);
}

/* Both addresses, then both ports; `size` is that of an address. */
static void read_pair(bl_pool *pool, const char *p, int family, bl_proxy_protocol *out)
{
    size_t size = family == AF_INET ? 4 : 16;
    bl_str *to[] = {&out->src_addr, &out->dst_addr};
    char text[BL_ADDR_TEXT];

    for (int i = 0; i < 2; i++) {
        bl_addr addr = {.len = sizeof addr.in6, .sa.sa_family = (sa_family_t)family};
        void *bytes = family == AF_INET ? (void *)&addr.in.sin_addr : (void *)&addr.in6.sin6_addr;
        memcpy(bytes, p + (size_t)i * size, size);
        *to[i] = bl_pool_str(pool, bl_str_of(text, bl_addr_text(&addr.sa, addr.len, text)));
    }
    out->src_port = (int)u16(p + 2 * size);
    out->dst_port = (int)u16(p + 2 * size + 2);
}

/* Bytes of addresses by the high half of the family byte; families not known have none to skip, so
 * that what follows counts as theirs. */
static size_t pair_size(unsigned family)
{
    static const size_t sizes[] = {0, 12, 36, 216};

    return family < BL_COUNTOF(sizes) ? sizes[family] : SIZE_MAX;
}

static ssize_t parse_v2(bl_pool *pool, bl_str in, bl_proxy_protocol *out)
{
    if (in.len < V2_PREFIX)
        return 0;
    unsigned version = u8(in.p + 12) >> 4, command = u8(in.p + 12) & 15;
    unsigned family = u8(in.p + 13) >> 4, transport = u8(in.p + 13) & 15;
    size_t len = u16(in.p + 14), total = V2_PREFIX + len;

    if (version != 2 || command > 1 || total > HEADER_MAX)
        return -1;
    if (in.len < total)
        return 0;
    size_t pair = pair_size(family);
    if (command == 0 || pair == SIZE_MAX)
        return (ssize_t)total; /* LOCAL: the balancer speaks for itself */
    if (len < pair)
        return -1;
    const char *body = in.p + V2_PREFIX;
    if ((family == 1 || family == 2) && transport == 1)
        read_pair(pool, body, family == 1 ? AF_INET : AF_INET6, out);
    out->tlvs = bl_pool_str(pool, bl_str_of(body + pair, len - pair));
    return (ssize_t)total;
}

static bool may_begin_with(bl_str in, const char *prefix, size_t len)
{
    return memcmp(in.p, prefix, BL_MIN(in.len, len)) == 0;
}

ssize_t bl_proxy_protocol_parse(bl_pool *pool, bl_str in, bl_proxy_protocol *out)
{
    if (in.len == 0)
        return 0;
    if (may_begin_with(in, signature, sizeof signature - 1))
        return parse_v2(pool, in, out);
    if (may_begin_with(in, "PROXY ", 6))
        return in.len < 6 ? 0 : parse_v1(pool, in, out);
    return -1;
}

static bool find_tlv(bl_str tlvs, int type, bl_str *value)
{
    while (tlvs.len >= 3) {
        size_t len = u16(tlvs.p + 1);
        if (len > tlvs.len - 3)
            return false;
        if ((int)u8(tlvs.p) == type) {
            *value = bl_str_of(tlvs.p + 3, len);
            return true;
        }
        tlvs = bl_str_of(tlvs.p + 3 + len, tlvs.len - 3 - len);
    }
    return false;
}

bool bl_proxy_protocol_tlv(const bl_proxy_protocol *pp, int type, int sub, bl_str *value)
{
    bl_str ssl;

    if (sub <= 0)
        return find_tlv(pp->tlvs, type, value);
    if (!find_tlv(pp->tlvs, type, &ssl) || ssl.len < TLV_SSL_PREFIX || type != TLV_SSL)
        return false;
    return find_tlv(bl_str_of(ssl.p + TLV_SSL_PREFIX, ssl.len - TLV_SSL_PREFIX), sub, value);
}

/* ------------------------------------------------------------- reading */

static void finish(bl_conn *c, bool ok)
{
    reader *r = BL_CONTAINER(c->proxy_protocol, reader, pp);

    bl_timer_stop(&c->timer);
    c->log.action = r->action;
    r->done(c, ok);
}

static void on_timeout(bl_timer *timer)
{
    bl_conn *c = BL_CONTAINER(timer, bl_conn, timer);

    bl_log_write(BL_LOG_INFO, &c->log, ETIMEDOUT, "client timed out");
    c->timed_out = true;
    finish(c, false);
}

/* The printable beginning of what came, for the log. */
static size_t printable(bl_str in)
{
    size_t len = 0;

    while (len < in.len && len < V1_MAX && (unsigned char)in.p[len] >= ' ')
        len++;
    return len;
}

static void refuse(bl_conn *c, bl_str in)
{
    bl_log_write(BL_LOG_ERR, &c->log, 0, "broken header: \"%.*s\"", (int)printable(in), in.p);
    finish(c, false);
}

/* Takes exactly the header off the socket. */
static bool consume(bl_conn *c, char *waste, size_t len)
{
    return recv(c->io.fd, waste, len, 0) == (ssize_t)len;
}

static void on_readable(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);
    char bytes[HEADER_MAX];
    ssize_t n = recv(io->fd, bytes, sizeof bytes, MSG_PEEK);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        io->readable = false;
        return;
    }
    if (n < 0)
        bl_log_write(BL_LOG_INFO, &c->log, errno, "recv() failed");
    if (n <= 0) {
        finish(c, false);
        return;
    }
    bl_str in = bl_str_of(bytes, (size_t)n);
    ssize_t len = bl_proxy_protocol_parse(bl_conn_pool(c), in, c->proxy_protocol);
    if (len < 0 || (len == 0 && io->hup)) {
        refuse(c, in);
    } else if (len == 0) {
        io->readable = false; /* more bytes are news, even to who left these where they are */
    } else if (consume(c, bytes, (size_t)len)) {
        c->received += (uint64_t)len;
        io->readable = n > len || io->hup;
        finish(c, true);
    } else {
        refuse(c, in);
    }
}

bl_proxy_protocol *bl_proxy_protocol_copy(bl_pool *pool, const bl_proxy_protocol *pp)
{
    bl_proxy_protocol *copy = BL_NEW(pool, bl_proxy_protocol);

    *copy = *pp;
    copy->src_addr = bl_pool_str(pool, pp->src_addr);
    copy->dst_addr = bl_pool_str(pool, pp->dst_addr);
    copy->tlvs = bl_pool_str(pool, pp->tlvs);
    return copy;
}

static void nothing(bl_io *io BL_UNUSED)
{
}

void bl_proxy_protocol_read(bl_conn *c, int64_t timeout_ms, void (*done)(bl_conn *c, bool ok))
{
    reader *r = BL_NEW(bl_conn_pool(c), reader);

    r->done = done;
    r->action = c->log.action;
    c->proxy_protocol = &r->pp;
    c->log.action = "reading PROXY protocol";
    c->io.on_read = on_readable;
    c->io.on_write = nothing;
    c->timer.fire = on_timeout;
    bl_timer_set(&c->timer, (uint64_t)timeout_ms);
    if (c->io.readable)
        on_readable(&c->io);
}

/* ------------------------------------------------------------- writing */

/* An address in the words of a TCP6 line. */
static void write_mapped(const struct sockaddr *sa, socklen_t len, bool map, char *to)
{
    size_t prefix = map && sa->sa_family == AF_INET ? (size_t)snprintf(to, 8, "::ffff:") : 0;

    to[prefix + bl_addr_text(sa, len, to + prefix)] = '\0';
}

size_t bl_proxy_protocol_write(bl_conn *client, char *to)
{
    const struct sockaddr *peer = &client->peer.sa, *local = bl_conn_local(client);
    char from[BL_ADDR_TEXT + 8], dest[BL_ADDR_TEXT + 8];
    bool known = (peer->sa_family == AF_INET || peer->sa_family == AF_INET6) &&
                 (local->sa_family == AF_INET || local->sa_family == AF_INET6);

    if (!known) {
        memcpy(to, "PROXY UNKNOWN\r\n", 15);
        return 15;
    }
    bool v6 = peer->sa_family == AF_INET6 || local->sa_family == AF_INET6;
    write_mapped(peer, sizeof client->peer, v6, from);
    write_mapped(local, sizeof(struct sockaddr_in6), v6, dest);
    return (size_t)snprintf(to, V1_MAX + 1, "PROXY TCP%c %s %s %d %d\r\n", v6 ? '6' : '4', from,
                            dest, bl_addr_port(peer), bl_addr_port(local));
}
