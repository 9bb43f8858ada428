#include "unit.h"
#include "core/dict.h"
#include "os/shm.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char buffer[4 << 20];
static char filler[4 << 20];
static bl_dict_value got;

static bl_dict *make(size_t size)
{
    bl_dict *dict = bl_dict_create(bl_shm_map(size), size);

    ck_assert_ptr_nonnull(dict);
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
    return dict;
}

static bl_str key_of(const char *prefix, int i)
{
    static char name[1100];

    return bl_str_of(name, (size_t)snprintf(name, sizeof(name), "%s%d", prefix, i));
}

static bl_dict_value string(const char *s)
{
    return (bl_dict_value){.type = BL_DICT_STRING, .str = bl_str_c(s)};
}

static bl_dict_value bytes(size_t count)
{
    return (bl_dict_value){.type = BL_DICT_STRING, .str = bl_str_of(filler, count)};
}

static bl_dict_value number(double n)
{
    return (bl_dict_value){.type = BL_DICT_NUMBER, .number = n};
}

static bl_dict_result set(bl_dict *dict, bl_str key, bl_dict_value value, bool *forcible)
{
    return bl_dict_set(dict, key, &value, 0, 1000, forcible);
}

static bl_dict_result get(bl_dict *dict, const char *key, uint64_t now)
{
    return bl_dict_get(dict, bl_str_c(key), now, buffer, sizeof(buffer), &got);
}

static bool has(bl_dict *dict, const char *prefix, int i)
{
    return bl_dict_get(dict, key_of(prefix, i), 1000, buffer, sizeof(buffer), &got) == BL_DICT_OK;
}

/* The first i, from 1, at which setting PREFIXi does not go without force. */
static int fill(bl_dict *dict, const char *prefix, size_t size)
{
    bool forcible;
    int i = 0;

    do
        ck_assert_int_eq(set(dict, key_of(prefix, ++i), bytes(size), &forcible), BL_DICT_OK);
    while (!forcible);
    return i;
}

START_TEST(values_keep_their_type)
{
    bl_dict *dict = make(1 << 20);
    bl_dict_value truth = {.type = BL_DICT_BOOLEAN, .number = 1, .flags = 7};

    ck_assert_int_eq(get(dict, "a", 1), BL_DICT_NOT_FOUND);
    set(dict, BL_STR("a"), number(3.25), NULL);
    set(dict, BL_STR("b"), truth, NULL);
    set(dict, BL_STR("c"), string("cat"), NULL);
    set(dict, BL_STR("d"), string(""), NULL);
    ck_assert_int_eq(get(dict, "a", 1), BL_DICT_OK);
    ck_assert_int_eq(got.type, BL_DICT_NUMBER);
    ck_assert(got.number == 3.25);
    ck_assert_int_eq(get(dict, "b", 1), BL_DICT_OK);
    ck_assert_int_eq(got.type, BL_DICT_BOOLEAN);
    ck_assert(got.number == 1 && got.flags == 7);
    ck_assert_int_eq(get(dict, "c", 1), BL_DICT_OK);
    ck_assert_int_eq(got.type, BL_DICT_STRING);
    ck_assert(bl_str_eq(got.str, BL_STR("cat")));
    ck_assert_int_eq(get(dict, "d", 1), BL_DICT_OK);
    ck_assert_uint_eq(got.str.len, 0);
}
END_TEST

START_TEST(values_replace_each_other)
{
    bl_dict *dict = make(100 << 10);
    static const size_t sizes[] = {5, 12, 5, 3000, 9000, 9001, 1, 50000, 0};
    uint32_t length;
    size_t i;

    for (i = 0; i < BL_COUNTOF(sizes); i++) {
        ck_assert_int_eq(set(dict, BL_STR("k"), bytes(sizes[i]), NULL), BL_DICT_OK);
        ck_assert_int_eq(get(dict, "k", 1), BL_DICT_OK);
        ck_assert_uint_eq(got.str.len, sizes[i]);
        ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
    }
    set(dict, BL_STR("k"), number(1), NULL);
    ck_assert_int_eq(bl_dict_lpush(dict, BL_STR("k"), &got, 1, &length), BL_DICT_NOT_LIST);
    ck_assert_int_eq(bl_dict_delete(dict, BL_STR("k")), BL_DICT_OK);
    ck_assert_int_eq(bl_dict_delete(dict, BL_STR("k")), BL_DICT_OK);
    ck_assert_int_eq(get(dict, "k", 1), BL_DICT_NOT_FOUND);
}
END_TEST

