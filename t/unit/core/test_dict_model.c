/* Random operations on a dictionary and on a plain model of one, which must agree. */
#include "unit.h"
#include "core/dict.h"
#include "os/shm.h"

#include <stdio.h>

/* ck_assert makes a system call each time, which is too much for this many. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s", #condition);                                                        \
    } while (0)

enum {
    KEYS = 250,
    LIST_MAX = 12,
    VALUE_MAX = 9000,
};

typedef struct model {
    bl_dict_type type;
    uint32_t flags;
    double number;
    size_t size; /* of a string, whose bytes are all `fill` */
    char fill;
    uint64_t expires;
    uint32_t length;
    double list[LIST_MAX];
} model;

typedef struct fixture {
    bl_dict *dict;
    uint64_t now;
    bool roomy; /* nothing is ever evicted */
    model keys[KEYS];
} fixture;

static char buffer[VALUE_MAX];

static bl_str name_of(int i)
{
    static char name[400];
    int width = i % 7 ? 5 : 5 + i;

    return bl_str_of(name, (size_t)snprintf(name, sizeof(name), "%0*d", width, i));
}

static void compare(fixture *f, int i)
{
    model *m = &f->keys[i];
    bl_dict_value v;
    bl_dict_result result = bl_dict_get(f->dict, name_of(i), f->now, buffer, VALUE_MAX, &v);
    size_t k;

    if (m->expires && m->expires <= f->now)
        m->type = BL_DICT_NIL;
    if (result == BL_DICT_NOT_FOUND && !f->roomy)
        m->type = BL_DICT_NIL;
    if (m->type == BL_DICT_NIL || m->type == BL_DICT_LIST) {
        MUST(result == (m->type == BL_DICT_LIST ? BL_DICT_IS_LIST : BL_DICT_NOT_FOUND));
        return;
    }
    MUST(result == BL_DICT_OK);
    MUST(v.type == m->type);
    MUST(v.flags == m->flags);
    if (m->type != BL_DICT_STRING) {
        MUST(v.number == m->number);
        return;
    }
    MUST(v.str.len == m->size);
    for (k = 0; k < m->size; k++)
        MUST(v.str.p[k] == m->fill);
}

static bl_dict_value random_value(model *m)
{
    static char bytes[VALUE_MAX];
    int kind = rand() % 8;

    m->flags = (uint32_t)rand() % 3;
    m->number = rand() % 1000 / 8.0;
    m->type = kind == 0 ? BL_DICT_BOOLEAN : kind < 3 ? BL_DICT_NUMBER : BL_DICT_STRING;
    m->size = (size_t)rand() % (rand() % 8 ? 300 : VALUE_MAX);
    m->fill = (char)('a' + rand() % 26);
    memset(bytes, m->fill, m->size);
    return (bl_dict_value){m->type, m->flags, m->number, bl_str_of(bytes, m->size)};
}

static void store(fixture *f, int i)
{
    model *m = &f->keys[i], new = {0};
    bl_dict_value v = random_value(&new);
    uint64_t ttl = rand() % 4 ? 0 : 1 + (uint64_t)rand() % 50;
    bl_dict_result result, expected = BL_DICT_OK;

    compare(f, i);
    new.expires = ttl ? f->now + ttl : 0;
    switch (rand() % 5) {
    case 0:
        result = bl_dict_add(f->dict, name_of(i), &v, ttl, f->now, NULL);
        expected = m->type == BL_DICT_NIL ? BL_DICT_OK : BL_DICT_EXISTS;
        break;
    case 1:
        result = bl_dict_replace(f->dict, name_of(i), &v, ttl, f->now, NULL);
        expected = m->type == BL_DICT_NIL ? BL_DICT_NOT_FOUND : BL_DICT_OK;
        break;
    case 2:
        result = bl_dict_safe_set(f->dict, name_of(i), &v, ttl, f->now);
        if (!f->roomy && result == BL_DICT_NO_MEMORY)
            expected = result;
        break;
    default:
        result = bl_dict_set(f->dict, name_of(i), &v, ttl, f->now, NULL);
    }
    MUST(result == expected);
    if (result == BL_DICT_OK)
        *m = new;
}

static void incr(fixture *f, int i)
{
    model *m = &f->keys[i];
    double init = 10, sum = 0;
    bl_dict_result result;

    compare(f, i);
    result = bl_dict_incr(f->dict, name_of(i), 2.5, &init, 0, f->now, &sum, NULL);
    if (m->type == BL_DICT_NIL)
        *m = (model){.type = BL_DICT_NUMBER, .number = init};
    if (m->type != BL_DICT_NUMBER) {
        MUST(result == BL_DICT_NOT_NUMBER);
        return;
    }
    m->number += 2.5;
    MUST(result == BL_DICT_OK);
    MUST(sum == m->number);
}

