/* The resolver against a name server of ours that lives in the same loop: it counts queries, keeps
 * silent, fails, cuts answers, as a test tells it. */
#include "../conf/conf_test.h"
#include "event/dns.h"
#include "event/resolver.h"

#include <arpa/inet.h>
#include <unistd.h>

enum {
    TTL = 60
};

typedef struct zone_row {
    const char *name;
    uint16_t type;
    const char *value; /* an address; of CNAME a name; NULL: no answer is given */
    int code;
    uint32_t ttl;
} zone_row;

static struct {
    bl_io udp, listener, tcp;
    int port;
    const zone_row *rows;
    int queries, dropped, udp_queries;
    int drop; /* so many of the first queries get no answer */
    bool truncate, forge;
} server;

static bl_pool *pool;

/* ------------------------------------------------------------- the name server */

static size_t put_name(uint8_t *to, const char *name)
{
    uint8_t query[BL_DNS_QUERY_MAX];
    size_t len = bl_dns_query(query, 0, bl_str_c(name), 1);

    memcpy(to, query + 12, len - 16);
    return len - 16;
}

static size_t put_record(uint8_t *to, const zone_row *row)
{
    uint8_t *at = to + put_name(to, row->name);
    const uint8_t fixed[] = {
        0, (uint8_t)row->type, 0, 1, 0, 0, (uint8_t)(row->ttl >> 8), (uint8_t)row->ttl, 0};
    uint8_t data[300];
    size_t len = 0;

    if (row->type == BL_DNS_A)
        len = inet_pton(AF_INET, row->value, data) == 1 ? 4 : 0;
    else if (row->type == BL_DNS_AAAA)
        len = inet_pton(AF_INET6, row->value, data) == 1 ? 16 : 0;
    else if (row->type == BL_DNS_CNAME)
        len = put_name(data, row->value);
    else if (row->type == BL_DNS_SRV) {
        memcpy(data, (uint8_t[]){0, 10, 0, 5, 0x1f, 0x90}, 6);
        len = 6 + put_name(data + 6, row->value);
    }
    memcpy(at, fixed, sizeof fixed);
    at += sizeof fixed;
    *at++ = (uint8_t)len;
    memcpy(at, data, len);
    return (size_t)(at + len - to);
}

static bool wanted(const zone_row *row, bl_str name, uint16_t type)
{
    return bl_str_eq(bl_str_c(row->name), name) && (row->type == type || row->type == BL_DNS_CNAME);
}

/* The answer to a query; 0: none is given. */
static size_t reply(const uint8_t *query, size_t len, uint8_t *to, bool tcp)
{
    bl_dns_answer q;
    uint8_t as_answer[512];
    bool known = false;

    memcpy(as_answer, query, len);
    as_answer[2] |= 0x80;
    ck_assert(bl_dns_parse(pool, bl_str_of((char *)as_answer, len), &q));
    server.queries++;
    server.udp_queries += !tcp;
    if (server.dropped < server.drop) {
        server.dropped++;
        return 0;
    }
    memcpy(to, as_answer, len);
    to[3] = 0x80;
    if (server.truncate && !tcp) {
        to[2] |= 2;
        return len;
    }
    size_t at = len;
    for (const zone_row *row = server.rows; row->name; row++) {
        if (!bl_str_eq(bl_str_c(row->name), q.name))
            continue;
        known = true;
        to[3] |= (uint8_t)row->code;
        if (row->value == NULL && row->code == 0)
            return 0;
        if (row->value && wanted(row, q.name, q.type)) {
            at += put_record(to + at, row);
            to[7]++;
        }
    }
    if (!known)
        to[3] |= 3;
    return at;
}

static void on_query(bl_io *io)
{
    uint8_t query[512], answer[2048];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t n;

    while ((n = recvfrom(io->fd, query, sizeof query, 0, (struct sockaddr *)&from, &from_len)) >
           0) {
        size_t len = reply(query, (size_t)n, answer, false);
        if (len && server.forge) {
            answer[0] ^= 1;
            sendto(io->fd, answer, len, 0, (struct sockaddr *)&from, from_len);
            answer[0] ^= 1;
        }
        if (len)
            sendto(io->fd, answer, len, 0, (struct sockaddr *)&from, from_len);
    }
    io->readable = false;
}