START_TEST(small_buffer_says_what_it_takes)
{
    bl_dict *dict = make(1 << 20);

    set(dict, BL_STR("k"), string("hello"), NULL);
    ck_assert_int_eq(bl_dict_get(dict, BL_STR("k"), 1, buffer, 4, &got), BL_DICT_SMALL_BUFFER);
    ck_assert_uint_eq(got.str.len, 5);
    ck_assert_int_eq(bl_dict_get(dict, BL_STR("k"), 1, buffer, 5, &got), BL_DICT_OK);
}
END_TEST

START_TEST(bad_arguments)
{
    bl_dict *dict = make(1 << 20);
    bl_dict_value nil = {.type = BL_DICT_NIL}, list = {.type = BL_DICT_LIST}, one = number(1);
    bl_str largest = bl_str_of(filler, BL_DICT_KEY_MAX);
    bl_str too_large = bl_str_of(filler, BL_DICT_KEY_MAX + 1);

    ck_assert_ptr_null(bl_dict_create(filler, 8191));
    ck_assert_int_eq(set(dict, largest, string("hello"), NULL), BL_DICT_OK);
    ck_assert_int_eq(bl_dict_get(dict, largest, 1, buffer, 9, &got), BL_DICT_OK);
    ck_assert(bl_str_eq(got.str, BL_STR("hello")));
    ck_assert_int_eq(set(dict, too_large, one, NULL), BL_DICT_LONG_KEY);
    ck_assert_int_eq(get(dict, "", 1), BL_DICT_EMPTY_KEY);
    ck_assert_int_eq(set(dict, BL_STR("k"), list, NULL), BL_DICT_BAD_TYPE);
    ck_assert_int_eq(bl_dict_add(dict, BL_STR("k"), &nil, 0, 1, NULL), BL_DICT_NIL_VALUE);
    ck_assert_int_eq(set(dict, BL_STR("k"), one, NULL), BL_DICT_OK);
    ck_assert_int_eq(set(dict, BL_STR("k"), nil, NULL), BL_DICT_OK);
    ck_assert_int_eq(get(dict, "k", 1), BL_DICT_NOT_FOUND);
    ck_assert_str_eq(bl_dict_error(BL_DICT_NO_MEMORY), "no memory");
    ck_assert_str_eq(bl_dict_error(BL_DICT_NOT_LIST), "value not a list");
}
END_TEST

START_TEST(add_and_replace)
{
    bl_dict *dict = make(1 << 20);
    bl_dict_value one = number(1), hi = string("hi");
    bool forcible = true;

    ck_assert_int_eq(bl_dict_replace(dict, BL_STR("k"), &one, 0, 1, &forcible), BL_DICT_NOT_FOUND);
    ck_assert(!forcible);
    ck_assert_int_eq(bl_dict_add(dict, BL_STR("k"), &one, 10, 1, NULL), BL_DICT_OK);
    ck_assert_int_eq(bl_dict_add(dict, BL_STR("k"), &hi, 0, 10, NULL), BL_DICT_EXISTS);
    ck_assert_int_eq(bl_dict_safe_add(dict, BL_STR("k"), &hi, 0, 10), BL_DICT_EXISTS);
    ck_assert_int_eq(bl_dict_replace(dict, BL_STR("k"), &hi, 10, 10, NULL), BL_DICT_OK);
    ck_assert_int_eq(get(dict, "k", 19), BL_DICT_OK);
    ck_assert_int_eq(bl_dict_replace(dict, BL_STR("k"), &one, 0, 20, NULL), BL_DICT_NOT_FOUND);
    ck_assert_int_eq(bl_dict_add(dict, BL_STR("k"), &one, 0, 20, NULL), BL_DICT_OK);
    ck_assert_int_eq(get(dict, "k", 1000), BL_DICT_OK);
}
END_TEST

