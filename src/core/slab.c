#include "core/slab.h"

/* A row's state word: kind (8 bits), class (8), owner (16), pages (32). The row of the last page of
 * a run of two or more is END and has, in place of pages, the index of the run's head; that is how
 * a freed run finds a free neighbour to its left. Rows between head and END are INSIDE, or the END
 * of what coalesced; both are derived. */
typedef enum row_kind {
    KIND_INSIDE,
    KIND_FREE,
    KIND_CHUNKS,
    KIND_RUN,
    KIND_END,
} row_kind;

typedef struct free_chunk {
    uint32_t tag;
    uint32_t next; /* index + 1 */
} free_chunk;

static const uint16_t class_size[BL_SLAB_CLASSES] = {32,  48,  64,  96,   128,  192, 256,
                                                     384, 512, 768, 1024, 1360, 2048};
enum {
    LARGEST_CHUNK = 2048
};

static uint64_t row_state(row_kind kind, unsigned cls, uint32_t owner, uint32_t pages)
{
    return (uint64_t)kind | (uint64_t)cls << 8 | (uint64_t)owner << 16 | (uint64_t)pages << 32;
}

static row_kind row_kind_of(const bl_slab_row *row)
{
    return (row_kind)(row->state & 0xff);
}

static unsigned row_class(const bl_slab_row *row)
{
    return row->state >> 8 & 0xff;
}

static uint32_t row_owner(const bl_slab_row *row)
{
    return row->state >> 16 & 0xffff;
}

static uint32_t row_pages(const bl_slab_row *row)
{
    return (uint32_t)(row->state >> 32);
}

static void row_commit(bl_slab_row *row, uint64_t state)
{
    __atomic_store_n(&row->state, state, __ATOMIC_RELEASE);
}

static char *page_at(const bl_slab *slab, uint32_t page)
{
    return (char *)slab + slab->start + (size_t)page * BL_SLAB_PAGE;
}

uint32_t bl_slab_page_of(const bl_slab *slab, const void *chunk)
{
    size_t offset = (size_t)((const char *)chunk - (const char *)slab) - slab->start;

    return (uint32_t)(offset / BL_SLAB_PAGE);
}

static void list_push(bl_slab *slab, uint32_t *list, uint32_t page)
{
    bl_slab_row *row = &slab->rows[page];

    row->prev = 0;
    row->next = *list;
    if (*list)
        slab->rows[*list - 1].prev = page + 1;
    *list = page + 1;
}

static void list_remove(bl_slab *slab, uint32_t *list, uint32_t page)
{
    bl_slab_row *row = &slab->rows[page];

    if (row->prev)
        slab->rows[row->prev - 1].next = row->next;
    else
        *list = row->next;
    if (row->next)
        slab->rows[row->next - 1].prev = row->prev;
}

static unsigned bin_of(uint32_t pages)
{
    return BL_MIN(31 - (unsigned)__builtin_clz(pages), BL_SLAB_BINS - 1);
}

static bool is_head(const bl_slab_row *row)
{
    return row_kind_of(row) != KIND_INSIDE && row_kind_of(row) != KIND_END;
}

static void mark_end(bl_slab *slab, uint32_t head, uint32_t pages)
{
    if (pages > 1)
        row_commit(&slab->rows[head + pages - 1], row_state(KIND_END, 0, 0, head));
}

static void bin_add(bl_slab *slab, uint32_t head, uint32_t pages)
{
    row_commit(&slab->rows[head], row_state(KIND_FREE, 0, 0, pages));
    mark_end(slab, head, pages);
    list_push(slab, &slab->bins[bin_of(pages)], head);
    slab->free_pages += pages;
}

static void bin_remove(bl_slab *slab, uint32_t head)
{
    uint32_t pages = row_pages(&slab->rows[head]);

    list_remove(slab, &slab->bins[bin_of(pages)], head);
    slab->free_pages -= pages;
}

