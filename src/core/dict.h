/* A dictionary in memory shared by processes: what lua_shared_dict gives. Keys are byte strings;
 * values are booleans, numbers, strings, or lists of numbers and strings, with 32 bits of user
 * flags and a time of expiry. The design is told in shard.h; what a caller may rely on is this:
 *
 *   - Each operation on a key is atomic; those on all keys (flush, keys) pass over the dictionary
 *     while others go on. One that fails has changed nothing (it may have freed expired entries).
 *   - A process may die in the middle of any of them, at any instruction: the others go on, and at
 *     most the entry that was being written is lost.
 *   - Readers take no lock and exclude nobody.
 *   - When memory is short, expired entries go first, then the least recently used. bl_dict_set,
 *     _add, _replace and _incr evict as many as it takes: they fail only for a value that would
 *     not fit an empty dictionary. The "safe" forms and the list operations evict nothing.
 *
 * Time is the caller's: `now` is any clock in milliseconds that all processes share and that does
 * not go back; `ttl` is in milliseconds from now, 0 for an entry that never expires. No function
 * here makes a system call except to wait for a lock. */
#ifndef BL_CORE_DICT_H
#define BL_CORE_DICT_H

#include "core/base.h"
#include "core/str.h"

enum {
    BL_DICT_KEY_MAX = 65535, /* bytes */
    BL_DICT_SIZE_MIN = 8192, /* of a zone */
};

typedef struct bl_dict bl_dict;

typedef enum bl_dict_type {
    BL_DICT_NIL,
    BL_DICT_BOOLEAN,
    BL_DICT_NUMBER,
    BL_DICT_STRING,
    BL_DICT_LIST, /* only ever reported, never set */
} bl_dict_type;

typedef struct bl_dict_value {
    bl_dict_type type;
    uint32_t flags;
    double number; /* of a number; of a boolean, 0 or 1 */
    bl_str str;    /* of a string */
} bl_dict_value;

typedef enum bl_dict_result {
    BL_DICT_OK,
    BL_DICT_NOT_FOUND,
    BL_DICT_EXISTS,
    BL_DICT_NO_MEMORY,
    BL_DICT_NOT_NUMBER,
    BL_DICT_NOT_LIST,
    BL_DICT_IS_LIST,
    BL_DICT_BAD_TYPE,
    BL_DICT_NIL_VALUE,
    BL_DICT_EMPTY_KEY,
    BL_DICT_LONG_KEY,
    BL_DICT_SMALL_BUFFER, /* the caller's buffer is too small; value->str.len says what it takes */
    BL_DICT_CHANGED,      /* it is not what was expected (bl_dict_swap) */
    BL_DICT_RESULTS,
} bl_dict_result;

/* The words OpenResty's programs compare: "not found", "no memory", ... */
const char *bl_dict_error(bl_dict_result result);

/* Makes a dictionary of `size` zero-filled bytes at `memory`, which is page-aligned and shared. The
 * result is the same address; it serves every process that has the memory mapped there. Returns
 * NULL when `size` is below BL_DICT_SIZE_MIN or above 32 GB. */
bl_dict *bl_dict_create(void *memory, size_t size);

/* Reads a value. A string is copied to the `room` bytes at `buffer` and value->str is set to it.
 * OK, NOT_FOUND, IS_LIST, SMALL_BUFFER or a complaint about the key. */
bl_dict_result bl_dict_get(bl_dict *dict, bl_str key, uint64_t now, char *buffer, size_t room,
                           bl_dict_value *value);

/* The same, but an expired entry that is still there is found; `stale` says whether it was one. */
bl_dict_result bl_dict_get_stale(bl_dict *dict, bl_str key, uint64_t now, char *buffer, size_t room,
                                 bl_dict_value *value, bool *stale);

/* Stores a value: always, only where there is none, or only where there is one. To set nil is to
 * delete. `forcible`, unless NULL, tells whether entries that had not expired were evicted; with
 * NO_MEMORY nothing was, and it tells whether there were any. OK, EXISTS (add), NOT_FOUND
 * (replace), NO_MEMORY, BAD_TYPE, NIL_VALUE (add, replace) or a complaint about the key. */
bl_dict_result bl_dict_set(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                           uint64_t now, bool *forcible);
bl_dict_result bl_dict_add(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                           uint64_t now, bool *forcible);
bl_dict_result bl_dict_replace(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                               uint64_t now, bool *forcible);
bl_dict_result bl_dict_safe_set(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                                uint64_t now);
bl_dict_result bl_dict_safe_add(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                                uint64_t now);

/* Removes an entry, if there is one: OK, or a complaint about the key. */
bl_dict_result bl_dict_delete(bl_dict *dict, bl_str key);