static void push(fixture *f, int i, bool left)
{
    model *m = &f->keys[i];
    bl_dict_value v = {.type = BL_DICT_NUMBER, .number = rand() % 100};
    bl_dict_result result;
    uint32_t length = 0;

    compare(f, i);
    if (m->type == BL_DICT_LIST && m->length == LIST_MAX)
        return;
    result = (left ? bl_dict_lpush : bl_dict_rpush)(f->dict, name_of(i), &v, f->now, &length);
    if (!f->roomy && result == BL_DICT_NO_MEMORY)
        return;
    if (m->type == BL_DICT_NIL)
        *m = (model){.type = BL_DICT_LIST};
    if (m->type != BL_DICT_LIST) {
        MUST(result == BL_DICT_NOT_LIST);
        return;
    }
    if (left)
        memmove(m->list + 1, m->list, m->length * sizeof(double));
    m->list[left ? 0 : m->length] = v.number;
    m->length++;
    MUST(result == BL_DICT_OK);
    MUST(length == m->length);
}

static void pop(fixture *f, int i, bool left)
{
    model *m = &f->keys[i];
    bl_dict_value v;
    bl_dict_result result;

    compare(f, i);
    result = (left ? bl_dict_lpop : bl_dict_rpop)(f->dict, name_of(i), f->now, buffer, 0, &v);
    if (m->type != BL_DICT_LIST) {
        MUST(result == (m->type == BL_DICT_NIL ? BL_DICT_NOT_FOUND : BL_DICT_NOT_LIST));
        return;
    }
    MUST(result == BL_DICT_OK);
    MUST(v.number == m->list[left ? 0 : m->length - 1]);
    m->length--;
    if (left)
        memmove(m->list, m->list + 1, m->length * sizeof(double));
    if (m->length == 0)
        m->type = BL_DICT_NIL;
}

static void change(fixture *f, int i)
{
    model *m = &f->keys[i];
    bl_dict_result result;

    compare(f, i);
    switch (rand() % 40) {
    case 0:
        bl_dict_flush_all(f->dict);
        memset(f->keys, 0, sizeof(f->keys));
        break;
    case 1:
    case 2:
        bl_dict_flush_expired(f->dict, (uint64_t)rand() % 3, f->now);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        result = bl_dict_expire(f->dict, name_of(i), 20, f->now);
        MUST(result == (m->type == BL_DICT_NIL ? BL_DICT_NOT_FOUND : BL_DICT_OK));
        m->expires = f->now + 20;
        break;
    default:
        MUST(bl_dict_delete(f->dict, name_of(i)) == BL_DICT_OK);
        m->type = BL_DICT_NIL;
    }
}

static void step(fixture *f)
{
    int i = rand() % KEYS;

    f->now += rand() % 4 == 0;
    switch (rand() % 8) {
    case 0:
    case 1:
    case 2:
        store(f, i);
        break;
    case 3:
        incr(f, i);
        break;
    case 4:
        push(f, i, rand() % 2);
        break;
    case 5:
        pop(f, i, rand() % 2);
        break;
    case 6:
        change(f, i);
        break;
    default:
        compare(f, i);
    }
}

static void run(size_t zone, bool roomy, unsigned seed)
{
    static fixture f;
    int i, round;

    f = (fixture){.dict = bl_dict_create(bl_shm_map(zone), zone), .now = 100, .roomy = roomy};
    ck_assert_ptr_nonnull(f.dict);
    srand(seed);
    for (round = 0; round < 60; round++) {
        for (i = 0; i < 1000; i++)
            step(&f);
        for (i = 0; i < KEYS; i++)
            compare(&f, i);
        ck_assert_pstr_eq(bl_dict_verify(f.dict), NULL);
    }
    bl_shm_unmap(f.dict, zone);
}

START_TEST(agrees_with_room)
{
    run(3 << 20, true, 1);
}
END_TEST

START_TEST(agrees_with_room_in_shards)
{
    run(16 << 20, true, 2);
}
END_TEST

START_TEST(agrees_while_evicting)
{
    run(60 << 10, false, 3);
    run(100 << 10, false, 4);
    run(300 << 10, false, 5);
}
END_TEST

UNIT_MAIN("dict_model", agrees_with_room, agrees_with_room_in_shards, agrees_while_evicting)
