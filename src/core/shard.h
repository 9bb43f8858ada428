/* How a dictionary works inside: private to dict*.c and shard*.c.
 *
 *     zone  | bl_dict | shards | bl_slab, page table | hash index | pages of 4 KB ...           |
 *
 *     shard 0   index [ . . o . . . o . ]    each slot begins a chain of entries
 *                           |       |
 *                          key     key <-> lru <-> key <-> key     a ring, oldest to newest
 *
 * A key's hash picks a shard; a shard is a lock, a part of the index, an LRU ring and a heap of the
 * slab (slab.h). Zones below 4 MB have one shard, larger ones up to 16. Memory is not divided among
 * shards: each takes pages as it needs them. The index has a slot for each 128 bytes of the zone,
 * so that chains stay short, nothing is ever rehashed, and readers need not follow a moving table.
 *
 * Writers hold the shard's lock. Readers hold nothing: a shard's `seq` is odd while what a reader
 * can reach is being unlinked or overwritten and has moved on afterwards, so a reader looks,
 * copies, and believes what it saw only if `seq` is even and still the same. While it looks, memory
 * may be anything: places are checked against the zone's end, chains are followed for a bounded
 * number of steps. After some failed tries a reader takes the lock, which also gets it past a dead
 * writer. An entry becomes visible by one store to its chain, so adding one disturbs no reader; nor
 * does incr.
 *
 * LRU. A shard's clock ticks with each entry stored. Whoever uses an entry stamps it with the clock
 * and does not move it in the ring; only the eviction of an entry that was stamped since it got its
 * place moves it to where its stamp belongs (looking for that up to LRU_STEPS from either end). In
 * a dictionary with one shard reads tick too, and the order is exact; in larger ones it is exact
 * between two stores in the same shard, and each shard evicts its own. A reader's stamp is a
 * compare-and-swap of stamp and hash at once: should the entry have been freed since, and its
 * memory be another's, the swap fails, because the hash is keyed with a secret of the zone.
 *
 * Short of memory: expired entries of the shard first (all of them in a small shard, else some
 * SWEEP_SLOTS further slots each time), then the ring's oldest, a few dozen (in a zone with one
 * shard, for each page wanted); then every entry on the page of the oldest one. If the shard can't
 * help itself, or the value is large and the neighbouring pages belong to others, the operation
 * starts over with all shards locked, in order, and clears the run of pages that the fewest entries
 * stand on.
 *
 * Death. An entry's tag is set last when it is stored, and cleared first when it is overwritten or
 * removed; a list's nodes are reached only from it, and each change of a list is one store to the
 * chain of `next` (shard_rebuild.c). All else is derived: whoever finds the lock orphaned rebuilds
 * index, ring, lists and heap from the chunks with a tag. The first page of each shard holds the
 * ring's head, as a chunk, and so is never given away: a zone full of large values still takes
 * small ones.
 *
 * Sizes. The head of an entry is 64 bytes, a cache line. A zone has at least two pages of its own
 * besides the shards' first ones, which leaves a zone of a few pages as many as programs that were
 * tuned for OpenResty expect; those also get chunks in powers of two only, see slab.h. */
#ifndef BL_CORE_SHARD_H
#define BL_CORE_SHARD_H

#include "core/dict.h"
#include "core/slab.h"

enum {
    BL_SHARD_MAX = 16,

    BL_TAG_ENTRY = 0x456e7472, /* tags of chunks: a whole entry */
    BL_TAG_NODE = 0x4e6f6465,  /* a whole node of a list */
    BL_TAG_LOST = 0x4c6f7374,  /* a node that a rebuild has not reached yet */
    BL_TAG_RING = 0x52696e67,  /* the head of a shard's LRU ring */
};