START_TEST(incr)
{
    bl_dict *dict = make(1 << 20);
    double init = 5, result = 0;
    bl_str key = BL_STR("n");
    bool forcible;

    ck_assert_int_eq(bl_dict_incr(dict, key, 2, NULL, 0, 1, &result, &forcible), BL_DICT_NOT_FOUND);
    ck_assert_int_eq(bl_dict_incr(dict, key, 2, &init, 10, 1, &result, &forcible), BL_DICT_OK);
    ck_assert(result == 7 && !forcible);
    ck_assert_int_eq(bl_dict_incr(dict, key, -0.5, &init, 0, 10, &result, &forcible), BL_DICT_OK);
    ck_assert(result == 6.5);
    ck_assert_int_eq(bl_dict_incr(dict, key, 1, NULL, 0, 11, &result, NULL), BL_DICT_NOT_FOUND);
    ck_assert_int_eq(bl_dict_incr(dict, key, 1, &init, 0, 11, &result, NULL), BL_DICT_OK);
    ck_assert(result == 6);
    set(dict, key, string("6"), NULL);
    ck_assert_int_eq(bl_dict_incr(dict, key, 1, &init, 0, 11, &result, NULL), BL_DICT_NOT_NUMBER);
}
END_TEST

START_TEST(expiry)
{
    bl_dict *dict = make(1 << 20);
    bl_dict_value v = string("v");
    uint64_t ttl;
    bool stale;

    bl_dict_set(dict, BL_STR("k"), &v, 100, 1000, NULL);
    ck_assert_int_eq(get(dict, "k", 1099), BL_DICT_OK);
    ck_assert_int_eq(get(dict, "k", 1100), BL_DICT_NOT_FOUND);
    ck_assert_int_eq(
        bl_dict_get_stale(dict, BL_STR("k"), 1099, buffer, sizeof(buffer), &got, &stale),
        BL_DICT_OK);
    ck_assert(!stale);
    ck_assert_int_eq(
        bl_dict_get_stale(dict, BL_STR("k"), 1100, buffer, sizeof(buffer), &got, &stale),
        BL_DICT_OK);
    ck_assert(stale && bl_str_eq(got.str, BL_STR("v")));
    ck_assert_int_eq(bl_dict_ttl(dict, BL_STR("k"), 1040, &ttl), BL_DICT_OK);
    ck_assert_uint_eq(ttl, 60);
    ck_assert_int_eq(bl_dict_ttl(dict, BL_STR("k"), 1100, &ttl), BL_DICT_NOT_FOUND);
    ck_assert_int_eq(bl_dict_expire(dict, BL_STR("k"), 5, 1100), BL_DICT_NOT_FOUND);
    ck_assert_int_eq(bl_dict_expire(dict, BL_STR("k"), 500, 1050), BL_DICT_OK);
    ck_assert_int_eq(get(dict, "k", 1549), BL_DICT_OK);
    ck_assert_int_eq(bl_dict_expire(dict, BL_STR("k"), 0, 1050), BL_DICT_OK);
    ck_assert_int_eq(bl_dict_ttl(dict, BL_STR("k"), UINT64_MAX, &ttl), BL_DICT_OK);
    ck_assert_uint_eq(ttl, 0);
    bl_dict_set(dict, BL_STR("k"), &v, UINT64_MAX, 1000, NULL);
    ck_assert_int_eq(get(dict, "k", UINT64_MAX - 1), BL_DICT_OK);
}
END_TEST

static bool count_key(void *arg, bl_str key BL_UNUSED)
{
    ++*(uint64_t *)arg;
    return true;
}

static uint64_t count_keys(bl_dict *dict, uint64_t max, uint64_t now)
{
    uint64_t count = 0;

    bl_dict_keys(dict, max, now, count_key, &count);
    return count;
}

