/* A resolver: its name servers, and a table of names. An entry is a name that is being asked for,
 * with all who wait for it, or whose addresses are known for a while:
 *
 *   bl_resolver ── buckets ── entry ── part A    ── query
 *                               │      part AAAA ── query
 *                               └ asks (bl_resolve.link)
 *
 * Only names that were found are kept; the least recently used go when there are too many. Names
 * come from requests, so the number of questions on the wire is limited, too: further ones queue.
 */
#include "event/resolver.h"
#include "core/mem.h"
#include "event/resolver_query.h"
#include "event/resolver_srv.h"
#include "event/resolver_system.h"

#include <openssl/rand.h>

enum {
    BUCKETS = 1024,
    ENTRIES_MAX = 16384,
    ASKING_MAX = 256,
    ALIASES_MAX = 10, /* each one a question of its own */
    TIMEOUT_DEFAULT = 30000,
    PORT = 53,
    FAMILIES = 2,
    ADDRS_MAX = 512,
};

typedef struct entry entry;

typedef struct part {
    bl_resolver_query query;
    entry *entry;
    uint32_t ttl;
    bl_resolve_status status;
} part;

/* While it is being asked for. */
typedef struct question {
    part parts[FAMILIES];
    int pending;   /* parts that are not done */
    int candidate; /* with a search list: which name is tried */
    int aliases;
    char name[BL_DNS_NAME_MAX];  /* asked for now: a candidate, or an alias */
    char alias[BL_DNS_NAME_MAX]; /* what the name is said to be; empty: nothing */
} question;

struct entry {
    bl_link link; /* in resolver->cached or ->queue; else alone */
    entry *next;
    uint32_t hash;
    bl_resolver *resolver;
    bl_link asks;
    bl_str name; /* lower case, in memory behind */
    enum {
        QUEUED,
        ASKING,
        CACHED
    } state;
    question *question; /* while ASKING */
    bl_sockaddr *addrs; /* IPv4 in front */
    uint32_t count, count4, turn;
    uint64_t expires; /* mono ms */
    bl_resolve_status status;
};

struct bl_resolver {
    bl_resolver_servers servers;
    bool ipv4, ipv6;
    bool local;       /* hosts and search list of the system count */
    int64_t valid_ms; /* instead of TTLs; -1: not */
    bl_resolver_system_conf system;
    entry **buckets; /* made on first use */
    uint32_t count, asking;
    bl_link cached; /* least recently used first */
    bl_link queue;
};

/* The ask that bl_resolve_start is at; NULL once it was answered. */
static bl_resolve *starting;

static void begin(entry *e);

/* ------------------------------------------------------------- answers to askers */

static void answer(bl_resolve *ask, bl_resolve_status status, const bl_addr *addrs, uint32_t count,
                   uint64_t valid_ms)
{
    if (starting == ask)
        starting = NULL;
    bl_timer_stop(&ask->timer);
    ask->started = false;
    ask->entry = NULL;
    ask->status = status;
    ask->addrs = addrs;
    ask->srvs = NULL;
    ask->count = (int)count;
    ask->valid_ms = valid_ms;
    ask->done(ask);
}

static void copy_family(bl_addr *to, const bl_sockaddr *from, uint32_t count, uint32_t turn,
                        int port)
{
    for (uint32_t i = 0; i < count; i++) {
        const bl_sockaddr *sa = &from[(turn + i) % count];
        to[i].len = sa->sa.sa_family == AF_INET ? sizeof sa->in : sizeof sa->in6;
        memcpy(&to[i].sa, sa, to[i].len);
        bl_addr_set_port(&to[i].sa, port);
    }
}

/* The addresses with the asker's port: IPv4 first, each family beginning with another one each
 * time. */
static bl_addr *addresses(const entry *e, uint32_t turn, int port)
{
    bl_addr *to = bl_alloc(bl_size_mul(BL_MAX(e->count, 1u), sizeof *to));

    copy_family(to, e->addrs, e->count4, turn, port);
    copy_family(to + e->count4, e->addrs + e->count4, e->count - e->count4, turn, port);
    return to;
}

