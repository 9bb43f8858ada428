/* A dictionary whose users die. Two proofs:
 *
 *   - At every instruction: a child is traced through one operation, step by step. After each step
 *     the zone is saved, its locks are marked as the kernel marks those of a dead owner, and this
 *     process goes on with it: it must be whole, hold all that the operation does not touch, and
 *     take writes. Then the zone is put back and the child takes its next step.
 *   - In the field: processes hammer a zone and are killed at random and replaced.
 *     BL_HAMMER_SECONDS says for how long (3). */
#include "unit.h"
#include "core/dict.h"
#include "core/shard.h"
#include "os/shm.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ck_assert makes a system call each time, which is too much for what runs at every step. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

#ifdef __SANITIZE_ADDRESS__
#define LEAST   20
#define STRIDES 3 /* there are so many more instructions, and each is so much slower */
#elif defined(__SANITIZE_THREAD__)
#define LEAST   0
#define STRIDES 1000 /* no threads here: a look is enough */
#else
#define LEAST   20
#define STRIDES 1
#endif

enum {
    NOW = 1000,
    ROOM = 64 << 10,
};

static char buffer[ROOM], filler[ROOM];

static bl_str name_of(const char *prefix, int i)
{
    static char name[64];

    return bl_str_of(name, (size_t)snprintf(name, sizeof(name), "%s%d", prefix, i));
}

static bl_dict_result set(bl_dict *dict, bl_str key, size_t size)
{
    bl_dict_value v = {.type = BL_DICT_STRING, .str = bl_str_of(filler, size)};

    return bl_dict_set(dict, key, &v, 0, NOW, NULL);
}

/* The size of a string; -1 where there is none. */
static int size_of(bl_dict *dict, bl_str key)
{
    bl_dict_value v;

    if (bl_dict_get(dict, key, NOW, buffer, ROOM, &v) != BL_DICT_OK)
        return -1;
    MUST(v.type == BL_DICT_STRING);
    MUST(memcmp(v.str.p, filler, v.str.len) == 0);
    return (int)v.str.len;
}

/* ---- at every instruction ---- */

typedef struct scenario {
    const char *name;
    size_t zone;
    void (*prepare)(bl_dict *dict);
    void (*act)(bl_dict *dict);
    void (*judge)(bl_dict *dict); /* what must hold at whatever step it died */
    unsigned stride;
} scenario;

static void mark_orphan(bl_rlock *lock)
{
    int *word = &lock->mutex.__data.__lock;

    if (*word & FUTEX_TID_MASK)
        *word = FUTEX_OWNER_DIED;
}

static void mark_orphans(bl_dict *dict)
{
    uint32_t i;

    mark_orphan(&dict->slab->lock);
    for (i = 0; i < bl_dict_shards(dict); i++)
        mark_orphan(&dict->shards[i].lock);
}

static void die_here(const scenario *s, bl_dict *dict, char *saved)
{
    int i;

    memcpy(saved, dict, s->zone);
    mark_orphans(dict);
    MUST(!bl_dict_verify(dict));
    s->judge(dict);
    for (i = 0; i < 4; i++)
        MUST(set(dict, name_of("after", i), (size_t)i * 700) == BL_DICT_OK);
    MUST(size_of(dict, name_of("after", 3)) == 2100);
    MUST(!bl_dict_verify(dict));
    memcpy(dict, saved, s->zone);
}

static pid_t start_traced(const scenario *s, bl_dict *dict, volatile bool *done)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(77);
        raise(SIGSTOP);
        s->act(dict);
        *done = true;
        raise(SIGSTOP);
        _exit(0);
    }
    return pid;
}

/* Lets the traced child go `count` instructions. */
static void go(pid_t pid, unsigned count)
{
    int status;

    while (count-- > 0) {
        MUST(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
        MUST(waitpid(pid, &status, 0) == pid);
        MUST(WIFSTOPPED(status));
    }
}

static void run_scenario(const scenario *s)
{
    bl_dict *dict = bl_dict_create(bl_shm_map(s->zone), s->zone);
    volatile bool *done = bl_shm_map(sizeof(bool));
    char *saved = malloc(s->zone);
    int status, steps = 0;
    pid_t pid;

    s->prepare(dict);
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
    pid = start_traced(s, dict, done);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSTOPPED(status), "this system does not let a process trace its child");
    for (; !*done; steps++) {
        die_here(s, dict, saved);
        go(pid, s->stride * STRIDES);
    }
    ck_assert_int_gt(steps, LEAST);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    free(saved);
    bl_shm_unmap(dict, s->zone);
}