/* Pages from `head`, a head of free pages, to the next head that is not. */
static uint32_t free_stretch(const bl_slab *slab, uint32_t head)
{
    uint32_t end = head;

    while (end < slab->pages && row_kind_of(&slab->rows[end]) == KIND_FREE)
        end += row_pages(&slab->rows[end]);
    return end - head;
}

static void rebuild_bins(bl_slab *slab)
{
    uint32_t page, pages, i;

    memset(slab->bins, 0, sizeof(slab->bins));
    slab->free_pages = 0;
    for (page = 0; page < slab->pages; page += pages) {
        bl_slab_row *row = &slab->rows[page];
        bool is_free = row_kind_of(row) == KIND_FREE;

        BL_ASSERT(is_head(row));
        pages = is_free ? free_stretch(slab, page) : row_pages(row);
        BL_ASSERT(pages > 0 && pages <= slab->pages - page);
        if (is_free)
            bin_add(slab, page, pages);
        for (i = 1; i < pages; i++)
            row_commit(&slab->rows[page + i], row_state(KIND_INSIDE, 0, 0, 0));
        mark_end(slab, page, pages);
    }
}

static void slab_lock(bl_slab *slab)
{
    if (BL_UNLIKELY(bl_rlock_take(&slab->lock) == BL_RLOCK_ORPHANED)) {
        rebuild_bins(slab);
        bl_rlock_heal(&slab->lock);
    }
}

static void slab_unlock(bl_slab *slab)
{
    bl_rlock_drop(&slab->lock);
}

size_t bl_slab_size(uint32_t pages)
{
    return BL_ALIGN(sizeof(bl_slab) + (size_t)pages * sizeof(bl_slab_row), (size_t)BL_SLAB_UNIT);
}

void bl_slab_init(bl_slab *slab, uint32_t pages, uint32_t start, bool halves)
{
    BL_ASSERT((uintptr_t)slab % BL_SLAB_UNIT == 0 && start % BL_SLAB_UNIT == 0);
    BL_ASSERT(pages > 0 && (start + (uint64_t)pages * BL_SLAB_PAGE) / BL_SLAB_UNIT <= UINT32_MAX);
    bl_rlock_init(&slab->lock);
    slab->pages = pages;
    slab->start = start;
    slab->halves = halves;
    bin_add(slab, 0, pages);
}

void bl_slab_heap_init(bl_slab_heap *heap, uint32_t owner)
{
    BL_ASSERT(owner <= UINT16_MAX);
    *heap = (bl_slab_heap){.owner = owner};
}

/* The first free run of at least `pages` pages, from the bin whose runs fit best; UINT32_MAX when
 * there is none. */
static uint32_t find_free_run(const bl_slab *slab, uint32_t pages)
{
    uint32_t page;
    unsigned bin;

    for (bin = bin_of(pages); bin < BL_SLAB_BINS; bin++)
        for (page = slab->bins[bin]; page != 0; page = slab->rows[page - 1].next)
            if (row_pages(&slab->rows[page - 1]) >= pages)
                return page - 1;
    return UINT32_MAX;
}

/* Takes `pages` pages off the bins under the slab's lock. Their head is still FREE in the table;
 * the caller prepares the content and commits the head. Returns UINT32_MAX when there is no such
 * run. */
static uint32_t take_pages(bl_slab *slab, uint32_t pages)
{
    uint32_t head = find_free_run(slab, pages), rest;

    if (head == UINT32_MAX)
        return head;
    bin_remove(slab, head);
    rest = row_pages(&slab->rows[head]) - pages;
    if (rest > 0)
        bin_add(slab, head + pages, rest);
    mark_end(slab, head, pages);
    return head;
}

/* The head of the run that ends before `page`. */
static uint32_t left_neighbour(const bl_slab *slab, uint32_t page)
{
    const bl_slab_row *row = &slab->rows[page - 1];

    return row_kind_of(row) == KIND_END ? row_pages(row) : page - 1;
}

static void mark_inside(bl_slab *slab, uint32_t page)
{
    if (row_kind_of(&slab->rows[page]) != KIND_END)
        row_commit(&slab->rows[page], row_state(KIND_INSIDE, 0, 0, 0));
}