static void answer_from(bl_resolve *ask, const entry *e, uint32_t turn, uint64_t valid_ms)
{
    bl_addr *addrs = addresses(e, turn, ask->port);

    answer(ask, e->status, addrs, e->count, valid_ms);
    bl_free(addrs);
}

/* ------------------------------------------------------------- entries */

static entry **bucket_of(bl_resolver *r, uint32_t hash)
{
    return &r->buckets[hash % BUCKETS];
}

static entry *find(bl_resolver *r, uint32_t hash, bl_str name)
{
    for (entry *e = *bucket_of(r, hash); e; e = e->next) {
        if (e->hash == hash && bl_str_eq(e->name, name))
            return e;
    }
    return NULL;
}

/* Takes it out of the table and lists; it is the caller's then. */
static void forget(entry *e)
{
    entry **at = bucket_of(e->resolver, e->hash);

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    e->resolver->count--;
    bl_list_remove(&e->link);
}

static void stop_asking(entry *e)
{
    for (int i = 0; e->question && i < FAMILIES; i++)
        bl_resolver_query_stop(&e->question->parts[i].query);
    bl_free(e->question);
    e->question = NULL;
}

static void entry_free(entry *e)
{
    stop_asking(e);
    bl_free(e->addrs);
    bl_free(e);
}

static entry *entry_new(bl_resolver *r, uint32_t hash, bl_str name)
{
    if (r->count >= ENTRIES_MAX && !bl_list_empty(&r->cached)) {
        entry *oldest = BL_LIST_FIRST(&r->cached, entry, link);
        forget(oldest);
        entry_free(oldest);
    }
    entry *e = bl_zalloc(sizeof *e + name.len);
    e->resolver = r;
    e->hash = hash;
    e->name = bl_str_of((char *)(e + 1), name.len);
    memcpy(e->name.p, name.p, name.len);
    bl_list_init(&e->asks);
    bl_list_init(&e->link);
    e->next = *bucket_of(r, hash);
    *bucket_of(r, hash) = e;
    r->count++;
    return e;
}

static void begin_queued(bl_resolver *r)
{
    while (r->asking < ASKING_MAX && !bl_list_empty(&r->queue)) {
        entry *e = BL_LIST_FIRST(&r->queue, entry, link);
        bl_list_remove(&e->link);
        begin(e);
    }
}

/* Nobody waits any more. */
static void abandon(entry *e)
{
    bl_resolver *r = e->resolver;

    r->asking -= e->state == ASKING;
    forget(e);
    entry_free(e);
    begin_queued(r);
}

/* ------------------------------------------------------------- asking */

static int dots_in(bl_str name)
{
    int dots = 0;

    for (size_t i = 0; i < name.len; i++)
        dots += name.p[i] == '.';
    return dots;
}

/* The name to try next: the name itself, or with a domain of the search list behind it; first what
 * has more chances. False: there are no more. */
static bool next_candidate(entry *e)
{
    const bl_resolver *r = e->resolver;
    question *q = e->question;
    bool absolute = e->name.p[e->name.len - 1] == '.';
    bl_str name = bl_str_of(e->name.p, e->name.len - absolute), domain = BL_STR_NONE;
    int domains = r->local && !absolute ? (int)bl_array_count(&r->system.search) : 0;
    int i = q->candidate - (dots_in(name) >= r->system.ndots);

    if (q->candidate++ > domains)
        return false;
    if (i >= 0 && i < domains)
        domain = *(bl_str *)bl_array_at(&r->system.search, (size_t)i);
    char *at = bl_str_put(q->name, name);
    if (domain.len && name.len + 1 + domain.len < sizeof q->name) {
        *at++ = '.';
        at = bl_str_put(at, domain);
    }
    *at = '\0';
    return true;
}