typedef struct bl_entry {
    uint32_t tag;
    bl_ref next;      /* in the chain */
    uint64_t mark;    /* hash in the high half, stamp of the last use in the low one */
    uint64_t expires; /* a time, or 0 */
    uint64_t number;  /* the bits of a double */
    uint32_t size;    /* bytes of a string, values in a list */
    uint32_t flags;
    bl_ref newer; /* in the ring */
    bl_ref older;
    uint32_t placed; /* the stamp it had when it got its place in the ring */
    uint16_t key_size;
    uint8_t type;
    uint8_t spare;
    bl_ref first; /* of a list */
    bl_ref last;
    char data[]; /* the key, then a string */
} bl_entry;

#define BL_NODE_NUMBER (1u << 31)

typedef struct bl_node {
    uint32_t tag;
    bl_ref next;
    bl_ref prev;
    bl_ref owner;
    uint32_t size_type; /* bytes, and BL_NODE_NUMBER when they are a double */
    char data[];
} bl_node;

typedef struct bl_shard {
    bl_rlock lock;
    bl_slab_heap heap;
    uint64_t soonest;       /* no entry expires before */
    uint64_t swept_soonest; /* the same of what the sweep has seen since it began at slot 0 */
    uint32_t sweep_slot;
    uint32_t count;
    bl_ref ring;

    _Alignas(64) uint32_t seq; /* from here on, what readers look at */
    uint32_t clock;
    bl_ref *slots;
} bl_shard;

struct bl_dict {
    uint64_t magic;
    uint64_t size;
    uint64_t seed[2];
    bl_slab *slab; /* the zone has one address in all processes, so these may be pointers */
    uint64_t span; /* bytes from the slab to the end of the zone */
    uint32_t shard_bits;
    uint32_t slot_mask; /* slots of a shard, less 1 */
    size_t largest;     /* bytes of the largest chunk that an empty dictionary can hold */
    _Alignas(64) bl_shard shards[];
};

#define BL_DICT_MAGIC UINT64_C(0x7368617265644463)

/* What an operation that may need memory knows, see bl_shard_obtain. */
typedef struct bl_need {
    uint64_t now;
    bl_entry *keep; /* an entry not to evict, or NULL */
    bool all;       /* holds the locks of all shards, not only its own */
    bool evict;     /* may evict what has not expired */
    bool blocked;   /* out: wants to be called again with all locks */
    bool forcible;  /* out: evicted something that had not expired */
} bl_need;

uint64_t bl_shard_hash(const bl_dict *dict, bl_str key);

static inline uint32_t bl_dict_shards(const bl_dict *dict)
{
    return 1u << dict->shard_bits;
}

static inline bl_shard *bl_shard_of(bl_dict *dict, uint64_t hash)
{
    return &dict->shards[(hash & 0xffff) >> (16 - dict->shard_bits)];
}

/* The slot of a hash, or of an entry's mark. */
static inline bl_ref *bl_shard_slot(const bl_dict *dict, const bl_shard *shard, uint64_t hash)
{
    return &shard->slots[(hash >> 32) & dict->slot_mask];
}

static inline bl_entry *bl_shard_entry(const bl_dict *dict, bl_ref ref)
{
    return bl_slab_at(dict->slab, ref);
}

static inline bl_node *bl_shard_node(const bl_dict *dict, bl_ref ref)
{
    return bl_slab_at(dict->slab, ref);
}

static inline bool bl_entry_expired(const bl_entry *entry, uint64_t now)
{
    uint64_t expires = __atomic_load_n(&entry->expires, __ATOMIC_RELAXED);

    return expires != 0 && expires <= now;
}

static inline uint64_t bl_double_bits(double number)
{
    uint64_t bits;

    memcpy(&bits, &number, sizeof(bits));
    return bits;
}

static inline double bl_double_of(uint64_t bits)
{
    double number;

    memcpy(&number, &bits, sizeof(number));
    return number;
}

static inline size_t bl_entry_size(size_t key, size_t value)
{
    return sizeof(bl_entry) + key + value;
}

/* Notes that an entry is used now; the caller holds the lock. */
static inline void bl_shard_use(bl_shard *shard, bl_entry *entry)
{
    uint32_t clock = __atomic_load_n(&shard->clock, __ATOMIC_RELAXED) + 1;
    uint64_t mark = __atomic_load_n(&entry->mark, __ATOMIC_RELAXED);

    __atomic_store_n(&shard->clock, clock, __ATOMIC_RELAXED);
    __atomic_store_n(&entry->mark, (mark >> 32) << 32 | clock, __ATOMIC_RELAXED);
}

