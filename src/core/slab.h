/* Memory for a zone that is shared by processes, any of which may die at any instruction.
 *
 *     | bl_slab  | page table: a row a page | ... | 4 KB pages                             |
 *
 *     page table  [ CHUNKS 128 heap 0 | RUN 3 heap 1 | -  | END | FREE 5 | -  | -  | -  | END ]
 *     pages       [ c c c c c c c c c | one large chunk ........| nothing ...................  ]
 *
 * A page is cut into equal chunks, or begins a run that is one large chunk, or begins a run of free
 * pages. Pages are taken from the slab, under its own lock, by a *heap*; a heap is guarded by a
 * lock of its user, who may run several heaps over one slab (a dictionary has one for each shard).
 * When a page has no chunk left in use it goes back, and coalesces with its free neighbours. Lock
 * order: the user's lock, then the slab's, which is only ever held inside this file.
 *
 * Surviving a death. Each row has a state word; walking the table from the first page, and from
 * each head over the pages its word counts, gives the truth. Each change of hands is one store to
 * one such word, after what it promises (tags in the chunks, the head of a rest) has been written.
 * Each chunk begins with a tag word: 0 free, BL_SLAB_TORN taken but not yet holding anything whole,
 * any other value is the user's and says that the chunk is committed. All else (free lists, partial
 * lists, counts, rows inside of runs) is derived and is rebuilt: bins of free runs when the slab's
 * lock is found orphaned, a heap's lists when its user calls bl_slab_heap_gather, _each and
 * _rebuild.
 *
 * Chunk sizes are powers of two from 32 to 2048 bytes; a zone that is large enough not to be split
 * up by the number of sizes also has those half way (48, 96, ...; 1360 is a third of a page). What
 * is larger takes whole pages. Nothing here depends on a process: places are offsets. */
#ifndef BL_CORE_SLAB_H
#define BL_CORE_SLAB_H

#include "core/base.h"
#include "core/rlock.h"

enum {
    BL_SLAB_PAGE = 4096,
    BL_SLAB_UNIT = 16, /* every chunk is aligned to it */
    BL_SLAB_CLASSES = 13,
    BL_SLAB_BINS = 25,

    BL_SLAB_VOID = 0, /* tags */
    BL_SLAB_TORN = 1,
};

/* A place: units from the slab's own address. 0 is no place. */
typedef uint32_t bl_ref;

typedef struct bl_slab_row {
    uint64_t state; /* kind, class, owner, number of pages: see slab.c */
    uint32_t next;  /* a list of pages (index + 1): a bin, a partial list, or all of a heap's */
    uint32_t prev;
    uint16_t used; /* chunks in use in a page of chunks */
    uint16_t free; /* the first free one (index + 1) */
} bl_slab_row;

typedef struct bl_slab {
    bl_rlock lock;
    uint32_t pages;      /* in all */
    uint32_t free_pages; /* derived; read without the lock by bl_slab_free_space */
    uint32_t start;      /* bytes from the slab to the first page */
    bool halves;
    uint32_t bins[BL_SLAB_BINS]; /* free runs of 2^bin and more pages */
    bl_slab_row rows[];
} bl_slab;

typedef struct bl_slab_heap {
    uint32_t owner;
    uint32_t all;                      /* pages gathered for a rebuild */
    uint32_t partial[BL_SLAB_CLASSES]; /* pages with a free chunk, by class */
} bl_slab_heap;

typedef void bl_slab_visit(void *arg, void *chunk);

/* Bytes of a bl_slab with the table for `pages` pages. */
size_t bl_slab_size(uint32_t pages);

/* Begins a slab over `pages` free pages, the first `start` bytes after the slab, whose address is
 * a multiple of BL_SLAB_UNIT. `halves` asks for the sizes half way. Memory is zero-filled before.
 */
void bl_slab_init(bl_slab *slab, uint32_t pages, uint32_t start, bool halves);

/* Begins an empty heap; `owner` tells the heaps of a slab apart (below 65536). */
void bl_slab_heap_init(bl_slab_heap *heap, uint32_t owner);

/* A chunk of at least `size` bytes, tagged BL_SLAB_TORN, or NULL when there is no room for it. The
 * caller holds the heap's lock. */
void *bl_slab_alloc(bl_slab *slab, bl_slab_heap *heap, size_t size);

/* Gives a chunk of this heap back. The caller holds the heap's lock. */
void bl_slab_free(bl_slab *slab, bl_slab_heap *heap, void *chunk);

/* Whether a chunk is just what bl_slab_alloc would give for `size`. */
bool bl_slab_suits(const bl_slab *slab, const void *chunk, size_t size);

/* Bytes a chunk has. */
size_t bl_slab_room(const bl_slab *slab, const void *chunk);

/* Pages that a chunk of `size` bytes takes when it is a run; 0 when it shares a page. */
uint32_t bl_slab_run_pages(size_t size);

/* Bytes of wholly free pages. */
size_t bl_slab_free_space(const bl_slab *slab);

/* Recovery of a heap, whose lock the caller holds. _gather collects the pages the heap owns;
 * _each then visits their chunks that have a tag (any number of times; the visitor may change
 * tags); _rebuild makes the lists anew, taking chunks tagged BL_SLAB_TORN or _VOID as free, and
 * gives empty pages back. */
void bl_slab_heap_gather(bl_slab *slab, bl_slab_heap *heap);
void bl_slab_heap_each(bl_slab *slab, bl_slab_heap *heap, bl_slab_visit *visit, void *arg);
void bl_slab_heap_rebuild(bl_slab *slab, bl_slab_heap *heap);

/* Whether `ref` is the place of a chunk of this heap. */
bool bl_slab_owns(const bl_slab *slab, const bl_slab_heap *heap, bl_ref ref);

/* Visits the chunks with a tag on the page that `chunk` stands on. The visitor may free any. */
void bl_slab_page_each(bl_slab *slab, void *chunk, bl_slab_visit *visit, void *arg);

/* Making room for a run when the caller holds the locks of all heaps. _window finds `pages`
 * neighbouring pages, at or after page `from`, that the fewest chunks are on, and returns the first
 * (UINT32_MAX when the slab has not so many); _window_each visits those chunks. When the visitor
 * frees them all, a run of `pages` pages can be had. */
uint32_t bl_slab_window(bl_slab *slab, uint32_t pages, uint32_t from);
void bl_slab_window_each(bl_slab *slab, uint32_t first, uint32_t pages, bl_slab_visit *visit,
                         void *arg);

/* Walks everything; the caller holds the locks of all heaps. Returns NULL, or what is wrong. */
const char *bl_slab_verify(bl_slab *slab, bl_slab_heap *const *heaps, uint32_t count);

/* The page (an index) a chunk stands on. */
uint32_t bl_slab_page_of(const bl_slab *slab, const void *chunk);

static inline void *bl_slab_at(const bl_slab *slab, bl_ref ref)
{
    return (char *)slab + (size_t)ref * BL_SLAB_UNIT;
}

static inline bl_ref bl_slab_ref(const bl_slab *slab, const void *chunk)
{
    return (bl_ref)((size_t)((const char *)chunk - (const char *)slab) / BL_SLAB_UNIT);
}

static inline uint32_t bl_slab_tag(const void *chunk)
{
    return __atomic_load_n((const uint32_t *)chunk, __ATOMIC_ACQUIRE);
}

/* Sets a chunk's tag after all that was written to the chunk before. */
static inline void bl_slab_set_tag(void *chunk, uint32_t tag)
{
    __atomic_store_n((uint32_t *)chunk, tag, __ATOMIC_RELEASE);
}

#endif