START_TEST(flushing)
{
    bl_dict *dict = make(5 << 20);
    bl_dict_value v = number(1);
    int i;

    for (i = 0; i < 300; i++)
        bl_dict_set(dict, key_of("k", i), &v, i % 3 ? 10 : 0, 1000, NULL);
    ck_assert_uint_eq(count_keys(dict, 0, 1000), 300);
    ck_assert_uint_eq(count_keys(dict, 7, 1000), 7);
    ck_assert_uint_eq(count_keys(dict, 0, 1010), 100);
    ck_assert_uint_eq(bl_dict_flush_expired(dict, 0, 1009), 0);
    ck_assert_uint_eq(bl_dict_flush_expired(dict, 42, 1010), 42);
    ck_assert_uint_eq(bl_dict_flush_expired(dict, 0, 1010), 158);
    ck_assert_uint_eq(bl_dict_flush_expired(dict, 0, 1010), 0);
    bl_dict_flush_all(dict);
    ck_assert_uint_eq(count_keys(dict, 0, 1010), 0);
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
    ck_assert_uint_eq(bl_dict_flush_expired(dict, 0, 1010), 100);
}
END_TEST

static bool mark_key(void *arg, bl_str key)
{
    int i = (int)bl_str_to_int(bl_str_of(key.p + key.len - 6, 6));

    ck_assert_int_eq(((char *)arg)[i]++, 0);
    return true;
}

START_TEST(keys_are_visited_once)
{
    bl_dict *dict = make(4 << 20);
    static char seen[100];
    int i;

    for (i = 0; i < 100; i++) {
        snprintf(filler + 30000, 16, "%06d", i);
        ck_assert_int_eq(
            set(dict, bl_str_of(filler + i * 100, (size_t)(30006 - i * 100)), number(i), NULL),
            BL_DICT_OK);
    }
    bl_dict_keys(dict, 0, 1, mark_key, seen);
    for (i = 0; i < 100; i++)
        ck_assert_int_eq(seen[i], 1);
}
END_TEST

START_TEST(lists)
{
    bl_dict *dict = make(1 << 20);
    bl_dict_value hi = string("hi"), truth = {.type = BL_DICT_BOOLEAN};
    bl_str key = BL_STR("list");
    uint32_t length = 9;
    double result;
    int i;

    ck_assert_int_eq(bl_dict_llen(dict, key, 1, &length), BL_DICT_OK);
    ck_assert_uint_eq(length, 0);
    ck_assert_int_eq(bl_dict_lpop(dict, key, 1, buffer, 9, &got), BL_DICT_NOT_FOUND);
    ck_assert_int_eq(bl_dict_lpush(dict, key, &truth, 1, &length), BL_DICT_BAD_TYPE);
    for (i = 1; i <= 3; i++) {
        bl_dict_value left = number(-i), right = number(i);

        ck_assert_int_eq(bl_dict_lpush(dict, key, &left, 1, &length), BL_DICT_OK);
        ck_assert_int_eq(bl_dict_rpush(dict, key, &right, 1, &length), BL_DICT_OK);
        ck_assert_int_eq(length, 2 * i);
    }
    ck_assert_int_eq(bl_dict_rpush(dict, key, &hi, 1, &length), BL_DICT_OK);
    ck_assert_int_eq(get(dict, "list", 1), BL_DICT_IS_LIST);
    ck_assert_int_eq(bl_dict_incr(dict, key, 1, NULL, 0, 1, &result, NULL), BL_DICT_NOT_NUMBER);
    ck_assert_int_eq(bl_dict_rpop(dict, key, 1, buffer, 1, &got), BL_DICT_SMALL_BUFFER);
    ck_assert_int_eq(bl_dict_rpop(dict, key, 1, buffer, 2, &got), BL_DICT_OK);
    ck_assert(bl_str_eq(got.str, BL_STR("hi")));
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
    for (i = -3; i <= 3; i++) {
        if (i == 0)
            continue;
        ck_assert_int_eq(bl_dict_lpop(dict, key, 1, buffer, 0, &got), BL_DICT_OK);
        ck_assert(got.type == BL_DICT_NUMBER && got.number == i);
    }
    ck_assert_int_eq(get(dict, "list", 1), BL_DICT_NOT_FOUND);
    ck_assert_uint_eq(count_keys(dict, 0, 1), 0);
}
END_TEST