static void on_tcp_query(bl_io *io)
{
    uint8_t query[514], answer[2050];
    ssize_t n = recv(io->fd, query, sizeof query, 0);

    if (n <= 2)
        return;
    ck_assert_int_eq(n, 2 + (query[0] << 8 | query[1]));
    size_t len = reply(query + 2, (size_t)n - 2, answer + 2, true);
    answer[0] = (uint8_t)(len >> 8);
    answer[1] = (uint8_t)len;
    ck_assert_int_eq(send(io->fd, answer, 1, 0), 1);
    ck_assert_int_eq(send(io->fd, answer + 1, len + 1, 0), (ssize_t)len + 1);
}

static void on_accept(bl_io *io)
{
    static bl_io conns[16];
    static int used;
    int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    ck_assert_int_lt(used, 16);
    conns[used].on_read = on_tcp_query;
    ck_assert(bl_io_add(&conns[used++], fd));
}

/* A port that is free for both. */
static void bind_both(int *udp, int *tcp, struct sockaddr_in *sa)
{
    socklen_t len = sizeof *sa;

    for (;;) {
        *sa = (struct sockaddr_in){.sin_family = AF_INET};
        sa->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        *udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        *tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        ck_assert_int_eq(bind(*tcp, (struct sockaddr *)sa, len), 0);
        ck_assert_int_eq(getsockname(*tcp, (struct sockaddr *)sa, &len), 0);
        if (bind(*udp, (struct sockaddr *)sa, len) == 0)
            return;
        close(*udp);
        close(*tcp);
    }
}

static void serve(const zone_row *rows)
{
    struct sockaddr_in sa;
    int udp, tcp;

    pool = bl_pool_new();
    ck_assert(bl_loop_open(NULL, 64));
    bind_both(&udp, &tcp, &sa);
    ck_assert_int_eq(listen(tcp, 8), 0);
    server.port = ntohs(sa.sin_port);
    server.rows = rows;
    server.udp.on_read = on_query;
    server.listener.on_read = on_accept;
    server.listener.level = true;
    ck_assert(bl_io_add(&server.udp, udp));
    ck_assert(bl_io_add(&server.listener, tcp));
}

/* ------------------------------------------------------------- asking */

typedef struct asked {
    bl_resolve ask;
    int done;
    char text[512]; /* addresses with ports, or the error */
} asked;

static int answers;

static void on_done(bl_resolve *ask)
{
    asked *a = BL_CONTAINER(ask, asked, ask);
    char text[BL_ADDR_TEXT];

    a->done++;
    answers++;
    if (ask->status)
        strcpy(a->text, bl_resolve_error(ask->status));
    for (int i = 0; i < ask->count; i++) {
        bl_addr_text_port(&ask->addrs[i].sa, ask->addrs[i].len, text);
        strcat(strcat(a->text, text), " ");
    }
}

/* A resolver by the words of its directive behind the server's address. */
static bl_resolver *resolver(const char *more)
{
    said s = {.text = ""};
    bl_conf cf = {.pool = pool};
    bl_diag diag;
    char *line = bl_pool_printf(pool, "resolver 127.0.0.1:%d %s;", server.port, more).p;

    keep_messages(&diag, pool, &s);
    cf.diag = &diag;
    bl_resolver *r = bl_resolver_read(&cf, parse(pool, line, &s)->children);
    ck_assert_str_eq(s.text, "");
    ck_assert_ptr_nonnull(r);
    return r;
}

static bool start(asked *a, bl_resolver *r, const char *name)
{
    a->done = 0;
    a->text[0] = '\0';
    a->ask.resolver = r;
    a->ask.name = bl_str_c(name);
    a->ask.port = 80;
    a->ask.done = on_done;
    return bl_resolve_start(&a->ask);
}

static void wait_for(int count)
{
    while (answers < count)
        bl_loop_turn(10000);
}

