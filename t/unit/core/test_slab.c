#include "unit.h"
#include "core/slab.h"
#include "os/shm.h"

enum {
    PAGES = 64,
    LIVE = 256,
    TAG = 7
};

typedef struct fixture {
    bl_slab *slab;
    bl_slab_heap heap[2];
} fixture;

static fixture make(uint32_t pages, bool halves)
{
    fixture f;
    size_t head = BL_ALIGN(bl_slab_size(pages), (size_t)BL_SLAB_PAGE);

    f.slab = bl_shm_map(head + (size_t)pages * BL_SLAB_PAGE);
    ck_assert_ptr_nonnull(f.slab);
    bl_slab_init(f.slab, pages, (uint32_t)head, halves);
    bl_slab_heap_init(&f.heap[0], 0);
    bl_slab_heap_init(&f.heap[1], 1);
    return f;
}

static void check(fixture *f)
{
    bl_slab_heap *heaps[] = {&f->heap[0], &f->heap[1]};

    ck_assert_pstr_eq(bl_slab_verify(f->slab, heaps, 2), NULL);
}

static void *take(fixture *f, int heap, size_t size)
{
    void *chunk = bl_slab_alloc(f->slab, &f->heap[heap], size);

    if (chunk) {
        ck_assert_uint_eq(bl_slab_tag(chunk), BL_SLAB_TORN);
        ck_assert_uint_ge(bl_slab_room(f->slab, chunk), size);
        ck_assert(bl_slab_suits(f->slab, chunk, size));
        bl_slab_set_tag(chunk, TAG);
    }
    return chunk;
}

START_TEST(sizes_waste_little)
{
    fixture f = make(PAGES, true);
    size_t size;

    for (size = 1; size < 3 * BL_SLAB_PAGE; size++) {
        void *chunk = take(&f, 0, size);

        ck_assert_ptr_nonnull(chunk);
        if (size > 32 && size <= 2048)
            ck_assert_uint_lt(bl_slab_room(f.slab, chunk), size + size / 2 + 16);
        if (size > 2048)
            ck_assert_uint_eq(bl_slab_room(f.slab, chunk), BL_ALIGN(size, (size_t)BL_SLAB_PAGE));
        bl_slab_free(f.slab, &f.heap[0], chunk);
    }
    check(&f);
}
END_TEST

START_TEST(powers_of_two_alone)
{
    fixture f = make(PAGES, false);

    ck_assert_uint_eq(bl_slab_room(f.slab, take(&f, 0, 1)), 32);
    ck_assert_uint_eq(bl_slab_room(f.slab, take(&f, 0, 33)), 64);
    ck_assert_uint_eq(bl_slab_room(f.slab, take(&f, 0, 65)), 128);
    ck_assert_uint_eq(bl_slab_room(f.slab, take(&f, 0, 128)), 128);
    ck_assert_uint_eq(bl_slab_room(f.slab, take(&f, 0, 1025)), 2048);
    ck_assert_uint_eq(bl_slab_room(f.slab, take(&f, 0, 2049)), 4096);
    check(&f);
}
END_TEST

START_TEST(page_fills_with_chunks_and_returns)
{
    fixture f = make(1, false);
    void *chunks[32];
    int i;

    for (i = 0; i < 32; i++)
        ck_assert_ptr_nonnull(chunks[i] = take(&f, 0, 128));
    ck_assert_ptr_null(take(&f, 0, 128));
    ck_assert_ptr_null(take(&f, 1, 32));
    ck_assert_uint_eq(bl_slab_free_space(f.slab), 0);
    check(&f);
    for (i = 0; i < 32; i++)
        bl_slab_free(f.slab, &f.heap[0], chunks[i ^ 5]);
    ck_assert_uint_eq(bl_slab_free_space(f.slab), BL_SLAB_PAGE);
    check(&f);
    ck_assert_ptr_nonnull(take(&f, 1, 4096));
}
END_TEST