START_TEST(lists_expire_and_are_overwritten)
{
    bl_dict *dict = make(1 << 20);
    bl_dict_value v = bytes(30000);
    bl_str key = BL_STR("list");
    uint32_t length;

    ck_assert_int_eq(bl_dict_rpush(dict, key, &v, 1, &length), BL_DICT_OK);
    ck_assert_int_eq(bl_dict_rpush(dict, key, &v, 1, &length), BL_DICT_OK);
    ck_assert_int_eq(bl_dict_expire(dict, key, 10, 1), BL_DICT_OK);
    ck_assert_int_eq(bl_dict_lpush(dict, key, &v, 11, &length), BL_DICT_OK);
    ck_assert_uint_eq(length, 1);
    ck_assert_int_eq(set(dict, key, number(1), NULL), BL_DICT_OK);
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
    ck_assert_int_eq(bl_dict_llen(dict, key, 11, &length), BL_DICT_NOT_LIST);
}
END_TEST

START_TEST(lists_fail_without_memory)
{
    bl_dict *dict = make(100 << 10);
    bl_dict_value bar = string("bar"), large = bytes(100 << 10);
    uint32_t length;
    int i, pushed = 0;

    ck_assert_int_eq(bl_dict_lpush(dict, BL_STR("big"), &large, 1, &length), BL_DICT_NO_MEMORY);
    ck_assert_int_eq(get(dict, "big", 1), BL_DICT_NOT_FOUND);
    while (bl_dict_lpush(dict, BL_STR("foo"), &bar, 1, &length) == BL_DICT_OK)
        pushed++;
    ck_assert_int_gt(pushed, 2500);
    ck_assert_int_lt(pushed, 2920);
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
    for (i = 0; i < pushed; i++)
        ck_assert_int_eq(bl_dict_rpop(dict, BL_STR("foo"), 1, buffer, 3, &got), BL_DICT_OK);
    ck_assert_uint_eq(bl_dict_free_space(dict), 22 * 4096);
}
END_TEST

static int push_until_full(bl_dict *dict, int first, int step, uint64_t now)
{
    bl_dict_value v = number(1);
    char name[16];
    uint32_t length;
    int count = 0;

    for (;; first += step, count++) {
        snprintf(name, sizeof(name), "%06d", first);
        if (bl_dict_lpush(dict, bl_str_c(name), &v, now, &length) != BL_DICT_OK)
            return count;
    }
}

START_TEST(expired_lists_give_all_their_room)
{
    bl_dict *dict = make(900 << 10);
    int count = push_until_full(dict, 1, 1, 5);

    ck_assert_uint_eq(count_keys(dict, 0, 5), (uint64_t)count);
    bl_dict_flush_all(dict);
    ck_assert_int_eq(push_until_full(dict, 100000, -1, 5), count);
    bl_dict_flush_all(dict);
    bl_dict_flush_expired(dict, 0, 5);
    ck_assert_int_eq(push_until_full(dict, 1, 1, 5), count);
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
}
END_TEST

START_TEST(small_zones_have_the_pages_that_programs_expect)
{
    static const struct {
        size_t size;
        size_t pages;
    } zones[] = {{16 << 10, 1}, {20 << 10, 2}, {25 << 10, 3}, {30 << 10, 4}, {100 << 10, 22}};
    size_t i;

    for (i = 0; i < BL_COUNTOF(zones); i++) {
        bl_dict *dict = make(zones[i].size);

        ck_assert_uint_eq(bl_dict_capacity(dict), zones[i].size);
        ck_assert_uint_eq(bl_dict_free_space(dict), zones[i].pages * 4096);
    }
    ck_assert_int_eq(set(make(12 << 10), BL_STR("foo"), string("bar"), NULL), BL_DICT_OK);
    ck_assert_int_eq(set(make(8 << 10), BL_STR("foo"), string("bar"), NULL), BL_DICT_OK);
}
END_TEST

