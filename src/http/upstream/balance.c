/* Ways of choosing a peer beside round robin: by connections, by the client's address, by the hash
 * of a text, at random. Each begins and ends like round robin, and falls back on it when it has
 * looked for a usable peer long enough. */
#include "http/core_module.h"
#include "http/upstream/upstream.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    LOOKS_MAX = 20,
    POINTS = 160, /* on the ring, for a peer of weight 1 */
    OCTETS_IPV4 = 3,
    ADDRESS_HASHES = 30030, /* divisible by small numbers of servers */
};

/* A point of the ring: from the one before it up to here, `server` is asked. */
typedef struct point {
    uint32_t hash;
    bl_str server;
} point;

typedef struct hash_settings {
    bl_value *key;
    point *ring; /* NULL: not consistent */
    uint32_t points;
} hash_settings;

/* A request's search for its peer. */
typedef struct search {
    bl_str key;
    uint32_t hash;
    unsigned rehash;
    uint32_t at; /* on the ring */
    int looks;
    bool address;
} search;

/* ------------------------------------------------------------- common */

static bool may_ask(const bl_upstream *u, int index)
{
    return !bl_peer_was_tried(&u->choice, index) &&
           bl_peer_is_usable(&u->choice.peers->all[index], bl_now_ms());
}

static int64_t all_weights(const bl_peers *peers)
{
    int64_t total = 0;

    for (int i = 0; i < peers->primaries; i++)
        total += peers->all[i].weight;
    return total;
}

/* The primary that position `at` of all weights laid side by side falls on. */
static int peer_at(const bl_peers *peers, int64_t at)
{
    for (int i = 0; i < peers->primaries; i++) {
        at -= peers->all[i].weight;
        if (at < 0)
            return i;
    }
    return 0;
}

static uint32_t crc_of(uint32_t from, bl_str s)
{
    return (uint32_t)crc32(from, (const Bytef *)s.p, (uInt)s.len);
}

/* ------------------------------------------------------------- least_conn */

/* Less than 0: `a` has fewer connections for its weight. */
static int64_t compare_load(const bl_peer *a, const bl_peer *b)
{
    return a->state->conns * b->weight - b->state->conns * a->weight;
}

/* The least loaded of from..to; equal ones take turns by weight. -1: none. */
static int least_loaded(bl_upstream *u, int from, int to)
{
    bl_peer *all = u->choice.peers->all;
    int least = -1, best = -1;
    int64_t total = 0;

    for (int i = from; i < to; i++) {
        if (may_ask(u, i) && (least < 0 || compare_load(&all[i], &all[least]) < 0))
            least = i;
    }
    for (int i = BL_MAX(least, from); least >= 0 && i < to; i++) {
        bl_peer_state *s = all[i].state;
        if (!may_ask(u, i) || compare_load(&all[i], &all[least]) != 0)
            continue;
        s->current_weight += s->effective_weight;
        total += s->effective_weight;
        if (s->effective_weight < all[i].weight)
            s->effective_weight++;
        if (best < 0 || s->current_weight > all[best].state->current_weight)
            best = i;
    }
    if (best >= 0)
        all[best].state->current_weight -= total;
    return best;
}

static bl_step least_conn_choose(bl_upstream *u)
{
    bl_peers *peers = u->choice.peers;

    if (peers->count == 1)
        return bl_peers_choose(u);
    bl_peers_lock(peers);
    int index = least_loaded(u, 0, peers->primaries);
    if (index < 0)
        index = least_loaded(u, peers->primaries, peers->count);
    if (index >= 0)
        bl_peer_take(u, index);
    bl_peers_unlock(peers);
    return index >= 0 ? BL_NEXT : 502;
}

static const bl_balancer least_conn = {
    .name = "least_conn",
    .begin = bl_peers_begin,
    .choose = least_conn_choose,
    .done = bl_peers_done,
};

/* ------------------------------------------------------------- ip_hash, hash */

static bl_step begin_search(bl_upstream *u, bl_str key)
{
    search *s = BL_NEW(u->r->pool, search);

    s->key = key;
    u->choice.data = s;
    return bl_peers_begin(u);
}

/* The part of the address that tells networks apart. */
static bl_str network_of(const bl_sockaddr *peer)
{
    switch (peer->sa.sa_family) {
    case AF_INET:
        return bl_str_of((const char *)&peer->in.sin_addr, OCTETS_IPV4);
    case AF_INET6:
        return bl_str_of((const char *)&peer->in6.sin6_addr, sizeof peer->in6.sin6_addr);
    default:
        return BL_STR("unix");
    }
}

static bl_step ip_hash_begin(bl_upstream *u)
{
    bl_step step = begin_search(u, network_of(&u->r->conn->peer));
    search *s = u->choice.data;

    s->address = true;
    return step;
}

static bl_step hash_begin(bl_upstream *u)
{
    const hash_settings *settings = u->group->balancer_data;

    return begin_search(u, bl_value_eval(u->r, settings->key));
}