static void return_pages(bl_slab *slab, uint32_t page, uint32_t pages)
{
    uint32_t head = page, next = page + pages;
    bool right = next < slab->pages && row_kind_of(&slab->rows[next]) == KIND_FREE;

    if (right) {
        pages += row_pages(&slab->rows[next]);
        bin_remove(slab, next);
    }
    if (page > 0 && row_kind_of(&slab->rows[left_neighbour(slab, page)]) == KIND_FREE) {
        head = left_neighbour(slab, page);
        pages += page - head;
        bin_remove(slab, head);
    }
    bin_add(slab, head, pages);
    if (right)
        mark_inside(slab, next);
    if (head != page)
        mark_inside(slab, page);
}

static unsigned class_of(const bl_slab *slab, size_t size)
{
    unsigned log, cls;

    if (size <= class_size[0])
        return 0;
    log = 64 - (unsigned)__builtin_clzll(size - 1);
    cls = (log - 5) * 2;
    return slab->halves && size <= class_size[cls - 1] ? cls - 1 : cls;
}

uint32_t bl_slab_run_pages(size_t size)
{
    if (size <= LARGEST_CHUNK)
        return 0;
    return (uint32_t)BL_MIN((size - 1) / BL_SLAB_PAGE + 1, UINT32_MAX);
}

static free_chunk *chunk_at(const bl_slab *slab, uint32_t page, uint32_t index)
{
    unsigned cls = row_class(&slab->rows[page]);

    return (free_chunk *)(page_at(slab, page) + (size_t)index * class_size[cls]);
}

static uint32_t chunks_per_page(const bl_slab_row *row)
{
    return BL_SLAB_PAGE / class_size[row_class(row)];
}

static uint32_t chunk_index(const bl_slab *slab, uint32_t page, const void *chunk)
{
    uint32_t offset = (uint32_t)((const char *)chunk - page_at(slab, page));

    return offset / class_size[row_class(&slab->rows[page])];
}

static void *alloc_run(bl_slab *slab, bl_slab_heap *heap, uint32_t pages)
{
    uint32_t head;

    slab_lock(slab);
    head = take_pages(slab, pages);
    if (head != UINT32_MAX) {
        bl_slab_set_tag(page_at(slab, head), BL_SLAB_TORN);
        row_commit(&slab->rows[head], row_state(KIND_RUN, 0, heap->owner, pages));
    }
    slab_unlock(slab);
    return head == UINT32_MAX ? NULL : page_at(slab, head);
}

static void cut_page(bl_slab *slab, uint32_t page, unsigned cls)
{
    uint32_t i, count = BL_SLAB_PAGE / class_size[cls];
    char *p = page_at(slab, page);

    for (i = 1; i <= count; i++, p += class_size[cls])
        *(free_chunk *)p = (free_chunk){BL_SLAB_VOID, i < count ? i + 1 : 0};
    slab->rows[page].used = 0;
    slab->rows[page].free = 1;
}

static bool add_page(bl_slab *slab, bl_slab_heap *heap, unsigned cls)
{
    uint32_t page;

    slab_lock(slab);
    page = take_pages(slab, 1);
    if (page != UINT32_MAX) {
        cut_page(slab, page, cls);
        row_commit(&slab->rows[page], row_state(KIND_CHUNKS, cls, heap->owner, 1));
    }
    slab_unlock(slab);
    if (page == UINT32_MAX)
        return false;
    list_push(slab, &heap->partial[cls], page);
    return true;
}

void *bl_slab_alloc(bl_slab *slab, bl_slab_heap *heap, size_t size)
{
    unsigned cls;
    uint32_t page;
    bl_slab_row *row;
    free_chunk *chunk;

    if (size > LARGEST_CHUNK)
        return alloc_run(slab, heap, bl_slab_run_pages(size));
    cls = class_of(slab, size);
    if (heap->partial[cls] == 0 && !add_page(slab, heap, cls))
        return NULL;
    page = heap->partial[cls] - 1;
    row = &slab->rows[page];
    chunk = chunk_at(slab, page, row->free - 1u);
    row->free = (uint16_t)chunk->next;
    row->used++;
    if (row->free == 0)
        list_remove(slab, &heap->partial[cls], page);
    bl_slab_set_tag(chunk, BL_SLAB_TORN);
    return chunk;
}