static const char *resolve(bl_resolver *r, const char *name)
{
    static asked a;

    answers = 0;
    memset(&a, 0, sizeof a);
    start(&a, r, name);
    wait_for(1);
    ck_assert_int_eq(a.done, 1);
    return a.text;
}

static const zone_row usual[] = {
    {"a.test", BL_DNS_A, "192.0.2.1", 0, TTL},
    {"both.test", BL_DNS_A, "192.0.2.2", 0, TTL},
    {"both.test", BL_DNS_AAAA, "2001:db8::2", 0, TTL},
    {"two.test", BL_DNS_A, "192.0.2.7", 0, TTL},
    {"two.test", BL_DNS_A, "192.0.2.8", 0, TTL},
    {"two.test", BL_DNS_AAAA, "2001:db8::7", 0, TTL},
    {"www.test", BL_DNS_CNAME, "a.test", 0, TTL},
    {"deep.test", BL_DNS_CNAME, "www.test", 0, TTL},
    {"circle.test", BL_DNS_CNAME, "elcric.test", 0, TTL},
    {"elcric.test", BL_DNS_CNAME, "circle.test", 0, TTL},
    {"fail.test", BL_DNS_A, NULL, 2, TTL},
    {"refuse.test", BL_DNS_A, NULL, 5, TTL},
    {"silent.test", BL_DNS_A, NULL, 0, TTL},
    {"short.test", BL_DNS_A, "192.0.2.3", 0, 0},
    {"a.inner.test", BL_DNS_A, "192.0.2.4", 0, TTL},
    {"_http._tcp.a.test", BL_DNS_SRV, "both.test", 0, TTL},
    {"six.test", BL_DNS_AAAA, "2001:db8::6", 0, TTL},
    {NULL, 0, NULL, 0, 0},
};

START_TEST(found)
{
    serve(usual);
    ck_assert_str_eq(resolve(resolver(""), "a.test"), "192.0.2.1:80 ");
    ck_assert_str_eq(resolve(resolver(""), "A.Test."), "192.0.2.1:80 ");
    ck_assert_str_eq(resolve(resolver(""), "six.test"), "[2001:db8::6]:80 ");
    const char *both = resolve(resolver(""), "both.test");
    ck_assert_ptr_nonnull(strstr(both, "192.0.2.2:80 "));
    ck_assert_ptr_nonnull(strstr(both, "[2001:db8::2]:80 "));
    ck_assert_str_eq(resolve(resolver("ipv6=off"), "both.test"), "192.0.2.2:80 ");
    ck_assert_str_eq(resolve(resolver("ipv4=off"), "both.test"), "[2001:db8::2]:80 ");
}
END_TEST

START_TEST(addresses_need_no_server)
{
    asked a = {.done = 0};

    serve(usual);
    ck_assert(start(&a, resolver(""), "192.0.2.9"));
    ck_assert_str_eq(a.text, "192.0.2.9:80 ");
    ck_assert(start(&a, resolver(""), "::1"));
    ck_assert_str_eq(a.text, "[::1]:80 ");
    ck_assert_int_eq(server.queries, 0);
}
END_TEST

START_TEST(not_found)
{
    serve(usual);
    bl_resolver *r = resolver("");
    ck_assert_str_eq(resolve(r, "none.test"), "Host not found");
    ck_assert_int_eq(server.queries, 2);
    ck_assert_str_eq(resolve(r, "none.test"), "Host not found");
    ck_assert_int_eq(server.queries, 4); /* what was not found is not kept */
    ck_assert_str_eq(resolve(r, "fail.test"), "Server failure");
    ck_assert_str_eq(resolve(r, "refuse.test"), "Operation refused");
    ck_assert_str_eq(resolve(r, "a..b"), "Host not found");
    ck_assert_str_eq(resolve(r, ""), "Host not found");
}
END_TEST

