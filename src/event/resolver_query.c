#include "event/resolver_query.h"
#include "core/mem.h"

#include <errno.h>
#include <openssl/rand.h>
#include <unistd.h>

enum {
    UDP_MAX = 4096,
    FIRST_PAUSE_MS = 1000, /* then twice as long each time, up to: */
    LAST_PAUSE_MS = 5000,
    OPEN_MAX = 4, /* attempts that wait for late answers */
    SEND_ERRORS_MAX = 16,
};

typedef struct attempt {
    bl_link link;
    bl_io io;
    bl_resolver_query *query;
    uint32_t server;
    uint16_t id;
    bool tcp;
    uint8_t out[2 + BL_DNS_QUERY_MAX]; /* TCP's length, the query */
    size_t out_len, sent;
    uint8_t *in; /* of TCP: length and answer */
    size_t have;
} attempt;

static void send_next(bl_resolver_query *q);

/* ------------------------------------------------------------- attempts */

static void attempt_free(attempt *a)
{
    bl_io_forget(&a->io);
    close(a->io.fd);
    bl_list_remove(&a->link);
    a->query->open--;
    bl_free(a->in);
    bl_free(a);
}

static char *describe_server(void *text, char *at, char *end)
{
    return bl_log_put(at, end, ", resolver: %s", (const char *)text);
}

static void log_failure(const attempt *a, const char *what)
{
    const bl_addr *server = &a->query->servers->addrs[a->server];
    char text[BL_ADDR_TEXT];
    bl_log log = {.targets = bl_log_process.targets,
                  .action = "resolving",
                  .describe = describe_server,
                  .data = text};

    bl_addr_text_port(&server->sa, server->len, text);
    bl_log_write(BL_LOG_ERR, &log, errno, "%s failed", what);
}

static void finish(bl_resolver_query *q, const bl_dns_answer *answer, bl_resolve_status status)
{
    bl_resolver_query_stop(q);
    q->done(q, answer, status);
}

/* The server can't be reached: the next one, or the same again when the time comes. */
static void lose(attempt *a)
{
    bl_resolver_query *q = a->query;

    attempt_free(a);
    if (q->tries < q->servers->count)
        send_next(q);
}

static attempt *attempt_new(bl_resolver_query *q, uint32_t server, bool tcp)
{
    const bl_addr *addr = &q->servers->addrs[server];
    int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = socket(addr->sa.sa_family, type, 0);

    if (fd < 0)
        return NULL;
    if (connect(fd, &addr->sa, addr->len) != 0 && errno != EINPROGRESS) {
        close(fd);
        return NULL;
    }
    attempt *a = bl_zalloc(sizeof *a);
    a->query = q;
    a->server = server;
    a->tcp = tcp;
    a->io.slot = -1;
    bl_list_push(&q->attempts, &a->link);
    q->open++;
    if (RAND_bytes((unsigned char *)&a->id, sizeof a->id) == 1 && bl_io_add(&a->io, fd))
        return a;
    a->io.fd = fd;
    attempt_free(a);
    return NULL;
}

/* The query, with TCP's length in front. False: the name can't be asked for. */
static bool write_query(attempt *a)
{
    size_t len = bl_dns_query(a->out + 2, a->id, a->query->name, a->query->type);

    a->out[0] = (uint8_t)(len >> 8);
    a->out[1] = (uint8_t)len;
    a->out_len = len + 2;
    return len != 0;
}

/* ------------------------------------------------------------- answers */

static bool is_for(const attempt *a, const bl_dns_answer *answer)
{
    bl_str name = a->query->name;

    if (name.len && name.p[name.len - 1] == '.')
        name.len--;
    return answer->id == a->id && answer->type == a->query->type && bl_str_ieq(answer->name, name);
}

static void begin_tcp(attempt *udp);

/* True: the attempt is over (perhaps the query too). */
static bool use_message(attempt *a, const uint8_t *bytes, size_t len)
{
    bl_pool *pool = bl_pool_new();
    bl_dns_answer answer;

    bool good =
        bl_dns_parse(pool, bl_str_of((const char *)bytes, len), &answer) && is_for(a, &answer);
    if (good && answer.truncated && !a->tcp)
        begin_tcp(a);
    else if (good)
        finish(a->query, &answer, (bl_resolve_status)answer.code);
    else if (a->tcp)
        lose(a);
    bl_pool_free(pool);
    return good || a->tcp;
}

/* ------------------------------------------------------------- UDP */