static void prepare_some(bl_dict *dict)
{
    bl_dict_value v = {.type = BL_DICT_NUMBER, .number = 5}, s = {.type = BL_DICT_STRING};
    uint32_t length;
    int i;

    for (i = 0; i < 8; i++)
        set(dict, name_of("k", i), (size_t)i * 100);
    set(dict, BL_STR("large"), 9000);
    bl_dict_set(dict, BL_STR("number"), &v, 0, NOW, NULL);
    for (i = 0; i < 3; i++) {
        v.number = i;
        bl_dict_rpush(dict, BL_STR("list"), &v, NOW, &length);
    }
    s.str = bl_str_of(filler, 3000);
    bl_dict_rpush(dict, BL_STR("list"), &s, NOW, &length);
}

static void check_others(bl_dict *dict)
{
    int i;

    for (i = 0; i < 8; i++)
        if (i != 3)
            MUST(size_of(dict, name_of("k", i)) == i * 100);
}

/* What the operations on one key may leave of it. */
static void judge_k3(bl_dict *dict)
{
    int size = size_of(dict, BL_STR("k3"));

    check_others(dict);
    MUST(size == 300 || size == 301 || size == 2500 || size == -1);
    MUST(size_of(dict, BL_STR("large")) == 9000);
}

static void judge_new(bl_dict *dict)
{
    int size = size_of(dict, BL_STR("new"));

    judge_k3(dict);
    MUST(size == -1 || size == 40 || size == 2200 || size == 1000);
}

static void judge_large(bl_dict *dict)
{
    int size = size_of(dict, BL_STR("large"));

    check_others(dict);
    MUST(size == -1 || size == 9000);
}

static void judge_number(bl_dict *dict)
{
    bl_dict_value v;

    judge_k3(dict);
    MUST(bl_dict_get(dict, BL_STR("number"), NOW, buffer, ROOM, &v) == BL_DICT_OK);
    MUST(v.number == 5 || v.number == 6);
}

/* The list 0 1 2 S, with an end taken off or an x put on: a run of these in order. */
static void judge_list(bl_dict *dict)
{
    uint32_t length = 0, popped = 0;
    double last = -2;
    bl_dict_value v;

    judge_k3(dict);
    MUST(bl_dict_llen(dict, BL_STR("list"), NOW, &length) == BL_DICT_OK);
    MUST(length >= 3 && length <= 5);
    while (bl_dict_lpop(dict, BL_STR("list"), NOW, buffer, ROOM, &v) == BL_DICT_OK) {
        if (v.type == BL_DICT_STRING)
            v.number = v.str.len == 3000 ? 3 : 99;
        MUST(v.number == last + 1 || last == -2);
        last = v.number;
        popped++;
    }
    MUST(popped == length);
}

static void judge_fresh_list(bl_dict *dict)
{
    uint32_t length = 0;

    judge_list(dict);
    MUST(bl_dict_llen(dict, BL_STR("fresh"), NOW, &length) == BL_DICT_OK);
    MUST(length <= 1);
}

static void judge_overwritten_list(bl_dict *dict)
{
    bl_dict_value v;
    bl_dict_result result = bl_dict_get(dict, BL_STR("list"), NOW, buffer, ROOM, &v);

    judge_k3(dict);
    MUST(result == BL_DICT_NOT_FOUND || result == BL_DICT_IS_LIST ||
         (result == BL_DICT_OK && v.str.len <= 500));
}

static void push_number(bl_dict *dict, bl_str key, double n, bool left)
{
    bl_dict_value v = {.type = BL_DICT_NUMBER, .number = n};
    uint32_t length;

    (left ? bl_dict_lpush : bl_dict_rpush)(dict, key, &v, NOW, &length);
}

static void act_set_new(bl_dict *dict)
{
    set(dict, BL_STR("new"), 40);
}

static void act_set_new_run(bl_dict *dict)
{
    set(dict, BL_STR("new"), 2200);
}

static void act_set_in_place(bl_dict *dict)
{
    set(dict, BL_STR("k3"), 301);
}