START_TEST(small_entries_share_the_first_page)
{
    bl_dict *dict = make(16 << 10);
    bool forcible;
    int i;

    for (i = 1; i <= 63; i++) {
        if (i == 32)
            ck_assert_uint_eq(bl_dict_free_space(dict), 4096);
        ck_assert_int_eq(set(dict, key_of("key", 10000 + i), bytes(8), &forcible), BL_DICT_OK);
        ck_assert(!forcible);
    }
    ck_assert_uint_eq(bl_dict_free_space(dict), 0);
}
END_TEST

/* Programs that count entries until the first forcible one were tuned to these counts. */
START_TEST(small_zones_hold_as_many_as_programs_expect)
{
    bl_dict *dict = make(100 << 10);
    bool forcible = false;
    int i;

    for (i = 1; !forcible; i++)
        set(dict, key_of("key_", i), bytes(61 + (i > 9) + (i > 99)), &forcible);
    ck_assert_int_eq(i - 1, 353);
    ck_assert(!has(dict, "key_", 1) && has(dict, "key_", 2));

    dict = make(100 << 10);
    for (i = 1, forcible = false; !forcible; i++)
        set(dict, key_of("key_", i), bytes((size_t)i * 5), &forcible);
    ck_assert(i - 1 == 140 || i - 1 == 141);

    dict = make(100 << 10);
    for (i = 1, forcible = false; !forcible; i++)
        set(dict, key_of("key", 10000 + i), bytes(8), &forcible);
    ck_assert_int_eq(i - 1, 736);
    ck_assert_uint_eq(bl_dict_free_space(dict), 0);
}
END_TEST

START_TEST(an_incr_after_a_delete_is_not_forcible)
{
    bl_dict *dict = make(1 << 20);
    double init = 0, result;
    bool forcible;
    int last;

    memset(filler, '1', 1000);
    for (last = 1, forcible = false; !forcible; last++)
        set(dict, key_of(filler, last), number(last), &forcible);
    ck_assert_int_le(last, 1000);
    bl_dict_delete(dict, key_of(filler, last - 1));
    bl_dict_incr(dict, key_of(filler, -1), 1, &init, 0, 1, &result, &forcible);
    ck_assert(!forcible);
    bl_dict_incr(dict, key_of(filler, -2), 1, &init, 0, 1, &result, &forcible);
    ck_assert(forcible);
}
END_TEST

START_TEST(too_large_a_value)
{
    bl_dict *dict = make(50 << 10);
    bool forcible = true;

    ck_assert_int_eq(set(dict, BL_STR("foo"), bytes(100000), &forcible), BL_DICT_NO_MEMORY);
    ck_assert(!forcible);
    set(dict, BL_STR("bah"), string("hello"), NULL);
    ck_assert_int_eq(set(dict, BL_STR("bah"), bytes(100000), &forcible), BL_DICT_NO_MEMORY);
    ck_assert(forcible);
    ck_assert_int_eq(get(dict, "bah", 1), BL_DICT_OK);
}
END_TEST

START_TEST(pages_merge_for_a_larger_value)
{
    bl_dict *dict = make(20 << 10);
    bool forcible;
    int round;

    for (round = 0; round < 3; round++) {
        ck_assert_int_eq(set(dict, BL_STR("foo"), bytes(4000), &forcible), BL_DICT_OK);
        ck_assert_int_eq(forcible, round > 0);
        ck_assert_int_eq(set(dict, BL_STR("bar"), bytes(4001), &forcible), BL_DICT_OK);
        ck_assert(!forcible);
        ck_assert_int_eq(get(dict, "foo", 1), BL_DICT_OK);
        ck_assert_int_eq(set(dict, BL_STR("baz"), bytes(8102), &forcible), BL_DICT_OK);
        ck_assert(forcible);
        ck_assert_int_eq(get(dict, "foo", 1), BL_DICT_NOT_FOUND);
        ck_assert_int_eq(get(dict, "bar", 1), BL_DICT_NOT_FOUND);
        ck_assert_int_eq(get(dict, "baz", 1), BL_DICT_OK);
    }
}
END_TEST