START_TEST(aliases)
{
    serve(usual);
    bl_resolver *r = resolver("ipv6=off");
    ck_assert_str_eq(resolve(r, "deep.test"), "192.0.2.1:80 ");
    ck_assert_int_eq(server.queries, 3); /* our server gives one alias at a time */
    ck_assert_str_eq(resolve(r, "circle.test"), "Host not found");
    ck_assert_int_lt(server.queries, 20);
}
END_TEST

START_TEST(kept_for_its_time)
{
    serve(usual);
    bl_resolver *r = resolver("");
    asked a = {.done = 0};
    resolve(r, "a.test");
    ck_assert(start(&a, r, "a.test"));
    ck_assert_str_eq(a.text, "192.0.2.1:80 ");
    ck_assert_uint_le(a.ask.valid_ms, TTL * 1000);
    ck_assert_int_eq(server.queries, 2);

    server.queries = 0;
    resolve(r, "short.test");
    resolve(r, "short.test");
    ck_assert_int_eq(server.queries, 4);
    server.queries = 0;
    r = resolver("valid=10s");
    resolve(r, "short.test");
    resolve(r, "short.test");
    ck_assert_int_eq(server.queries, 2);
    bl_clock_now.mono_ms += 10000;
    ck_assert(!start(&a, r, "short.test"));
}
END_TEST

START_TEST(one_question_for_many)
{
    asked a[3] = {{.done = 0}};

    serve(usual);
    bl_resolver *r = resolver("ipv6=off");
    for (int i = 0; i < 3; i++)
        ck_assert(!start(&a[i], r, "a.test"));
    bl_resolve_cancel(&a[1].ask);
    wait_for(2);
    ck_assert_int_eq(server.queries, 1);
    ck_assert_int_eq(a[0].done, 1);
    ck_assert_int_eq(a[1].done, 0);
    ck_assert_int_eq(a[2].done, 1);
    ck_assert_str_eq(a[2].text, "192.0.2.1:80 ");
}
END_TEST

START_TEST(turns)
{
    serve(usual);
    bl_resolver *r = resolver("");
    char first[512];

    strcpy(first, resolve(r, "two.test"));
    ck_assert_str_ne(first, resolve(r, "two.test"));
    ck_assert_str_eq(first, resolve(r, "two.test"));
    ck_assert_ptr_nonnull(strstr(first, " [2001:db8::7]:80 ")); /* always behind IPv4 */
}
END_TEST

static void cancel_another(bl_resolve *ask)
{
    bl_resolve_cancel(ask->data);
    on_done(ask);
}

START_TEST(cancelled_by_another_answer)
{
    asked a = {.done = 0}, b = {.done = 0};

    serve(usual);
    bl_resolver *r = resolver("");
    start(&a, r, "a.test");
    start(&b, r, "a.test");
    a.ask.done = cancel_another;
    a.ask.data = &b.ask;
    wait_for(1);
    ck_assert_int_eq(a.done, 1);
    ck_assert_int_eq(b.done, 0);
    ck_assert(!b.ask.started);
}
END_TEST

START_TEST(patience_ends)
{
    asked a = {.ask.timeout_ms = 30};

    serve(usual);
    start(&a, resolver(""), "silent.test");
    wait_for(1);
    ck_assert_str_eq(a.text, "Operation timed out");
}
END_TEST

START_TEST(asked_again)
{
    serve(usual);
    server.drop = 1;
    ck_assert_str_eq(resolve(resolver("ipv6=off"), "a.test"), "192.0.2.1:80 ");
    ck_assert_int_eq(server.queries, 2);
}
END_TEST