static void act_set_elsewhere(bl_dict *dict)
{
    set(dict, BL_STR("k3"), 2500);
}

static void act_delete(bl_dict *dict)
{
    bl_dict_delete(dict, BL_STR("k3"));
}

static void act_delete_run(bl_dict *dict)
{
    bl_dict_delete(dict, BL_STR("large"));
}

static void act_incr(bl_dict *dict)
{
    double result;

    bl_dict_incr(dict, BL_STR("number"), 1, NULL, 0, NOW, &result, NULL);
}

static void act_incr_ttl(bl_dict *dict)
{
    double result;

    bl_dict_incr_ttl(dict, BL_STR("number"), 1, NULL, 1000, NOW, &result, NULL);
}

static void act_lpush(bl_dict *dict)
{
    push_number(dict, BL_STR("list"), -1, true);
}

static void act_rpush(bl_dict *dict)
{
    push_number(dict, BL_STR("list"), 4, false);
}

static void act_push_fresh(bl_dict *dict)
{
    push_number(dict, BL_STR("fresh"), 1, false);
}

static void act_lpop(bl_dict *dict)
{
    bl_dict_value v;

    bl_dict_lpop(dict, BL_STR("list"), NOW, buffer, ROOM, &v);
}

static void act_rpop(bl_dict *dict)
{
    bl_dict_value v;

    bl_dict_rpop(dict, BL_STR("list"), NOW, buffer, ROOM, &v);
}

static void act_overwrite_list(bl_dict *dict)
{
    set(dict, BL_STR("list"), 20);
    set(dict, BL_STR("list"), 500);
}

static void act_flush(bl_dict *dict)
{
    bl_dict_flush_all(dict);
    bl_dict_flush_expired(dict, 0, NOW);
}

static void prepare_dirty(bl_dict *dict)
{
    prepare_some(dict);
    set(dict, BL_STR("dirty"), 20000);
    bl_dict_delete(dict, BL_STR("dirty"));
}

static void act_cut_dirty(bl_dict *dict)
{
    set(dict, BL_STR("new"), 1000);
}

static void act_delete_list(bl_dict *dict)
{
    bl_dict_delete(dict, BL_STR("list"));
}

/* All of it or nothing. */
static void judge_deleted_list(bl_dict *dict)
{
    uint32_t length = 0;

    judge_k3(dict);
    MUST(bl_dict_llen(dict, BL_STR("list"), NOW, &length) == BL_DICT_OK);
    MUST(length == 4 || length == 0);
}

static void prepare_shards(bl_dict *dict)
{
    int i;

    for (i = 0; i < 1200; i++)
        set(dict, name_of("fill", i), 3500);
}

static void act_clear_window(bl_dict *dict)
{
    set(dict, BL_STR("large"), 20000);
}

static void judge_nothing(bl_dict *dict BL_UNUSED)
{
}

static void prepare_full(bl_dict *dict)
{
    bl_dict_value v = {.type = BL_DICT_STRING, .str = bl_str_of(filler, 70)};
    int i;

    prepare_some(dict);
    for (i = 0; bl_dict_safe_set(dict, name_of("fill", i), &v, 0, NOW) == BL_DICT_OK; i++)
        ;
}

static void act_evict(bl_dict *dict)
{
    set(dict, BL_STR("new"), 40);
    set(dict, BL_STR("larger"), 14000);
}

/* The owner before died while it wrote, with both locks. */
static void act_rebuild(bl_dict *dict)
{
    dict->shards[0].lock.mutex.__data.__lock = FUTEX_OWNER_DIED;
    __atomic_add_fetch(&dict->shards[0].seq, 1, __ATOMIC_SEQ_CST);
    dict->slab->lock.mutex.__data.__lock = FUTEX_OWNER_DIED;
    bl_dict_delete(dict, BL_STR("k3"));
}

static void judge_rebuilt(bl_dict *dict)
{
    judge_number(dict);
    judge_list(dict);
}