START_TEST(safe_set_evicts_nothing)
{
    bl_dict *dict = make(25 << 10);
    bl_dict_value v = bytes(8100), whole = bytes(12010);

    set(dict, BL_STR("foo"), bytes(4000), NULL);
    set(dict, BL_STR("bar"), bytes(4001), NULL);
    set(dict, BL_STR("baz"), bytes(4002), NULL);
    bl_dict_delete(dict, BL_STR("foo"));
    ck_assert_int_eq(bl_dict_safe_set(dict, BL_STR("blah"), &v, 0, 1), BL_DICT_NO_MEMORY);
    ck_assert_int_eq(bl_dict_safe_set(dict, BL_STR("bar"), &v, 0, 1), BL_DICT_NO_MEMORY);
    ck_assert_int_eq(get(dict, "bar", 1), BL_DICT_OK);
    ck_assert_uint_eq(got.str.len, 4001);
    bl_dict_delete(dict, BL_STR("baz"));
    ck_assert_int_eq(bl_dict_safe_set(dict, BL_STR("blah"), &v, 0, 1), BL_DICT_NO_MEMORY);
    bl_dict_expire(dict, BL_STR("bar"), 10, 1);
    ck_assert_int_eq(bl_dict_safe_set(dict, BL_STR("blah"), &whole, 0, 11), BL_DICT_OK);
}
END_TEST

START_TEST(least_recently_used_goes_first)
{
    bl_dict *dict = make(100 << 10);
    int full = fill(dict, "key_", 60), i;

    ck_assert_int_gt(full, 350);
    ck_assert(!has(dict, "key_", 1));
    ck_assert(has(dict, "key_", 2));
    set(dict, key_of("new_", 0), bytes(60), NULL);
    ck_assert(has(dict, "key_", 2));
    ck_assert(!has(dict, "key_", 3));

    for (i = 100; i > 50; i--)
        ck_assert(has(dict, "key_", i));
    for (i = 4; i <= 50; i++)
        set(dict, key_of("new_", i), bytes(60), NULL);
    for (i = 101; i <= full; i++)
        set(dict, key_of("new_", i), bytes(60), NULL);
    ck_assert(has(dict, "key_", 2));
    /* new_0 and key_100 to key_77 are the oldest now. */
    for (i = 0; i < 25; i++)
        set(dict, key_of("newer_", i), bytes(60), NULL);
    for (i = 51; i <= 100; i++)
        ck_assert_int_eq(has(dict, "key_", i), i <= 76);
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
}
END_TEST

START_TEST(a_key_in_use_survives)
{
    bl_dict *dict = make(6 << 20);
    bool forcible;
    int i, evicting = 0;

    set(dict, BL_STR("hot0"), number(0), NULL);
    for (i = 0; i < 200000; i++) {
        ck_assert(has(dict, "hot", 0));
        set(dict, key_of("cold", i), bytes(100), &forcible);
        evicting += forcible;
    }
    ck_assert_int_gt(evicting, 100000);
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
}
END_TEST

START_TEST(expired_entries_go_before_others)
{
    bl_dict *dict = make(100 << 10);
    bl_dict_value v = bytes(60);
    bool forcible;
    int i, dead = 0;

    for (i = 0; i < 300; i++)
        bl_dict_set(dict, key_of("k", i), &v, i % 10 == 9 ? 5 : 0, 1, NULL);
    while (bl_dict_safe_set(dict, key_of("x", i), &v, 0, 1) == BL_DICT_OK)
        i++;
    for (;; dead++) {
        ck_assert_int_eq(bl_dict_set(dict, key_of("y", dead), &v, 0, 6, &forcible), BL_DICT_OK);
        if (forcible)
            break;
    }
    ck_assert_int_eq(dead, 30);
}
END_TEST

/* Fills with entries of many sizes, then stores single values up to all there is. */
static void large_values(size_t zone)
{
    bl_dict *dict = make(zone);
    size_t most = bl_dict_free_space(dict) - 80, size;
    int i;

    for (size = most / 8; size <= most; size += most / 8) {
        for (i = 0; i < 3000; i++)
            ck_assert_int_eq(set(dict, key_of("k", i), bytes((size_t)(i * 37 % 3000)), NULL),
                             BL_DICT_OK);
        ck_assert_int_eq(set(dict, BL_STR("large"), bytes(size), NULL), BL_DICT_OK);
        ck_assert_int_eq(get(dict, "large", 1), BL_DICT_OK);
        ck_assert_uint_eq(got.str.len, size);
        ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
    }
    ck_assert_int_eq(set(dict, BL_STR("large"), bytes(most), NULL), BL_DICT_OK);
    ck_assert_int_eq(set(dict, BL_STR("large"), bytes(most + 80), NULL), BL_DICT_NO_MEMORY);
    ck_assert_int_eq(get(dict, "large", 1), BL_DICT_OK);
}