START_TEST(runs_coalesce_on_both_sides)
{
    fixture f = make(9, false);
    void *a = take(&f, 0, 3 * BL_SLAB_PAGE), *b = take(&f, 1, 3 * BL_SLAB_PAGE),
         *c = take(&f, 0, 3 * BL_SLAB_PAGE);

    ck_assert(a && b && c);
    ck_assert_ptr_null(take(&f, 0, 2049));
    bl_slab_free(f.slab, &f.heap[0], a);
    bl_slab_free(f.slab, &f.heap[0], c);
    check(&f);
    ck_assert_ptr_null(take(&f, 0, 4 * BL_SLAB_PAGE));
    bl_slab_free(f.slab, &f.heap[1], b);
    check(&f);
    ck_assert_ptr_nonnull(take(&f, 0, 9 * BL_SLAB_PAGE));
    check(&f);
}
END_TEST

START_TEST(chunks_never_overlap)
{
    fixture f = make(PAGES, true);
    unsigned char *live[LIVE] = {0};
    size_t size[LIVE], k;
    int round, heap[LIVE];

    srand(42);
    for (round = 0; round < 20000; round++) {
        int i = rand() % LIVE;

        if (live[i]) {
            for (k = 4; k < size[i]; k++)
                ck_assert_uint_eq(live[i][k], (unsigned char)i);
            bl_slab_free(f.slab, &f.heap[heap[i]], live[i]);
            live[i] = NULL;
        } else {
            size[i] = 8 + (size_t)rand() % (rand() % 8 ? 300 : 9000);
            heap[i] = rand() % 2;
            live[i] = take(&f, heap[i], size[i]);
            if (live[i])
                memset(live[i] + 4, i, size[i] - 4);
        }
        if (round % 512 == 0)
            check(&f);
    }
}
END_TEST

static void count_chunk(void *arg, void *chunk)
{
    ++*(int *)arg;
    if (bl_slab_tag(chunk) == TAG + 1)
        bl_slab_set_tag(chunk, BL_SLAB_TORN);
}

START_TEST(heap_is_rebuilt_from_tags)
{
    fixture f = make(PAGES, false);
    void *chunks[100];
    int i, count = 0;

    for (i = 0; i < 100; i++)
        chunks[i] = take(&f, i % 2, i % 10 ? 100 : 10000);
    for (i = 0; i < 100; i += 4)
        bl_slab_set_tag(chunks[i], TAG + 1);
    memset(f.heap[0].partial, 0xff, sizeof(f.heap[0].partial));
    bl_slab_heap_gather(f.slab, &f.heap[0]);
    bl_slab_heap_each(f.slab, &f.heap[0], count_chunk, &count);
    bl_slab_heap_rebuild(f.slab, &f.heap[0]);
    ck_assert_int_eq(count, 50);
    check(&f);
    for (i = 0; i < 100; i++)
        if (i % 4 != 0)
            bl_slab_free(f.slab, &f.heap[i % 2], chunks[i]);
    check(&f);
    ck_assert_uint_eq(bl_slab_free_space(f.slab), PAGES * BL_SLAB_PAGE);
}
END_TEST

static void free_chunk(void *arg, void *chunk)
{
    fixture *f = arg;
    int heap = bl_slab_owns(f->slab, &f->heap[1], bl_slab_ref(f->slab, chunk));

    bl_slab_free(f->slab, &f->heap[heap], chunk);
}

START_TEST(window_is_the_cheapest)
{
    fixture f = make(16, false);
    void *chunk[16];
    uint32_t first;
    int i;

    for (i = 0; i < 16; i++)
        chunk[i] = take(&f, i % 2, BL_SLAB_PAGE);
    bl_slab_free(f.slab, &f.heap[1], chunk[9]);
    bl_slab_free(f.slab, &f.heap[1], chunk[11]);
    first = bl_slab_window(f.slab, 3, 1);
    ck_assert_uint_eq(first, 9);
    ck_assert_ptr_null(take(&f, 0, 3 * BL_SLAB_PAGE));
    bl_slab_window_each(f.slab, first, 3, free_chunk, &f);
    ck_assert_ptr_eq(take(&f, 0, 3 * BL_SLAB_PAGE), chunk[9]);
    check(&f);
    ck_assert_uint_eq(bl_slab_window(f.slab, 17, 0), UINT32_MAX);
    ck_assert_uint_eq(bl_slab_window(f.slab, 16, 1), UINT32_MAX);
}
END_TEST

UNIT_MAIN("slab", sizes_waste_little, powers_of_two_alone, page_fills_with_chunks_and_returns,
          runs_coalesce_on_both_sides, chunks_never_overlap, heap_is_rebuilt_from_tags,
          window_is_the_cheapest)