/* The hash again, with the number of the attempt before the key. */
static void hash_again(search *s)
{
    char number[20];
    uint32_t crc = 0;

    if (s->rehash) {
        size_t len = (size_t)(bl_u64_write(number, s->rehash) - number);
        crc = crc_of(0, bl_str_of(number, len));
    }
    s->rehash++;
    s->hash += (crc_of(crc, s->key) >> 16) & 0x7fff;
}

/* A polynomial: neighbours in the last octet come out one behind the other, so that they are spread
 * evenly. Bounded, so that no bit is lost before the next round. */
static void hash_address_again(search *s)
{
    for (size_t i = 0; i < s->key.len; i++)
        s->hash = (s->hash * 31 + (unsigned char)s->key.p[i]) % ADDRESS_HASHES;
}

static int look_by_hash(bl_upstream *u, search *s, int64_t total)
{
    while (s->looks++ < LOOKS_MAX) {
        s->address ? hash_address_again(s) : hash_again(s);
        int index = peer_at(u->choice.peers, s->hash % total);
        if (may_ask(u, index))
            return index;
    }
    return -1;
}

static bl_step choose_found(bl_upstream *u, int index)
{
    if (index < 0) {
        bl_peers_unlock(u->choice.peers);
        return bl_peers_choose(u);
    }
    bl_peer_take(u, index);
    bl_peers_unlock(u->choice.peers);
    return BL_NEXT;
}

static bool has_one(const bl_peers *peers)
{
    return peers->count == 1 || peers->primaries == 0;
}

static bl_step hash_choose(bl_upstream *u)
{
    search *s = u->choice.data;
    bl_peers *peers = u->choice.peers;

    if (s->key.len == 0 || has_one(peers))
        return bl_peers_choose(u);
    bl_peers_lock(peers);
    return choose_found(u, look_by_hash(u, s, all_weights(peers)));
}

static const bl_balancer ip_hash = {
    .name = "ip_hash",
    .begin = ip_hash_begin,
    .choose = hash_choose,
    .done = bl_peers_done,
};

static const bl_balancer hash = {
    .name = "hash",
    .begin = hash_begin,
    .choose = hash_choose,
    .done = bl_peers_done,
};

/* ------------------------------------------------------------- hash … consistent */

/* Compatible with clients of memcached: host, a zero byte and the port, then the hash before. */
static uint32_t base_of(bl_str server)
{
    size_t colon = server.len;

    if (!bl_str_starts(server, BL_STR("unix:"))) {
        while (colon > 0 && server.p[colon - 1] >= '0' && server.p[colon - 1] <= '9')
            colon--;
        colon = colon > 0 && server.p[colon - 1] == ':' ? colon - 1 : server.len;
    }
    uint32_t crc = crc_of(crc_of(0, bl_str_of(server.p, colon)), bl_str_of("", 1));
    if (colon < server.len)
        crc = crc_of(crc, bl_str_of(server.p + colon + 1, server.len - colon - 1));
    return crc;
}

static int by_hash(const void *a, const void *b)
{
    uint32_t x = ((const point *)a)->hash, y = ((const point *)b)->hash;

    return (x > y) - (x < y);
}

static void add_points(hash_settings *h, const bl_upstream_server *server)
{
    uint32_t base = base_of(server->name), before = 0;

    for (int64_t i = 0; i < server->weight * POINTS; i++) {
        char bytes[4] = {(char)before, (char)(before >> 8), (char)(before >> 16),
                         (char)(before >> 24)};
        before = crc_of(base, bl_str_of(bytes, 4));
        h->ring[h->points++] = (point){before, server->name};
    }
}

static bool make_ring(bl_conf *cf, bl_upstream_group *group)
{
    hash_settings *h = group->balancer_data;
    size_t count = 0;

    BL_ARRAY_EACH (bl_upstream_server, s, &group->servers) {
        count += (size_t)s->weight * POINTS;
    }
    h->ring = BL_NEW_ARRAY(cf->pool, point, count + 1);
    BL_ARRAY_EACH (bl_upstream_server, s, &group->servers) {
        add_points(h, s);
    }
    qsort(h->ring, h->points, sizeof *h->ring, by_hash);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < h->points; i++) {
        if (kept == 0 || h->ring[kept - 1].hash != h->ring[i].hash)
            h->ring[kept++] = h->ring[i];
    }
    h->points = kept;
    return true;
}