static void add_address(void *data, const bl_dns_record *record)
{
    entry *e = data;

    if (e->count >= ADDRS_MAX)
        return;
    if ((e->count & (e->count - 1)) == 0)
        e->addrs = bl_realloc(e->addrs, bl_size_mul(BL_MAX(e->count * 2, 1u), sizeof *e->addrs));
    bl_sockaddr *sa = &e->addrs[e->count++];
    if (record->type == BL_DNS_A) {
        *sa = e->addrs[e->count4]; /* the first of IPv6 makes room */
        sa = &e->addrs[e->count4++];
        *sa = (bl_sockaddr){.in = {.sin_family = AF_INET, .sin_addr = record->a}};
    } else {
        *sa = (bl_sockaddr){.in6 = {.sin6_family = AF_INET6, .sin6_addr = record->aaaa}};
    }
}

/* Asks for question->name. The entry may be over before it returns. */
static void ask_now(entry *e)
{
    const bl_resolver *r = e->resolver;
    question *q = e->question;
    bool wanted[FAMILIES] = {r->ipv4, r->ipv6};
    int left = q->pending = wanted[0] + wanted[1];

    q->alias[0] = '\0';
    for (int i = 0; left > 0; i++) {
        if (!wanted[i])
            continue;
        left--; /* with the last one, the question may be gone before start returns */
        bl_resolver_query_start(&q->parts[i].query, bl_str_c(q->name));
    }
}

/* Whatever goes wrong with one family is the answer, even if the other's addresses are there: half
 * of them must not be kept for the whole. */
static bl_resolve_status status_of(const entry *e)
{
    for (int i = 0; i < FAMILIES; i++) {
        bl_resolve_status status = e->question->parts[i].status;
        if (status != BL_RESOLVE_NOT_FOUND && status != BL_RESOLVE_OK)
            return status;
    }
    return e->count ? BL_RESOLVE_OK : BL_RESOLVE_NOT_FOUND;
}

static uint64_t lifetime_of(const entry *e)
{
    uint32_t ttl = BL_MIN(e->question->parts[0].ttl, e->question->parts[1].ttl);

    if (e->resolver->valid_ms >= 0)
        return (uint64_t)e->resolver->valid_ms;
    return (uint64_t)ttl * 1000;
}

/* The entry stays in the table if its addresses may be kept; else it is freed behind the last
 * answer. Askers may do anything to the resolver meanwhile, so the entry is out of its reach. */
static void deliver(entry *e, uint64_t lifetime)
{
    bl_resolver *r = e->resolver;
    bl_link asks;
    entry copy = *e;

    bl_list_init(&asks);
    bl_list_splice(&asks, &e->asks);
    copy.addrs = bl_alloc(bl_size_mul(BL_MAX(e->count, 1u), sizeof *e->addrs));
    if (e->count)
        memcpy(copy.addrs, e->addrs, e->count * sizeof *e->addrs);
    BL_LIST_EACH (it, &asks) {
        BL_CONTAINER(it, bl_resolve, link)->entry = NULL;
        e->turn++;
    }
    if (e->status == BL_RESOLVE_OK && lifetime > 0) {
        e->state = CACHED;
        e->expires = bl_now_ms() + lifetime;
        bl_list_push(&r->cached, &e->link);
    } else {
        forget(e);
        entry_free(e);
    }
    while (!bl_list_empty(&asks)) {
        bl_resolve *ask = BL_LIST_FIRST(&asks, bl_resolve, link);
        bl_list_remove(&ask->link);
        answer_from(ask, &copy, copy.turn++, lifetime);
    }
    bl_free(copy.addrs);
}

/* Another name that may have addresses: what the name is an alias of (which holds for both
 * families, whichever answer said so), or the next of the search list. */
static bool ask_further(entry *e)
{
    question *q = e->question;

    if (e->status != BL_RESOLVE_NOT_FOUND)
        return false;
    if (q->alias[0] && q->aliases++ < ALIASES_MAX)
        memcpy(q->name, q->alias, sizeof q->name);
    else if (!next_candidate(e))
        return false;
    ask_now(e);
    return true;
}

