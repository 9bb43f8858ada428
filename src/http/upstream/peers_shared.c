/* What the workers know about peers together: the zone of one or more groups.
 *
 *   lock │ slot: key, used, state │ slot …
 *
 * A slot is a peer's state under a key made of its group and its address, so that workers that have
 * looked up a name at different times, and found the same address, count in the same place. A zone
 * is a generation's own: peers of another configuration have other weights. */
#include "conf/generation.h"
#include "http/upstream/peers.h"

typedef struct slot {
    uint64_t key;  /* 0: free */
    uint64_t used; /* mono ms, when somebody asked for it; UINT64_MAX: never given to another */
    bl_peer_state state;
} slot;

typedef struct shared {
    bl_rlock lock;
    uint64_t count;
    slot slots[];
} shared;

/* FNV-1a: the same in all processes. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

/* `nth`: of several peers with the same address. */
static uint64_t key_of(const bl_upstream_group *group, const bl_peer *peer, int nth)
{
    uint64_t hash = mix(0xcbf29ce484222325u, group->host.p, group->host.len);

    hash = mix(hash, &nth, sizeof nth);
    hash = mix(hash, &peer->addr.sa, peer->addr.len);
    return hash ? hash : 1;
}

static int nth_of(const bl_peers *peers, int index)
{
    const bl_addr *addr = &peers->all[index].addr;
    int nth = 0;

    for (int i = 0; i < index; i++) {
        const bl_addr *other = &peers->all[i].addr;
        nth += other->len == addr->len && memcmp(&other->sa, &addr->sa, addr->len) == 0;
    }
    return nth;
}

/* Its own slot, a free one, or the one that nobody has asked for for the longest time. */
static slot *find_slot(shared *s, uint64_t key)
{
    slot *best = NULL;

    for (uint64_t i = 0; i < s->count; i++) {
        slot *each = &s->slots[i];
        if (each->key == key)
            return each;
        if (each->used != UINT64_MAX && (best == NULL || each->used < best->used))
            best = each;
    }
    if (best) {
        memset(best, 0, sizeof *best);
        best->key = key;
    }
    return best;
}

static bool share_one(shared *s, uint64_t key, bl_peer *peer, bool for_ever)
{
    slot *found = find_slot(s, key);

    if (found == NULL)
        return false;
    if (found->used == 0)
        found->state = *peer->state;
    found->used = for_ever ? UINT64_MAX : bl_now_ms() + 1;
    peer->state = &found->state;
    return true;
}

bool bl_peers_share(bl_upstream_group *group, bl_peers *peers, bool for_ever)
{
    shared *s = group->zone->memory;
    bool all = true;

    peers->lock = &s->lock;
    bl_peers_lock(peers);
    for (int i = 0; i < peers->count; i++) {
        bl_peer *peer = &peers->all[i];
        all &= share_one(s, key_of(group, peer, nth_of(peers, i)), peer, for_ever);
    }
    bl_peers_unlock(peers);
    return all;
}

bool bl_peers_zone_init(bl_zone *zone, void *before BL_UNUSED)
{
    shared *s = zone->memory;

    bl_rlock_init(&s->lock);
    s->count = (zone->size - sizeof *s) / sizeof s->slots[0];
    for (bl_upstream_group *g = zone->data; g; g = g->next_in_zone) {
        if (bl_peers_share(g, g->peers, true))
            continue;
        bl_log_write(BL_LOG_EMERG, &bl_log_process, 0, "zone \"%.*s\" is too small",
                     BL_STR_ARG(zone->name));
        return false;
    }
    return true;
}