static void on_datagram(bl_io *io)
{
    attempt *a = BL_CONTAINER(io, attempt, io);
    uint8_t bytes[UDP_MAX];

    for (;;) {
        ssize_t n = recv(io->fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EAGAIN) {
            io->readable = false;
            return;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            log_failure(a, "recv()");
            lose(a);
            return;
        }
        if (use_message(a, bytes, (size_t)n))
            return; /* what was not for us was another's, or a forgery: waiting goes on */
    }
}

static void nothing(bl_io *io BL_UNUSED)
{
}

static bool send_datagram(attempt *a)
{
    a->io.on_read = on_datagram;
    a->io.on_write = nothing;
    return send(a->io.fd, a->out + 2, a->out_len - 2, MSG_NOSIGNAL) >= 0;
}

/* ------------------------------------------------------------- TCP */

static size_t expected(const attempt *a)
{
    return a->have < 2 ? 2 : 2 + ((size_t)a->in[0] << 8 | a->in[1]);
}

static void on_stream(bl_io *io)
{
    attempt *a = BL_CONTAINER(io, attempt, io);

    for (;;) {
        ssize_t n = recv(io->fd, a->in + a->have, expected(a) - a->have, 0);
        if (n < 0 && errno == EAGAIN) {
            io->readable = false;
            return;
        }
        if (n <= 0) {
            if (n < 0)
                log_failure(a, "recv()");
            lose(a);
            return;
        }
        a->have += (size_t)n;
        if (a->have >= 2 && a->have == expected(a)) {
            use_message(a, a->in + 2, a->have - 2);
            return;
        }
    }
}

static void on_stream_writable(bl_io *io)
{
    attempt *a = BL_CONTAINER(io, attempt, io);

    while (a->sent < a->out_len) {
        ssize_t n = send(io->fd, a->out + a->sent, a->out_len - a->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            io->writable = false;
            return;
        }
        if (n < 0) {
            log_failure(a, "send()");
            lose(a);
            return;
        }
        a->sent += (size_t)n;
    }
}

static void begin_tcp(attempt *udp)
{
    attempt *a = attempt_new(udp->query, udp->server, true);

    if (a == NULL || !write_query(a)) {
        log_failure(udp, "connect()");
        if (a)
            attempt_free(a);
        lose(udp);
        return;
    }
    a->in = bl_alloc(2 + UINT16_MAX);
    a->io.on_read = on_stream;
    a->io.on_write = on_stream_writable;
    attempt_free(udp);
}

/* ------------------------------------------------------------- the query */

static void on_silence(bl_timer *timer)
{
    bl_resolver_query *q = BL_CONTAINER(timer, bl_resolver_query, timer);

    q->pause_ms = BL_MIN(q->pause_ms * 2, (uint64_t)LAST_PAUSE_MS);
    if (q->open >= OPEN_MAX)
        attempt_free(BL_LIST_FIRST(&q->attempts, attempt, link));
    send_next(q);
}

/* Asks the next server. False: it could not be sent. */
static bool send_one(bl_resolver_query *q)
{
    attempt *a = attempt_new(q, q->servers->next++ % q->servers->count, false);

    q->tries++;
    if (a == NULL)
        return false;
    if (write_query(a) && send_datagram(a))
        return true;
    log_failure(a, "send()");
    attempt_free(a);
    return false;
}

static void send_next(bl_resolver_query *q)
{
    uint32_t chances = BL_MIN(q->servers->count, (uint32_t)SEND_ERRORS_MAX);

    while (!send_one(q)) {
        if (--chances == 0) {
            if (q->open == 0)
                finish(q, NULL, BL_RESOLVE_SERVER);
            return;
        }
    }
    q->timer.fire = on_silence;
    q->timer.weak = true;
    bl_timer_set(&q->timer, q->pause_ms);
}

void bl_resolver_query_start(bl_resolver_query *q, bl_str name)
{
    uint8_t scratch[BL_DNS_QUERY_MAX];

    BL_ASSERT(!q->running);
    q->name = name;
    q->running = true;
    q->tries = q->open = 0;
    q->pause_ms = FIRST_PAUSE_MS;
    bl_list_init(&q->attempts);
    if (bl_dns_query(scratch, 0, name, q->type) == 0)
        finish(q, NULL, BL_RESOLVE_NOT_FOUND);
    else
        send_next(q);
}

void bl_resolver_query_stop(bl_resolver_query *q)
{
    if (!q->running)
        return;
    q->running = false;
    bl_timer_stop(&q->timer);
    while (!bl_list_empty(&q->attempts))
        attempt_free(BL_LIST_FIRST(&q->attempts, attempt, link));
}