static void free_run(bl_slab *slab, uint32_t page)
{
    slab_lock(slab);
    return_pages(slab, page, row_pages(&slab->rows[page]));
    slab_unlock(slab);
}

void bl_slab_free(bl_slab *slab, bl_slab_heap *heap, void *chunk)
{
    uint32_t page = bl_slab_page_of(slab, chunk);
    bl_slab_row *row = &slab->rows[page];
    free_chunk *freed = chunk;
    unsigned cls = row_class(row);

    BL_ASSERT(row_owner(row) == heap->owner && bl_slab_tag(chunk) != BL_SLAB_VOID);
    bl_slab_set_tag(chunk, BL_SLAB_VOID);
    if (row_kind_of(row) == KIND_RUN) {
        free_run(slab, page);
        return;
    }
    BL_ASSERT(row_kind_of(row) == KIND_CHUNKS && row->used > 0);
    if (row->free == 0)
        list_push(slab, &heap->partial[cls], page);
    freed->next = row->free;
    row->free = (uint16_t)(chunk_index(slab, page, chunk) + 1);
    if (--row->used == 0) {
        list_remove(slab, &heap->partial[cls], page);
        free_run(slab, page);
    }
}

bool bl_slab_suits(const bl_slab *slab, const void *chunk, size_t size)
{
    const bl_slab_row *row = &slab->rows[bl_slab_page_of(slab, chunk)];

    if (row_kind_of(row) == KIND_RUN)
        return bl_slab_run_pages(size) == row_pages(row);
    return size <= LARGEST_CHUNK && class_of(slab, size) == row_class(row);
}

size_t bl_slab_room(const bl_slab *slab, const void *chunk)
{
    const bl_slab_row *row = &slab->rows[bl_slab_page_of(slab, chunk)];

    if (row_kind_of(row) == KIND_RUN)
        return (size_t)row_pages(row) * BL_SLAB_PAGE;
    return class_size[row_class(row)];
}

size_t bl_slab_free_space(const bl_slab *slab)
{
    return (size_t)__atomic_load_n(&slab->free_pages, __ATOMIC_RELAXED) * BL_SLAB_PAGE;
}

bool bl_slab_owns(const bl_slab *slab, const bl_slab_heap *heap, bl_ref ref)
{
    size_t offset = (size_t)ref * BL_SLAB_UNIT - slab->start, in_page = offset % BL_SLAB_PAGE;
    const bl_slab_row *row;

    if ((size_t)ref * BL_SLAB_UNIT < slab->start || offset / BL_SLAB_PAGE >= slab->pages)
        return false;
    row = &slab->rows[offset / BL_SLAB_PAGE];
    if (row_owner(row) != heap->owner)
        return false;
    if (row_kind_of(row) == KIND_RUN)
        return in_page == 0;
    return row_kind_of(row) == KIND_CHUNKS && in_page % class_size[row_class(row)] == 0 &&
           in_page / class_size[row_class(row)] < chunks_per_page(row);
}

/* A visitor that frees the last chunk of the page changes the page's state. */
static void each_chunk(bl_slab *slab, uint32_t page, bl_slab_visit *visit, void *arg)
{
    bl_slab_row *row = &slab->rows[page];
    uint64_t state = row->state;
    uint32_t i, count;

    if (row_kind_of(row) == KIND_RUN && bl_slab_tag(page_at(slab, page)) != BL_SLAB_VOID)
        visit(arg, page_at(slab, page));
    if (row_kind_of(row) != KIND_CHUNKS)
        return;
    count = chunks_per_page(row);
    for (i = 0; i < count && row->state == state; i++)
        if (chunk_at(slab, page, i)->tag != BL_SLAB_VOID)
            visit(arg, chunk_at(slab, page, i));
}

