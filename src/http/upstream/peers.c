/* Peers, and round robin among them: smoothly by weight, past those that have failed too often
 * lately, backups when no other is left. */
#include "http/upstream/peers.h"
#include "http/upstream/upstream.h"

bl_peers *bl_peers_of_addrs(bl_pool *pool, const bl_addr *addrs, int count, bl_str server)
{
    bl_peers *peers = BL_NEW(pool, bl_peers);
    char text[BL_ADDR_TEXT];

    peers->all = BL_NEW_ARRAY(pool, bl_peer, (size_t)count);
    peers->count = peers->primaries = peers->usable = count;
    for (int i = 0; i < count; i++) {
        bl_peer *p = &peers->all[i];
        size_t len = bl_addr_text_port(&addrs[i].sa, addrs[i].len, text);
        *p = (bl_peer){.addr = addrs[i],
                       .name = bl_pool_str(pool, bl_str_of(text, len)),
                       .server = server,
                       .weight = 1,
                       .max_fails = 1,
                       .fail_timeout = 10000,
                       .state = BL_NEW(pool, bl_peer_state)};
        p->state->effective_weight = 1;
    }
    return peers;
}

/* A service's first priority are primaries, the others backups; of a backup's service only the
 * first counts (RFC 2782 knows priorities, we know two). False: not used at all. */
static bool rank_of(const bl_upstream_server *s, uint32_t i, bool *backup)
{
    bool low = s->srvs && s->srvs[i].priority != s->srvs[0].priority;

    *backup = s->backup || low;
    return !(s->backup && low);
}

static void add_peer(bl_pool *pool, bl_peers *peers, const bl_upstream_server *s, uint32_t i,
                     bool backup)
{
    const bl_addr *addr = bl_array_at(&s->addrs, i);
    char text[BL_ADDR_TEXT];
    size_t len = bl_addr_text_port(&addr->sa, addr->len, text);
    bl_peer *p = &peers->all[peers->count++];

    *p = (bl_peer){.addr = *addr,
                   .name = bl_pool_str(pool, bl_str_of(text, len)),
                   .server = s->name,
                   .weight = s->srvs ? BL_MAX(s->srvs[i].weight, 1) : s->weight,
                   .max_fails = s->max_fails,
                   .max_conns = s->max_conns,
                   .fail_timeout = s->fail_timeout,
                   .backup = backup,
                   .state = BL_NEW(pool, bl_peer_state)};
    p->state->effective_weight = p->weight;
    p->state->down = s->down;
    *(backup ? &peers->usable_backups : &peers->usable) += !s->down;
}

static void add_peers(bl_pool *pool, bl_peers *peers, const bl_array *servers, bool backup)
{
    bool is_backup;

    BL_ARRAY_EACH (bl_upstream_server, s, servers) {
        for (uint32_t i = 0; i < s->addrs.count; i++) {
            if (rank_of(s, i, &is_backup) && is_backup == backup)
                add_peer(pool, peers, s, i, backup);
        }
    }
}

bl_peers *bl_peers_of_servers(bl_pool *pool, const bl_array *servers)
{
    bl_peers *peers = BL_NEW(pool, bl_peers);
    size_t count = 0;

    BL_ARRAY_EACH (bl_upstream_server, s, servers) {
        count += s->addrs.count;
    }
    peers->all = BL_NEW_ARRAY(pool, bl_peer, count + 1);
    add_peers(pool, peers, servers, false);
    peers->primaries = peers->count;
    add_peers(pool, peers, servers, true);
    return peers;
}

/* ------------------------------------------------------------- those that come and go */

void bl_peers_drop(bl_peers *peers)
{
    if (--peers->refs > 0)
        return;
    bl_pool_free(peers->pool);
}

static void drop(void *peers)
{
    bl_peers_drop(peers);
}

void bl_peers_hold(bl_upstream *u, bl_peers *peers)
{
    peers->refs++;
    bl_pool_cleanup(u->r->pool, drop, peers);
}

/* ------------------------------------------------------------- what balancers share */

void bl_peers_set_down(bl_peers *peers, int index, bool down)
{
    bl_peers_lock(peers);
    peers->all[index].state->down = down;
    peers->usable = peers->usable_backups = 0;
    for (int i = 0; i < peers->count; i++)
        *(i < peers->primaries ? &peers->usable : &peers->usable_backups) +=
            !peers->all[i].state->down;
    bl_peers_unlock(peers);
}

bool bl_peer_is_usable(const bl_peer *peer, uint64_t now)
{
    const bl_peer_state *s = peer->state;

    if (s->down)
        return false;
    if (peer->max_fails && s->fails >= peer->max_fails && now - s->checked_at <= peer->fail_timeout)
        return false;
    return peer->max_conns == 0 || s->conns < peer->max_conns;
}