static const scenario scenarios[] = {
    {"set", 80 << 10, prepare_some, act_set_new, judge_new, 1},
    {"set a run", 80 << 10, prepare_some, act_set_new_run, judge_new, 1},
    {"set in place", 80 << 10, prepare_some, act_set_in_place, judge_k3, 1},
    {"set elsewhere", 80 << 10, prepare_some, act_set_elsewhere, judge_k3, 1},
    {"delete", 80 << 10, prepare_some, act_delete, judge_k3, 1},
    {"delete a run", 80 << 10, prepare_some, act_delete_run, judge_large, 1},
    {"incr", 80 << 10, prepare_some, act_incr, judge_number, 1},
    {"incr with a time", 80 << 10, prepare_some, act_incr_ttl, judge_number, 1},
    {"lpush", 80 << 10, prepare_some, act_lpush, judge_list, 1},
    {"rpush", 80 << 10, prepare_some, act_rpush, judge_list, 1},
    {"push to none", 80 << 10, prepare_some, act_push_fresh, judge_fresh_list, 1},
    {"lpop", 80 << 10, prepare_some, act_lpop, judge_list, 1},
    {"rpop", 80 << 10, prepare_some, act_rpop, judge_list, 1},
    {"overwrite a list", 80 << 10, prepare_some, act_overwrite_list, judge_overwritten_list, 1},
    {"delete a list", 80 << 10, prepare_some, act_delete_list, judge_deleted_list, 1},
    {"cut a page", 80 << 10, prepare_dirty, act_cut_dirty, judge_new, 1},
    {"clear a window", 4 << 20, prepare_shards, act_clear_window, judge_nothing, 401},
    {"flush", 80 << 10, prepare_some, act_flush, judge_nothing, 11},
    {"evict", 48 << 10, prepare_full, act_evict, judge_nothing, 7},
    {"rebuild", 80 << 10, prepare_some, act_rebuild, judge_rebuilt, 5},
};

START_TEST(death_at_any_instruction)
{
    run_scenario(&scenarios[_i]);
}
END_TEST

/* ---- in the field ---- */

enum {
    HAMMERS = 4,
    HAMMER_KEYS = 3000,
};