static void complete(entry *e)
{
    bl_resolver *r = e->resolver;

    e->status = status_of(e);
    if (ask_further(e))
        return;
    uint64_t lifetime = lifetime_of(e);
    stop_asking(e);
    r->asking--;
    RAND_bytes((unsigned char *)&e->turn, sizeof e->turn);
    deliver(e, lifetime);
    begin_queued(r);
}

/* Whose word on aliases counts: they hold for both families, and who asks for one should hear the
 * same from the other. */
static const part *last_part(const entry *e)
{
    return &e->question->parts[e->resolver->ipv6 ? 1 : 0];
}

static void keep_alias(question *q, bl_str last)
{
    if (last.len < sizeof q->alias && !bl_str_ieq(last, bl_str_c(q->name)))
        *bl_str_put(q->alias, last) = '\0';
}

static void part_done(bl_resolver_query *query, const bl_dns_answer *dns, bl_resolve_status status)
{
    part *p = BL_CONTAINER(query, part, query);
    entry *e = p->entry;
    question *q = e->question;
    bl_str last;

    p->status = status;
    if (dns && status == BL_RESOLVE_OK) {
        uint32_t count = bl_dns_follow(dns, query->name, &last, &p->ttl, add_address, e);
        p->status = count ? BL_RESOLVE_OK : BL_RESOLVE_NOT_FOUND;
        if (p == last_part(e))
            keep_alias(q, count ? bl_str_c(q->name) : last);
    }
    if (--q->pending == 0)
        complete(e);
}

static void begin(entry *e)
{
    e->state = ASKING;
    e->resolver->asking++;
    e->question = bl_zalloc(sizeof *e->question);
    for (int i = 0; i < FAMILIES; i++) {
        part *p = &e->question->parts[i];
        p->entry = e;
        p->ttl = UINT32_MAX;
        p->status = BL_RESOLVE_NOT_FOUND;
        p->query.servers = &e->resolver->servers;
        p->query.type = i == 0 ? BL_DNS_A : BL_DNS_AAAA;
        p->query.done = part_done;
    }
    next_candidate(e);
    ask_now(e);
}

/* ------------------------------------------------------------- asks */

/* If one family's answer has come, it is better than none. */
static void on_timeout(bl_timer *timer)
{
    bl_resolve *ask = BL_CONTAINER(timer, bl_resolve, timer);
    const entry *e = ask->entry;
    uint32_t count = e ? e->count : 0;
    bl_addr *addrs = count ? addresses(e, 0, ask->port) : NULL;

    bl_resolve_cancel(ask);
    answer(ask, count ? BL_RESOLVE_OK : BL_RESOLVE_TIMEOUT, addrs, count, 0);
    bl_free(addrs);
}

static void wait_for(bl_resolve *ask, entry *e)
{
    ask->started = true;
    ask->entry = e;
    bl_list_push(&e->asks, &ask->link);
    ask->timer.fire = on_timeout;
    bl_timer_set(&ask->timer, ask->timeout_ms ? ask->timeout_ms : TIMEOUT_DEFAULT);
}

/* From the cache; or joins, or becomes, the question. */
static void look_up(bl_resolve *ask, bl_str name)
{
    bl_resolver *r = ask->resolver;
    uint32_t hash = bl_hash(name.p, name.len);
    uint64_t now = bl_now_ms();
    entry *e = find(r, hash, name);

    if (e && e->state == CACHED && e->expires > now) {
        bl_list_remove(&e->link);
        bl_list_push(&r->cached, &e->link);
        answer_from(ask, e, e->turn++, e->expires - now);
        return;
    }
    if (e && e->state == CACHED) {
        forget(e);
        entry_free(e);
        e = NULL;
    }
    bool fresh = e == NULL;
    if (fresh)
        e = entry_new(r, hash, name);
    wait_for(ask, e);
    if (!fresh)
        return;
    if (r->asking < ASKING_MAX)
        begin(e);
    else
        bl_list_push(&r->queue, &e->link);
}