START_TEST(next_server_when_one_is_dead)
{
    char words[64];

    serve(usual);
    int dead = socket(AF_INET, SOCK_DGRAM, 0); /* a port that nobody reads: refused once closed */
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    ck_assert_int_eq(bind(dead, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(getsockname(dead, (struct sockaddr *)&sa, &len), 0);
    close(dead);
    snprintf(words, sizeof words, "127.0.0.1:%d ipv6=off valid=0", ntohs(sa.sin_port));
    bl_resolver *r = resolver(words);
    for (int i = 0; i < 4; i++)
        ck_assert_str_eq(resolve(r, "a.test"), "192.0.2.1:80 ");
    ck_assert_int_eq(server.queries, 4);
}
END_TEST

START_TEST(cut_answers_over_tcp)
{
    serve(usual);
    server.truncate = true;
    ck_assert_str_eq(resolve(resolver("ipv6=off"), "a.test"), "192.0.2.1:80 ");
    ck_assert_int_eq(server.queries, 2);
    ck_assert_int_eq(server.udp_queries, 1);
}
END_TEST

START_TEST(forged_answers)
{
    serve(usual);
    server.forge = true;
    ck_assert_str_eq(resolve(resolver("ipv6=off"), "a.test"), "192.0.2.1:80 ");
    ck_assert_int_eq(server.queries, 1);
}
END_TEST

static void on_service(bl_resolve *ask)
{
    for (int i = 0; i < ask->count; i++) {
        ck_assert_int_eq(ask->srvs[i].priority, 10);
        ck_assert_int_eq(ask->srvs[i].weight, 5);
    }
    on_done(ask);
}

START_TEST(services)
{
    asked a = {.ask.service = BL_STR_INIT("http")};
    asked b = {.ask.service = BL_STR_INIT("_none._tcp")};

    serve(usual);
    bl_resolver *r = resolver("ipv6=off");
    start(&a, r, "a.test");
    a.ask.done = on_service;
    wait_for(1);
    ck_assert_str_eq(a.text, "192.0.2.2:8080 ");
    start(&b, r, "a.test");
    wait_for(2);
    ck_assert_str_eq(b.text, "Host not found");
    start(&a, r, "a.test");
    bl_resolve_cancel(&a.ask);
    ck_assert_int_eq(a.done, 0);
}
END_TEST

/* The system's way: a search list and a file of hosts. */
START_TEST(the_systems)
{
    char path[] = "/tmp/bulan-hosts-XXXXXX", conf[] = "/tmp/bulan-resolv-XXXXXX";
    static const char hosts[] = "# us\n127.0.0.1\tlocalhost Here\n::1 localhost # six\n";
    static const char search[] = "search inner.test\noptions ndots:2\n";

    serve(usual);
    int fd = mkstemp(path);
    ck_assert_int_eq(write(fd, hosts, sizeof hosts - 1), (ssize_t)sizeof hosts - 1);
    close(fd);
    fd = mkstemp(conf);
    ck_assert_int_eq(write(fd, search, sizeof search - 1), (ssize_t)sizeof search - 1);
    close(fd);
    setenv("BL_HOSTS", path, 1);
    setenv("BL_RESOLV_CONF", conf, 1);
    bl_resolver *r = resolver("local=on ipv6=off");
    ck_assert_str_eq(resolve(r, "here"), "127.0.0.1:80 ");
    ck_assert_str_eq(resolve(r, "localhost"), "127.0.0.1:80 [::1]:80 ");
    ck_assert_int_eq(server.queries, 0);
    ck_assert_str_eq(resolve(r, "a"), "192.0.2.4:80 ");
    ck_assert_int_eq(server.queries, 1);
    ck_assert_str_eq(resolve(r, "a.test"), "192.0.2.1:80 ");
    ck_assert_int_eq(server.queries, 3);
    ck_assert_str_eq(resolve(r, "a."), "Host not found");
    unlink(path);
    unlink(conf);
}
END_TEST

START_TEST(gone_with_its_generation)
{
    asked a = {.done = 0};

    serve(usual);
    bl_pool *outer = pool;
    pool = bl_pool_new();
    bl_resolver *r = resolver("");
    resolve(r, "a.test");
    start(&a, r, "both.test");
    bl_pool_free(pool);
    pool = outer;
    ck_assert(!a.ask.started);
    ck_assert(!bl_timer_any());
}
END_TEST

UNIT_MAIN("resolver", found, addresses_need_no_server, not_found, aliases, kept_for_its_time,
          one_question_for_many, turns, cancelled_by_another_answer, patience_ends, asked_again,
          next_server_when_one_is_dead, cut_answers_over_tcp, forged_answers, services, the_systems,
          gone_with_its_generation)