static uint32_t first_point(const hash_settings *h, uint32_t value)
{
    uint32_t from = 0, to = h->points;

    while (from < to) {
        uint32_t middle = (from + to) / 2;
        if (h->ring[middle].hash < value)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bl_step ring_begin(bl_upstream *u)
{
    bl_step step = hash_begin(u);
    search *s = u->choice.data;

    s->at = first_point(u->group->balancer_data, crc_of(0, s->key));
    return step;
}

/* Of a server's addresses, the one that round robin would take. */
static int usable_of(bl_upstream *u, bl_str server)
{
    bl_peers *peers = u->choice.peers;
    int64_t total = 0;
    int best = -1;

    for (int i = 0; i < peers->primaries; i++) {
        bl_peer_state *s = peers->all[i].state;
        if (!may_ask(u, i) || !bl_str_eq(peers->all[i].server, server))
            continue;
        s->current_weight += s->effective_weight;
        total += s->effective_weight;
        if (s->effective_weight < peers->all[i].weight)
            s->effective_weight++;
        if (best < 0 || s->current_weight > peers->all[best].state->current_weight)
            best = i;
    }
    if (best >= 0)
        peers->all[best].state->current_weight -= total;
    return best;
}

static bl_step ring_choose(bl_upstream *u)
{
    const hash_settings *h = u->group->balancer_data;
    search *s = u->choice.data;
    int index = -1;

    if (s->key.len == 0 || has_one(u->choice.peers) || h->points == 0)
        return bl_peers_choose(u);
    bl_peers_lock(u->choice.peers);
    while (index < 0 && s->looks++ < LOOKS_MAX) {
        index = usable_of(u, h->ring[s->at % h->points].server);
        if (index < 0)
            s->at++;
    }
    return choose_found(u, index);
}

static const bl_balancer ring = {
    .name = "hash consistent",
    .compile = make_ring,
    .begin = ring_begin,
    .choose = ring_choose,
    .done = bl_peers_done,
};

/* ------------------------------------------------------------- random */

static int look_at_random(bl_upstream *u, int64_t total, int other)
{
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        int index = peer_at(u->choice.peers, random() % total);
        if (index != other && may_ask(u, index))
            return index;
    }
    return -1;
}

static bl_step random_choose(bl_upstream *u)
{
    bl_peers *peers = u->choice.peers;

    if (has_one(peers))
        return bl_peers_choose(u);
    bl_peers_lock(peers);
    return choose_found(u, look_at_random(u, all_weights(peers), -1));
}

/* Two at random, and of them the one with fewer connections. */
static bl_step random_two_choose(bl_upstream *u)
{
    bl_peers *peers = u->choice.peers;

    if (has_one(peers))
        return bl_peers_choose(u);
    bl_peers_lock(peers);
    int64_t total = all_weights(peers);
    int one = look_at_random(u, total, -1);
    int two = one < 0 ? -1 : look_at_random(u, total, one);
    if (two >= 0 && compare_load(&peers->all[two], &peers->all[one]) < 0)
        one = two;
    return choose_found(u, one);
}

static const bl_balancer random_one = {
    .name = "random",
    .begin = bl_peers_begin,
    .choose = random_choose,
    .done = bl_peers_done,
};

static const bl_balancer random_two = {
    .name = "random two",
    .begin = bl_peers_begin,
    .choose = random_two_choose,
    .done = bl_peers_done,
};

/* ------------------------------------------------------------- directives */

static bl_upstream_group *use(bl_conf *cf, const bl_conf_node *node, const bl_balancer *balancer)
{
    bl_upstream_group *group = bl_upstream_group_of(cf);

    if (group->balancer)
        bl_conf_warn(cf, node, 0, "load balancing method redefined");
    group->balancer = balancer;
    group->no_backups = balancer != &least_conn;
    return group;
}

static bool read_least_conn(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                            void *field BL_UNUSED)
{
    use(cf, node, &least_conn);
    return true;
}

static bool read_ip_hash(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                         void *field BL_UNUSED)
{
    use(cf, node, &ip_hash);
    return true;
}

static bool read_hash(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field BL_UNUSED)
{
    bool consistent = node->count == 3;
    hash_settings *h = BL_NEW(cf->pool, hash_settings);

    if (consistent && !bl_str_eq(bl_conf_arg(node, 2), BL_STR("consistent")))
        return bl_conf_error(cf, node, 2, "invalid parameter \"%.*s\"",
                             BL_STR_ARG(bl_conf_arg(node, 2)));
    use(cf, node, consistent ? &ring : &hash)->balancer_data = h;
    h->key = bl_value_compile(cf, node, 1, bl_pool_str(cf->pool, bl_conf_arg(node, 1)));
    return h->key != NULL;
}

static bool read_random(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                        void *field BL_UNUSED)
{
    static const char *const words[] = {"two", "least_conn"};

    for (int i = 1; i < node->count; i++) {
        if (!bl_str_eq(bl_conf_arg(node, i), bl_str_c(words[i - 1])))
            return bl_conf_error(cf, node, i, "invalid parameter \"%.*s\"",
                                 BL_STR_ARG(bl_conf_arg(node, i)));
    }
    use(cf, node, node->count > 1 ? &random_two : &random_one);
    return true;
}

static const bl_directive directives[] = {
    {"least_conn", BL_IN_UPSTREAM, BL_TAKE0, &bl_type_action, .set = read_least_conn},
    {"ip_hash", BL_IN_UPSTREAM, BL_TAKE0, &bl_type_action, .set = read_ip_hash},
    {"hash", BL_IN_UPSTREAM, BL_TAKE12, &bl_type_action, .set = read_hash},
    {"random", BL_IN_UPSTREAM, BL_TAKE0 | BL_TAKE12, &bl_type_action, .set = read_random},
    {0},
};

bl_module bl_balance_module = {
    .name = "upstream_balance",
    .directives = directives,
};