static bool answer_literal(bl_resolve *ask, bl_str name)
{
    bl_addr addr;

    if (!bl_addr_parse_ip(name, &addr))
        return false;
    bl_addr_set_port(&addr.sa, ask->port);
    answer(ask, BL_RESOLVE_OK, &addr, 1, UINT32_MAX);
    return true;
}

static bool answer_from_hosts(bl_resolve *ask, bl_str name)
{
    const bl_addr *found;
    uint32_t count = ask->resolver->local ? bl_resolver_system_hosts(name, &found) : 0;

    if (count == 0)
        return false;
    bl_addr *addrs = bl_alloc(bl_size_mul(count, sizeof *addrs));
    for (uint32_t i = 0; i < count; i++) {
        addrs[i] = found[i];
        bl_addr_set_port(&addrs[i].sa, ask->port);
    }
    answer(ask, BL_RESOLVE_OK, addrs, count, 1000);
    bl_free(addrs);
    return true;
}

static void make_ready(bl_resolver *r)
{
    if (r->buckets)
        return;
    r->buckets = bl_zalloc(BUCKETS * sizeof *r->buckets);
    bl_list_init(&r->cached);
    bl_list_init(&r->queue);
}

static void start(bl_resolve *ask)
{
    char lower[BL_DNS_NAME_MAX];

    make_ready(ask->resolver);
    if (ask->name.len == 0 || ask->name.len >= sizeof lower) {
        answer(ask, BL_RESOLVE_NOT_FOUND, NULL, 0, 0);
        return;
    }
    bl_str_lower(lower, ask->name);
    bl_str name = bl_str_of(lower, ask->name.len);
    if (!answer_literal(ask, name) && !answer_from_hosts(ask, name))
        look_up(ask, name);
}

bool bl_resolve_start(bl_resolve *ask)
{
    bl_resolve *outer = starting;

    BL_ASSERT(!ask->started);
    if (ask->service.len)
        return bl_resolver_srv_start(ask, &ask->resolver->servers,
                                     ask->timeout_ms ? ask->timeout_ms : TIMEOUT_DEFAULT);
    starting = ask;
    start(ask);
    bool answered = starting != ask;
    starting = outer;
    return answered;
}

void bl_resolve_cancel(bl_resolve *ask)
{
    entry *e = ask->entry;

    if (!ask->started)
        return;
    if (ask->service.len) {
        bl_resolver_srv_cancel(ask);
        return;
    }
    ask->started = false;
    ask->entry = NULL;
    bl_timer_stop(&ask->timer);
    bl_list_remove(&ask->link);
    if (e && bl_list_empty(&e->asks))
        abandon(e);
}

const char *bl_resolve_error(bl_resolve_status status)
{
    switch (status) {
    case BL_RESOLVE_OK:
        return "";
    case BL_RESOLVE_FORMAT:
        return "Format error";
    case BL_RESOLVE_SERVER:
        return "Server failure";
    case BL_RESOLVE_NOT_FOUND:
        return "Host not found";
    case BL_RESOLVE_NOT_IMPLEMENTED:
        return "Unimplemented";
    case BL_RESOLVE_REFUSED:
        return "Operation refused";
    case BL_RESOLVE_TIMEOUT:
        return "Operation timed out";
    }
    return "Unknown error";
}

/* ------------------------------------------------------------- resolvers */

static void free_all(void *data)
{
    bl_resolver *r = data;

    for (int i = 0; r->buckets && i < BUCKETS; i++) {
        while (r->buckets[i]) {
            entry *e = r->buckets[i];
            while (!bl_list_empty(&e->asks)) {
                bl_resolve *ask = BL_LIST_FIRST(&e->asks, bl_resolve, link);
                bl_timer_stop(&ask->timer);
                ask->started = false;
                bl_list_remove(&ask->link);
            }
            forget(e);
            entry_free(e);
        }
    }
    bl_free(r->buckets);
    r->buckets = NULL;
}

static bl_resolver *resolver_new(bl_pool *pool)
{
    bl_resolver *r = BL_NEW(pool, bl_resolver);

    r->ipv4 = r->ipv6 = true;
    r->valid_ms = -1;
    r->system.ndots = 1;
    bl_pool_cleanup(pool, free_all, r);
    return r;
}