/* Around what would mislead a reader; the caller holds the lock. */
static inline void bl_shard_write_begin(bl_shard *shard)
{
    __atomic_store_n(&shard->seq, shard->seq + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void bl_shard_write_end(bl_shard *shard)
{
    __atomic_store_n(&shard->seq, shard->seq + 1, __ATOMIC_RELEASE);
}

/* Makes a shard, of which anything may be half done, whole from its chunks. */
BL_COLD void bl_shard_rebuild(bl_dict *dict, bl_shard *shard);

/* Takes a shard's lock, or those of all in order, rebuilding what a dead owner left. */
static inline void bl_shard_lock(bl_dict *dict, bl_shard *shard)
{
    if (BL_UNLIKELY(bl_rlock_take(&shard->lock) == BL_RLOCK_ORPHANED)) {
        bl_shard_rebuild(dict, shard);
        bl_rlock_heal(&shard->lock);
    }
}

static inline void bl_shard_unlock(bl_shard *shard)
{
    bl_rlock_drop(&shard->lock);
}

void bl_shard_lock_all(bl_dict *dict);
void bl_shard_unlock_all(bl_dict *dict);

/* The entry of a key, or NULL; under the lock. */
static inline bl_entry *bl_shard_find(bl_dict *dict, bl_shard *shard, uint64_t hash, bl_str key)
{
    bl_ref ref = *bl_shard_slot(dict, shard, hash);

    while (ref != 0) {
        bl_entry *entry = bl_shard_entry(dict, ref);

        if (entry->mark >> 32 == hash >> 32 && entry->key_size == key.len &&
            memcmp(entry->data, key.p, key.len) == 0)
            return entry;
        ref = entry->next;
    }
    return NULL;
}

/* Commits a written entry and makes it visible, as the newest. */
void bl_shard_insert(bl_dict *dict, bl_shard *shard, bl_entry *entry, uint64_t hash);

/* Makes an entry visible, without its tag and its place in the ring. */
void bl_shard_index(bl_dict *dict, bl_shard *shard, bl_entry *entry);

/* Removes an entry, with a list's nodes, and frees it. */
void bl_shard_remove(bl_dict *dict, bl_shard *shard, bl_entry *entry);

/* Frees the nodes of a list that is not committed any more. */
void bl_shard_free_list(bl_dict *dict, bl_shard *shard, const bl_entry *entry);

/* Lets an entry expire at a time, or never (0). */
void bl_shard_set_expiry(bl_shard *shard, bl_entry *entry, uint64_t expires);

/* Removes the expired entries of up to `slots` further slots, at most `max`; returns how many. */
uint64_t bl_shard_sweep(bl_dict *dict, bl_shard *shard, uint32_t slots, uint64_t max, uint64_t now);

/* A torn chunk of `size` bytes, making room as `need` allows, or NULL. */
void *bl_shard_obtain(bl_dict *dict, bl_shard *shard, size_t size, bl_need *need);

/* Puts an entry in the ring as the newest. */
void bl_shard_ring_add(bl_dict *dict, bl_shard *shard, bl_entry *entry);

/* What is wrong with a key: EMPTY_KEY, LONG_KEY, or OK. */
static inline bl_dict_result bl_dict_check_key(const bl_dict *dict, bl_str key)
{
    BL_CHECK(dict, BL_DICT_MAGIC);
    if (BL_UNLIKELY(key.len - 1 >= BL_DICT_KEY_MAX))
        return key.len == 0 ? BL_DICT_EMPTY_KEY : BL_DICT_LONG_KEY;
    return BL_DICT_OK;
}

/* A new entry's chunk with its key and nothing else, torn, or NULL. */
bl_entry *bl_shard_new_entry(bl_dict *dict, bl_shard *shard, bl_str key, size_t value_size,
                             bl_need *need);

#endif
