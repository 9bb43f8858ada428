#include "event/resolver_srv.h"
#include "core/mem.h"

#include <stdio.h>

enum {
    TARGETS_MAX = 64,
};

typedef struct service service;

typedef struct target {
    service *service;
    bl_resolve ask;
    bl_resolve_srv srv;
    char name[BL_DNS_NAME_MAX];
    bl_addr *addrs; /* found */
    int count;
} target;

struct service {
    bl_resolve *ask;
    bl_resolver_query query;
    char name[BL_DNS_NAME_MAX];
    target targets[TARGETS_MAX];
    int count, pending;
    uint32_t ttl;
    uint64_t valid_ms;
    bl_resolve_status worst;
    bool starting, answered; /* the answer came before start returned */
};

static void service_free(service *s)
{
    bl_resolver_query_stop(&s->query);
    for (int i = 0; i < s->count; i++) {
        bl_resolve_cancel(&s->targets[i].ask);
        bl_free(s->targets[i].addrs);
    }
    bl_free(s);
}

static void answer(service *s, const bl_addr *addrs, const bl_resolve_srv *srvs, int count)
{
    bl_resolve *ask = s->ask;

    bl_timer_stop(&ask->timer);
    ask->started = false;
    ask->entry = NULL;
    ask->status = count ? BL_RESOLVE_OK : s->worst;
    ask->addrs = addrs;
    ask->srvs = srvs;
    ask->count = count;
    ask->valid_ms = count ? s->valid_ms : 0;
    s->answered = true;
    if (!s->starting)
        service_free(s);
    ask->done(ask);
}

/* All addresses of all targets, in the order of priority. */
static void deliver(service *s)
{
    size_t count = 0, at = 0;

    for (int i = 0; i < s->count; i++)
        count += (size_t)s->targets[i].count;
    bl_addr *addrs = bl_alloc(bl_size_mul(BL_MAX(count, 1u), sizeof *addrs));
    bl_resolve_srv *srvs = bl_alloc(bl_size_mul(BL_MAX(count, 1u), sizeof *srvs));
    for (int i = 0; i < s->count; i++) {
        for (int j = 0; j < s->targets[i].count; j++, at++) {
            addrs[at] = s->targets[i].addrs[j];
            srvs[at] = s->targets[i].srv;
        }
    }
    answer(s, addrs, srvs, (int)count);
    bl_free(addrs);
    bl_free(srvs);
}

static void target_done(bl_resolve *ask)
{
    target *t = ask->data;
    service *s = t->service;

    if (ask->status == BL_RESOLVE_OK) {
        t->count = ask->count;
        t->addrs = bl_alloc(bl_size_mul((size_t)ask->count, sizeof *t->addrs));
        memcpy(t->addrs, ask->addrs, (size_t)ask->count * sizeof *t->addrs);
        s->valid_ms = BL_MIN(s->valid_ms, ask->valid_ms);
    } else {
        s->worst = ask->status;
    }
    if (--s->pending == 0)
        deliver(s);
}

/* Keeps the targets sorted by priority. */
static void add_target(void *data, const bl_dns_record *record)
{
    service *s = data;
    int at = s->count;

    if (s->count == TARGETS_MAX || record->target.len == 0)
        return; /* "." as target: the service is not offered (RFC 2782) */
    while (at > 0 && s->targets[at - 1].srv.priority > record->priority)
        at--;
    memmove(&s->targets[at + 1], &s->targets[at], (size_t)(s->count - at) * sizeof(target));
    target *t = &s->targets[at];
    memset(t, 0, sizeof *t);
    *bl_str_put(t->name, record->target) = '\0';
    t->srv = (bl_resolve_srv){record->priority, record->weight};
    t->ask.port = record->port;
    s->count++;
}

static void ask_targets(service *s)
{
    s->pending = s->count;
    for (int i = 0, last = s->count - 1; i <= last; i++) {
        target *t = &s->targets[i];
        t->service = s;
        t->ask.resolver = s->ask->resolver;
        t->ask.name = bl_str_c(t->name);
        t->ask.timeout_ms = s->ask->timeout_ms;
        t->ask.done = target_done;
        t->ask.data = t;
        bl_resolve_start(&t->ask); /* with the last one, all may be over before it returns */
    }
}

static void records_done(bl_resolver_query *q, const bl_dns_answer *dns, bl_resolve_status status)
{
    service *s = BL_CONTAINER(q, service, query);
    bl_str last;

    s->worst = status == BL_RESOLVE_OK ? BL_RESOLVE_NOT_FOUND : status;
    if (dns && status == BL_RESOLVE_OK)
        bl_dns_follow(dns, q->name, &last, &s->ttl, add_target, s);
    s->valid_ms = (uint64_t)s->ttl * 1000;
    if (s->count)
        ask_targets(s);
    else
        deliver(s);
}

static void on_timeout(bl_timer *timer)
{
    service *s = BL_CONTAINER(timer, bl_resolve, timer)->entry;

    s->worst = BL_RESOLVE_TIMEOUT;
    for (int i = 0; i < s->count; i++)
        s->targets[i].count = 0;
    deliver(s);
}

/* "http" is _http._tcp.NAME; what has a dot stands before the name as it is. False: too long. */
static bool write_name(const bl_resolve *ask, char *to)
{
    bool whole = bl_str_chr(ask->service, '.') >= 0;
    int n = snprintf(to, BL_DNS_NAME_MAX, whole ? "%.*s.%.*s" : "_%.*s._tcp.%.*s",
                     BL_STR_ARG(ask->service), BL_STR_ARG(ask->name));

    return n > 0 && n < BL_DNS_NAME_MAX;
}

bool bl_resolver_srv_start(bl_resolve *ask, bl_resolver_servers *servers, uint64_t timeout_ms)
{
    service *s = bl_zalloc(sizeof *s);

    s->ask = ask;
    s->ttl = UINT32_MAX;
    s->worst = BL_RESOLVE_NOT_FOUND;
    s->query.servers = servers;
    s->query.type = BL_DNS_SRV;
    s->query.done = records_done;
    ask->entry = s;
    ask->started = true;
    ask->timer.fire = on_timeout;
    bl_timer_set(&ask->timer, timeout_ms);
    s->starting = true;
    if (write_name(ask, s->name))
        bl_resolver_query_start(&s->query, bl_str_c(s->name));
    else
        deliver(s);
    s->starting = false;
    if (!s->answered)
        return false;
    service_free(s);
    return true;
}

void bl_resolver_srv_cancel(bl_resolve *ask)
{
    service *s = ask->entry;

    bl_timer_stop(&ask->timer);
    ask->started = false;
    ask->entry = NULL;
    service_free(s);
}