void bl_slab_page_each(bl_slab *slab, void *chunk, bl_slab_visit *visit, void *arg)
{
    each_chunk(slab, bl_slab_page_of(slab, chunk), visit, arg);
}

void bl_slab_heap_gather(bl_slab *slab, bl_slab_heap *heap)
{
    uint32_t page, last = 0;

    heap->all = 0;
    slab_lock(slab);
    for (page = 0; page < slab->pages; page += row_pages(&slab->rows[page])) {
        bl_slab_row *row = &slab->rows[page];

        if (row_kind_of(row) == KIND_FREE || row_owner(row) != heap->owner)
            continue;
        row->next = 0;
        *(last ? &slab->rows[last - 1].next : &heap->all) = page + 1;
        last = page + 1;
    }
    slab_unlock(slab);
}

void bl_slab_heap_each(bl_slab *slab, bl_slab_heap *heap, bl_slab_visit *visit, void *arg)
{
    uint32_t page;

    for (page = heap->all; page != 0; page = slab->rows[page - 1].next)
        each_chunk(slab, page - 1, visit, arg);
}

/* Frees the torn chunks of a page and threads its free list in order of address. */
static void rebuild_page(bl_slab *slab, uint32_t page)
{
    bl_slab_row *row = &slab->rows[page];
    uint32_t i, free = 0, used = 0;

    for (i = chunks_per_page(row); i > 0; i--) {
        free_chunk *chunk = chunk_at(slab, page, i - 1);

        if (chunk->tag == BL_SLAB_VOID || chunk->tag == BL_SLAB_TORN) {
            *chunk = (free_chunk){BL_SLAB_VOID, free};
            free = i;
        } else {
            used++;
        }
    }
    row->free = (uint16_t)free;
    row->used = (uint16_t)used;
}

void bl_slab_heap_rebuild(bl_slab *slab, bl_slab_heap *heap)
{
    uint32_t page, next;

    memset(heap->partial, 0, sizeof(heap->partial));
    for (page = heap->all; page != 0; page = next) {
        bl_slab_row *row = &slab->rows[page - 1];

        next = row->next;
        if (row_kind_of(row) == KIND_RUN) {
            if (bl_slab_tag(page_at(slab, page - 1)) <= BL_SLAB_TORN)
                free_run(slab, page - 1);
            continue;
        }
        rebuild_page(slab, page - 1);
        if (row->used == 0)
            free_run(slab, page - 1);
        else if (row->free)
            list_push(slab, &heap->partial[row_class(row)], page - 1);
    }
    heap->all = 0;
}

static uint32_t row_cost(const bl_slab_row *row)
{
    if (row_kind_of(row) == KIND_CHUNKS)
        return row->used;
    return row_kind_of(row) == KIND_RUN;
}

/* Two heads walk the table: `right` is ahead of `left` by at least `pages` pages, and `cost` is
 * what stands between them. The best window may be taken to begin at a head: moving it left to the
 * start of a run that it cuts adds no chunk. */
uint32_t bl_slab_window(bl_slab *slab, uint32_t pages, uint32_t from)
{
    uint32_t left, right, cost = 0, best = UINT32_MAX, best_cost = UINT32_MAX;

    slab_lock(slab);
    for (left = 0; left < from;)
        left += row_pages(&slab->rows[left]);
    for (right = left; left < slab->pages; left += row_pages(&slab->rows[left])) {
        for (; right < slab->pages && right - left < pages; right += row_pages(&slab->rows[right]))
            cost += row_cost(&slab->rows[right]);
        if (right - left < pages)
            break;
        if (cost < best_cost) {
            best_cost = cost;
            best = left;
        }
        cost -= row_cost(&slab->rows[left]);
    }
    slab_unlock(slab);
    return best;
}