static uint32_t random_of(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* A value says whose it is and how long, and its other bytes follow from that. */
static size_t forge(char *to, uint32_t key, uint32_t salt, size_t size)
{
    uint32_t head[3] = {key, salt, (uint32_t)size}, state = key * 2654435761u ^ salt ^ 1;
    size_t i;

    memcpy(to, head, sizeof(head));
    state |= 1;
    for (i = sizeof(head); i < size; i++)
        to[i] = (char)random_of(&state);
    return size;
}

static bool genuine(bl_str value, uint32_t key)
{
    static char expected[ROOM];
    uint32_t head[3];

    if (value.len < sizeof(head))
        return false;
    memcpy(head, value.p, sizeof(head));
    if (head[0] != key || head[2] != value.len)
        return false;
    forge(expected, key, head[1], value.len);
    return memcmp(expected, value.p, value.len) == 0;
}

static bl_str hammer_key(char *to, uint32_t key)
{
    return bl_str_of(to, (size_t)snprintf(to, 64, "%0*u", 4 + (int)(key % 40), key));
}

/* Whether what the dictionary has under a key is what could have been put there. */
static bool check_key(bl_dict *dict, uint32_t key, uint64_t now)
{
    char name[64];
    bl_dict_value v;

    switch (bl_dict_get(dict, hammer_key(name, key), now, buffer, ROOM, &v)) {
    case BL_DICT_NOT_FOUND:
    case BL_DICT_IS_LIST:
        return true;
    case BL_DICT_OK:
        return v.type == BL_DICT_NUMBER || genuine(v.str, key);
    default:
        return false;
    }
}

static bool hammer_list(bl_dict *dict, bl_str key, uint32_t id, uint32_t dice, uint64_t now)
{
    static char made[ROOM];
    bl_dict_value v = {.type = BL_DICT_STRING};
    uint32_t length;

    v.str = bl_str_of(made, forge(made, id, dice, 12 + dice % 100));
    switch (dice % 4) {
    case 0:
        bl_dict_lpush(dict, key, &v, now, &length);
        return true;
    case 1:
        bl_dict_rpush(dict, key, &v, now, &length);
        return true;
    case 2:
        return bl_dict_lpop(dict, key, now, buffer, ROOM, &v) != BL_DICT_OK || genuine(v.str, id);
    default:
        return bl_dict_rpop(dict, key, now, buffer, ROOM, &v) != BL_DICT_OK || genuine(v.str, id);
    }
}

static bool hammer_once(bl_dict *dict, uint32_t *state, uint64_t now)
{
    static char made[ROOM];
    uint32_t id = random_of(state) % HAMMER_KEYS, dice = random_of(state);
    size_t size = 12 + dice % (dice % 64 ? 400 : 20000);
    char name[64];
    bl_str key = hammer_key(name, id);
    bl_dict_value v = {.type = BL_DICT_STRING};
    double init = 0, result;

    switch (random_of(state) % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        v.str = bl_str_of(made, forge(made, id, dice, size));
        return bl_dict_set(dict, key, &v, dice % 3 ? 0 : 5, now, NULL) == BL_DICT_OK;
    case 5:
        bl_dict_delete(dict, key);
        return true;
    case 6:
        bl_dict_incr(dict, key, 1, &init, 0, now, &result, NULL);
        return true;
    case 7:
    case 8:
    case 9:
        return hammer_list(dict, key, id, dice, now);
    case 10:
        if (dice % 1024 == 0)
            bl_dict_flush_all(dict);
        bl_dict_flush_expired(dict, dice % 8 + 1, now);
        return true;
    default:
        return check_key(dict, id, now);
    }
}

static pid_t start_hammer(bl_dict *dict, uint32_t seed, volatile int *bad)
{
    uint32_t state = seed * 2654435761u | 1;
    uint64_t now = 1000;
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    for (;; now++)
        if (!hammer_once(dict, &state, now / 64))
            ++*bad;
}

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int hammer_seconds(void)
{
    const char *asked = getenv("BL_HAMMER_SECONDS");

    return asked ? atoi(asked) : 3;
}

/* Kills and replaces processes at random until the time is up; returns how many died. */
static int hammer_and_kill(bl_dict *dict, volatile int *bad, double until)
{
    pid_t pids[HAMMERS];
    uint32_t state = (uint32_t)getpid() | 1, seed = state;
    int i, deaths = 0;

    for (i = 0; i < HAMMERS; i++)
        pids[i] = start_hammer(dict, seed++, bad);
    while (seconds() < until) {
        i = (int)(random_of(&state) % HAMMERS);
        usleep(200 + random_of(&state) % 3000);
        kill(pids[i], SIGKILL);
        ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
        pids[i] = start_hammer(dict, seed++, bad);
        deaths++;
    }
    for (i = 0; i < HAMMERS; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    return deaths;
}

static void hammer(size_t zone, double time)
{
    bl_dict *dict = bl_dict_create(bl_shm_map(zone), zone);
    volatile int *bad = bl_shm_map(sizeof(int));
    double until = seconds() + time;
    int round = 0, deaths = 0;
    uint32_t i;

    while (seconds() < until) {
        deaths += hammer_and_kill(dict, bad, BL_MIN(until, seconds() + 0.5));
        ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
        ck_assert_int_eq(*bad, 0);
        for (i = 0; i < HAMMER_KEYS; i++)
            ck_assert(check_key(dict, i, 1));
        round++;
    }
    ck_assert_int_ge(deaths, round);
    ck_assert_int_gt(deaths, 10);
    for (i = 0; i < zone / 1024; i++)
        ck_assert_int_eq(set(dict, name_of("last", (int)i), 1500), BL_DICT_OK);
    ck_assert_int_eq(set(dict, BL_STR("large"), ROOM), BL_DICT_OK);
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
    bl_shm_unmap(dict, zone);
}

START_TEST(hammer_a_small_zone)
{
    hammer(200 << 10, hammer_seconds() / 2.0);
}
END_TEST

START_TEST(hammer_shards)
{
    hammer(8 << 20, hammer_seconds() / 4.0);
    hammer(4 << 20, hammer_seconds() / 4.0);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("dict_death");
    Suite *suite = suite_create("dict_death");
    SRunner *runner = srunner_create(suite);
    int failed;

    memset(filler, 'x', sizeof(filler));
    tcase_set_timeout(cases, 30 + hammer_seconds());
    tcase_add_loop_test(cases, death_at_any_instruction, 0, BL_COUNTOF(scenarios));
    tcase_add_test(cases, hammer_a_small_zone);
    tcase_add_test(cases, hammer_shards);
    suite_add_tcase(suite, cases);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