/* Adds `by` to a number. Where there is none and `init` is not NULL, stores *init + by with
 * `init_ttl`. *result is the new number. OK, NOT_FOUND, NOT_NUMBER, NO_MEMORY or a complaint. */
bl_dict_result bl_dict_incr(bl_dict *dict, bl_str key, double by, const double *init,
                            uint64_t init_ttl, uint64_t now, double *result, bool *forcible);

/* The same, and whenever it succeeds the number lives `ttl` from now, 0 for ever. */
bl_dict_result bl_dict_incr_ttl(bl_dict *dict, bl_str key, double by, const double *init,
                                uint64_t ttl, uint64_t now, double *result, bool *forcible);

/* Compare and set: stores `value` if what is there equals `expected` in type and bytes; nil stands
 * for nothing, in either. Flags are not compared. OK, CHANGED, NO_MEMORY, BAD_TYPE or a complaint
 * about the key. */
bl_dict_result bl_dict_swap(bl_dict *dict, bl_str key, const bl_dict_value *expected,
                            const bl_dict_value *value, uint64_t ttl, uint64_t now, bool *forcible);

/* Puts a number or a string at the left or right end of a list, which begins with its first value.
 * *length is that of the list then. OK, NOT_LIST, BAD_TYPE, NO_MEMORY or a complaint. */
bl_dict_result bl_dict_lpush(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t now,
                             uint32_t *length);
bl_dict_result bl_dict_rpush(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t now,
                             uint32_t *length);

/* Takes the value at an end; a list vanishes with its last one. OK, NOT_FOUND, NOT_LIST,
 * SMALL_BUFFER (nothing is taken) or a complaint. */
bl_dict_result bl_dict_lpop(bl_dict *dict, bl_str key, uint64_t now, char *buffer, size_t room,
                            bl_dict_value *value);
bl_dict_result bl_dict_rpop(bl_dict *dict, bl_str key, uint64_t now, char *buffer, size_t room,
                            bl_dict_value *value);

/* The length of a list, 0 where there is none. OK, NOT_LIST or a complaint. */
bl_dict_result bl_dict_llen(bl_dict *dict, bl_str key, uint64_t now, uint32_t *length);

/* Milliseconds an entry has to live; 0 when it never expires. OK, NOT_FOUND or a complaint. */
bl_dict_result bl_dict_ttl(bl_dict *dict, bl_str key, uint64_t now, uint64_t *ttl);

/* Lets an entry expire `ttl` from now, or never. OK, NOT_FOUND or a complaint. */
bl_dict_result bl_dict_expire(bl_dict *dict, bl_str key, uint64_t ttl, uint64_t now);

/* Marks all entries as expired that were there when it was called. Their memory is not freed. */
void bl_dict_flush_all(bl_dict *dict);

/* Frees expired entries, at most `max` unless it is 0; returns how many. */
uint64_t bl_dict_flush_expired(bl_dict *dict, uint64_t max, uint64_t now);

/* Calls `visit` with each key that has not expired, at most `max` unless it is 0, in no order. It
 * is called with no lock held, may use the dictionary, and returns false to stop. A key that is
 * there all the while is visited once. */
typedef bool bl_dict_visit(void *arg, bl_str key);
void bl_dict_keys(bl_dict *dict, uint64_t max, uint64_t now, bl_dict_visit *visit, void *arg);

/* The same in parts: goes on at `cursor` (0: from the start) and ends some time after `max` keys.
 * Returns where to go on, 0 when all has been seen. */
uint64_t bl_dict_scan(bl_dict *dict, uint64_t cursor, uint64_t max, uint64_t now,
                      bl_dict_visit *visit, void *arg);

/* Stores all that has not expired in another dictionary, the least recently used of each shard
 * first; when it is full, what was stored first goes. Nobody waits for long: entries are locked one
 * at a time, and what is written meanwhile is copied, or not. */
void bl_dict_copy(bl_dict *from, bl_dict *to, uint64_t now);

/* What is in it: values that have not expired, and the bytes that entries occupy, expired ones too,
 * with what is lost to the sizes of chunks. Counted by going over all of it. */
typedef struct bl_dict_usage {
    uint64_t entries;
    uint64_t expired;
    uint64_t used;  /* bytes of entries */
    uint64_t pages; /* bytes that there are for entries */
    uint64_t free;  /* of these, in wholly free pages */
} bl_dict_usage;
void bl_dict_measure(bl_dict *dict, uint64_t now, bl_dict_usage *usage);

/* The size it was made with. */
size_t bl_dict_capacity(const bl_dict *dict);

/* Bytes in wholly free pages. There may be room in pages that are partly used, too. */
size_t bl_dict_free_space(const bl_dict *dict);

/* Stops all writers and walks everything. Returns NULL, or the first inconsistency. For tests. */
const char *bl_dict_verify(bl_dict *dict);

#endif