void bl_slab_window_each(bl_slab *slab, uint32_t first, uint32_t pages, bl_slab_visit *visit,
                         void *arg)
{
    uint32_t page;

    for (page = first; page - first < pages; page++)
        each_chunk(slab, page, visit, arg);
}

static const char *verify_page(const bl_slab *slab, uint32_t page)
{
    const bl_slab_row *row = &slab->rows[page];
    uint32_t i, count = chunks_per_page(row), used = 0, free = 0;

    for (i = 0; i < count; i++)
        used += chunk_at(slab, page, i)->tag != BL_SLAB_VOID;
    if (used != row->used || used == 0)
        return "slab: a page counts its chunks wrongly";
    for (i = row->free; i != 0; i = chunk_at(slab, page, i - 1)->next)
        if (i > count || chunk_at(slab, page, i - 1)->tag != BL_SLAB_VOID || ++free > count)
            return "slab: a page's free list is broken";
    return free + used == count ? NULL : "slab: a page lost chunks";
}

static const char *verify_table(const bl_slab *slab, uint32_t *free_runs, uint32_t *partial_pages)
{
    uint32_t page, pages, i, free_pages = 0;
    row_kind kind, last = KIND_RUN;
    const char *wrong;

    for (page = 0; page < slab->pages; page += pages, last = kind) {
        const bl_slab_row *row = &slab->rows[page];

        pages = row_pages(row);
        kind = row_kind_of(row);
        if (!is_head(row) || pages == 0 || pages > slab->pages - page)
            return "slab: the page table is broken";
        for (i = 1; i < pages; i++)
            if (is_head(&row[i]))
                return "slab: a run has a head inside";
        if (kind == KIND_FREE) {
            if (last == KIND_FREE)
                return "slab: free neighbours did not coalesce";
            free_pages += pages;
            ++*free_runs;
        }
        if (kind == KIND_RUN && bl_slab_tag(page_at(slab, page)) <= BL_SLAB_TORN)
            return "slab: a run holds nothing";
        if (kind == KIND_CHUNKS && (wrong = verify_page(slab, page)) != NULL)
            return wrong;
        *partial_pages += kind == KIND_CHUNKS && row->free != 0;
    }
    return free_pages == slab->free_pages ? NULL : "slab: free pages are counted wrongly";
}

/* Counts the pages of a list; UINT32_MAX when a page on it is not of this kind, class and owner. */
static uint32_t list_length(const bl_slab *slab, uint32_t list, row_kind kind, unsigned cls,
                            uint32_t owner)
{
    uint32_t count = 0, prev = 0;

    for (; list != 0; prev = list, list = slab->rows[list - 1].next) {
        const bl_slab_row *row = &slab->rows[list - 1];

        if (row_kind_of(row) != kind || row->prev != prev || row_owner(row) != owner ||
            (kind == KIND_FREE ? bin_of(row_pages(row)) : row_class(row)) != cls ||
            ++count > slab->pages)
            return UINT32_MAX;
    }
    return count;
}

const char *bl_slab_verify(bl_slab *slab, bl_slab_heap *const *heaps, uint32_t count)
{
    uint32_t i, cls, n, free_runs = 0, partial_pages = 0, binned = 0, listed = 0;
    const char *wrong;

    slab_lock(slab);
    wrong = verify_table(slab, &free_runs, &partial_pages);
    for (i = 0; !wrong && i < BL_SLAB_BINS; i++) {
        n = list_length(slab, slab->bins[i], KIND_FREE, i, 0);
        binned += n;
        if (n == UINT32_MAX)
            wrong = "slab: a bin is broken";
    }
    for (i = 0; !wrong && i < count; i++)
        for (cls = 0; cls < BL_SLAB_CLASSES; cls++) {
            n = list_length(slab, heaps[i]->partial[cls], KIND_CHUNKS, cls, heaps[i]->owner);
            listed += n;
            if (n == UINT32_MAX)
                wrong = "slab: a heap's list is broken";
        }
    if (!wrong && (binned != free_runs || listed != partial_pages))
        wrong = "slab: a list lost pages";
    slab_unlock(slab);
    return wrong;
}