START_TEST(large_values_always_fit)
{
    large_values(64 << 10);
    large_values(1 << 20);
}
END_TEST

START_TEST(large_values_fit_across_shards)
{
    large_values(4 << 20);
}
END_TEST

START_TEST(a_full_zone_changes_its_sizes)
{
    bl_dict *dict = make(8 << 20);
    static const size_t sizes[] = {40, 3000, 10, 700, 20000, 200, 1300};
    size_t round;
    int i;

    for (round = 0; round < BL_COUNTOF(sizes); round++)
        for (i = 0; i < (int)((12 << 20) / (sizes[round] + 100)); i++)
            ck_assert_int_eq(set(dict, key_of("k", i), bytes(sizes[round]), NULL), BL_DICT_OK);
    ck_assert_pstr_eq(bl_dict_verify(dict), NULL);
}
END_TEST

START_TEST(incr_and_replace_evict_too)
{
    bl_dict *dict = make(100 << 10);
    double init = 0, result;
    bl_dict_value large = bytes(9000);
    bool forcible;
    int last = fill(dict, "k", 60);

    ck_assert_int_eq(bl_dict_incr(dict, BL_STR("n"), 1, &init, 0, 1, &result, &forcible),
                     BL_DICT_OK);
    ck_assert(forcible && result == 1);
    ck_assert_int_eq(bl_dict_replace(dict, key_of("k", last), &large, 0, 1, &forcible), BL_DICT_OK);
    ck_assert(forcible);
    ck_assert(has(dict, "n", 0) == false && get(dict, "n", 1) == BL_DICT_OK);
}
END_TEST

enum {
    COPIED = 20000
};

/* Odd keys change their sign, are deleted and come back, until the process is killed. */
static pid_t restless(bl_dict *dict)
{
    pid_t pid = fork();
    int i, sign = -1;

    ck_assert_int_ge(pid, 0);
    for (; pid == 0; sign = -sign) {
        for (i = 1; i < COPIED; i += 2) {
            if (i % 3 == 0)
                bl_dict_delete(dict, key_of("k", i));
            set(dict, key_of("k", i), number(sign * i), NULL);
        }
    }
    return pid;
}

START_TEST(a_copy_while_others_write)
{
    bl_dict *from = make(8 << 20), *to = make(16 << 20);
    bool there;
    int i;

    for (i = 0; i < COPIED; i++)
        set(from, key_of("k", i), number(i), NULL);
    pid_t pid = restless(from);
    bl_dict_copy(from, to, 1000);
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert_pstr_eq(bl_dict_verify(to), NULL);
    for (i = 0; i < COPIED; i++) {
        there = has(to, "k", i);
        ck_assert(there || i % 2);
        ck_assert(!there || got.number == i || (i % 2 && got.number == -i));
    }
}
END_TEST

UNIT_MAIN("dict", values_keep_their_type, values_replace_each_other,
          small_buffer_says_what_it_takes, bad_arguments, add_and_replace, incr, expiry, flushing,
          keys_are_visited_once, lists, lists_expire_and_are_overwritten, lists_fail_without_memory,
          expired_lists_give_all_their_room, small_zones_have_the_pages_that_programs_expect,
          small_entries_share_the_first_page, small_zones_hold_as_many_as_programs_expect,
          an_incr_after_a_delete_is_not_forcible, too_large_a_value, pages_merge_for_a_larger_value,
          safe_set_evicts_nothing, least_recently_used_goes_first, a_key_in_use_survives,
          expired_entries_go_before_others, large_values_always_fit, large_values_fit_across_shards,
          a_full_zone_changes_its_sizes, incr_and_replace_evict_too, a_copy_while_others_write)