static uint64_t *tried_word(bl_peer_choice *choice, int index)
{
    return choice->tried ? &choice->tried[index / 64] : &choice->tried_few;
}

bool bl_peer_was_tried(const bl_peer_choice *choice, int index)
{
    return *tried_word((bl_peer_choice *)choice, index) >> (index % 64) & 1;
}

void bl_peer_take(bl_upstream *u, int index)
{
    bl_peer_choice *choice = &u->choice;
    bl_peer *peer = &choice->peers->all[index];
    uint64_t now = bl_now_ms();

    *tried_word(choice, index) |= 1ull << (index % 64);
    choice->peer = peer;
    peer->state->conns++;
    peer->state->used_at = now;
    if (now - peer->state->checked_at > peer->fail_timeout)
        peer->state->checked_at = now;
}

/* ------------------------------------------------------------- round robin */

bl_step bl_peers_begin(bl_upstream *u)
{
    bl_peer_choice *choice = &u->choice;

    if (u->group)
        choice->peers = u->group->peers;
    if (BL_UNLIKELY(choice->peers->pool != NULL))
        bl_peers_hold(u, choice->peers);
    choice->peer = NULL;
    choice->tried_few = 0;
    if (choice->peers->count > 64)
        choice->tried = BL_NEW_ARRAY(u->r->pool, uint64_t, (size_t)choice->peers->count / 64 + 1);
    u->tries = choice->peers->usable + choice->peers->usable_backups;
    return BL_NEXT;
}

/* The heaviest by its current weight; all others gain by theirs. -1: none. */
static int pick(bl_upstream *u, int from, int to)
{
    const bl_peer_choice *choice = &u->choice;
    uint64_t now = bl_now_ms();
    int64_t total = 0;
    int best = -1;

    for (int i = from; i < to; i++) {
        const bl_peer *p = &choice->peers->all[i];
        bl_peer_state *s = p->state;
        if (bl_peer_was_tried(choice, i) || !bl_peer_is_usable(p, now))
            continue;
        s->current_weight += s->effective_weight;
        total += s->effective_weight;
        if (s->effective_weight < p->weight)
            s->effective_weight++;
        if (best < 0 || s->current_weight > choice->peers->all[best].state->current_weight)
            best = i;
    }
    if (best >= 0)
        choice->peers->all[best].state->current_weight -= total;
    return best;
}

/* The only one is asked whatever its failures: there is no better choice. */
static int pick_single(const bl_peers *peers)
{
    const bl_peer *p = &peers->all[0];

    return p->state->down || (p->max_conns && p->state->conns >= p->max_conns) ? -1 : 0;
}

bl_step bl_peers_choose(bl_upstream *u)
{
    bl_peers *peers = u->choice.peers;
    int index;

    bl_peers_lock(peers);
    if (BL_LIKELY(peers->count == 1)) {
        index = pick_single(peers);
    } else {
        index = pick(u, 0, peers->primaries);
        if (index < 0)
            index = pick(u, peers->primaries, peers->count);
    }
    if (index >= 0)
        bl_peer_take(u, index);
    bl_peers_unlock(peers);
    return index >= 0 ? BL_NEXT : 502;
}

static void note_failure(bl_upstream *u, bl_peer *peer)
{
    bl_peer_state *s = peer->state;

    s->fails++;
    s->failed_at = s->checked_at = bl_now_ms();
    if (peer->max_fails == 0)
        return;
    s->effective_weight = BL_MAX(s->effective_weight - peer->weight / peer->max_fails, 0);
    if (s->fails >= peer->max_fails && u->choice.peers->count > 1)
        bl_log_write(BL_LOG_WARN, u->r->log, 0, "upstream server temporarily disabled");
}

void bl_peers_done(bl_upstream *u, unsigned result)
{
    bl_peers *peers = u->choice.peers;
    bl_peer *peer = u->choice.peer;
    int index = (int)(peer - peers->all);

    bl_peers_lock(peers);
    peer->state->conns--;
    if (result & BL_PEER_AGAIN)
        *tried_word(&u->choice, index) &= ~(1ull << (index % 64));
    else if (result & BL_PEER_FAILED)
        note_failure(u, peer);
    else if (peer->state->failed_at < peer->state->checked_at)
        peer->state->fails = 0;
    bl_peers_unlock(peers);
}

const bl_balancer bl_balancer_rr = {
    .name = "round robin",
    .begin = bl_peers_begin,
    .choose = bl_peers_choose,
    .done = bl_peers_done,
};