static void use_system(bl_resolver *r, bl_pool *pool)
{
    bl_resolver_system_read(pool, &r->system);
    r->local = true;
    r->servers.addrs = bl_array_items(&r->system.servers);
    r->servers.count = bl_array_count(&r->system.servers);
}

bl_resolver *bl_resolver_system(void)
{
    static bl_resolver *system;

    if (system == NULL) {
        bl_pool *pool = bl_pool_new(); /* the process's */
        system = resolver_new(pool);
        use_system(system, pool);
    }
    return system;
}

static bool add_server(bl_conf *cf, const bl_conf_node *node, int word, bl_array *servers)
{
    bl_str text = bl_conf_arg(node, word);
    bl_hostport hp;
    const char *error = bl_hostport_parse(text, PORT, &hp);

    if (error == NULL && hp.is_unix)
        error = "unix sockets are no name servers";
    if (error)
        return bl_conf_error(cf, node, word, "%s in resolver \"%.*s\"", error, BL_STR_ARG(text));
    if (hp.is_ip) {
        *(bl_addr *)bl_array_push(servers) = hp.addr;
        return true;
    }
    if (bl_addr_resolve_now(hp.host, hp.port > 0 ? hp.port : PORT, servers))
        return true;
    return bl_conf_error(cf, node, word, "host not found in resolver \"%.*s\"", BL_STR_ARG(text));
}

/* on | off behind "name="; false: neither. */
static bool read_switch(bl_str value, bool *to)
{
    *to = bl_str_eq(value, BL_STR("on"));
    return *to || bl_str_eq(value, BL_STR("off"));
}

static bool read_parameter(bl_conf *cf, const bl_conf_node *node, int word, bl_resolver *r,
                           bl_array *servers)
{
    static const bl_str valid = BL_STR_INIT("valid="), zone = BL_STR_INIT("status_zone=");
    bl_str text = bl_conf_arg(node, word);
    bool on;

    if (bl_str_starts(text, valid)) {
        r->valid_ms = bl_conf_msec(bl_str_of(text.p + valid.len, text.len - valid.len));
        return r->valid_ms >= 0 ||
               bl_conf_error(cf, node, word, "invalid parameter: %.*s", BL_STR_ARG(text));
    }
    if (bl_str_starts(text, zone))
        return true;
    if (bl_str_starts(text, BL_STR("ipv4=")) &&
        read_switch(bl_str_of(text.p + 5, text.len - 5), &on))
        return r->ipv4 = on, true;
    if (bl_str_starts(text, BL_STR("ipv6=")) &&
        read_switch(bl_str_of(text.p + 5, text.len - 5), &on))
        return r->ipv6 = on, true;
    if (bl_str_starts(text, BL_STR("local=")) &&
        read_switch(bl_str_of(text.p + 6, text.len - 6), &on)) {
        if (on)
            use_system(r, cf->pool);
        return true;
    }
    if (bl_str_chr(text, '=') >= 0)
        return bl_conf_error(cf, node, word, "invalid parameter: %.*s", BL_STR_ARG(text));
    return add_server(cf, node, word, servers);
}

bl_resolver *bl_resolver_read(bl_conf *cf, const bl_conf_node *node)
{
    bl_resolver *r = resolver_new(cf->pool);
    bl_array *servers = bl_array_new(cf->pool, sizeof(bl_addr));

    for (int i = 1; i < node->count; i++) {
        if (!read_parameter(cf, node, i, r, servers))
            return NULL;
    }
    if (bl_array_count(servers)) {
        r->servers.addrs = bl_array_items(servers);
        r->servers.count = bl_array_count(servers);
    }
    if (!r->ipv4 && !r->ipv6)
        bl_conf_error(cf, node, 0, "\"ipv4\" and \"ipv6\" cannot both be \"off\"");
    else if (r->servers.count == 0)
        bl_conf_error(cf, node, 0, "no name servers defined");
    else
        return r;
    return NULL;
}
