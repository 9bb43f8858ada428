/* Contents of small files.
 *
 *   path ── hash ──> file ── identity: device, inode, size, mtime, ctime, mode, owner
 *                      │     bytes
 *                     LRU
 *
 * Why what is served is never stale. Every change of a file's bytes, owner or mode sets its ctime,
 * and a file put in another's place has another inode; both are compared with what stat() says at
 * each request. One hole is left: a change within the same tick of the kernel's clock as the read.
 * So a file is only kept if its ctime lay SETTLED_NS in the past when it was read, as git does it
 * with its index. (Stores through a shared mapping set the times when the page is first dirtied;
 * who rewrites mapped files in place should not have them served from disk.)
 *
 * A buffer that is on its way to a client holds its file; one that was dropped meanwhile goes with
 * the last of them. */
#include "http/modules/small_files.h"

#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    BUCKETS = 4096,
    SETTLED_NS = 50 * 1000 * 1000,
};

struct bl_small_file {
    bl_link link;
    bl_small_file *next;
    uint32_t hash;
    int refs; /* buffers under way, and the table */
    dev_t dev;
    ino_t ino;
    struct timespec mtime, ctime;
    mode_t mode;
    uid_t uid;
    bl_str path, bytes;
    char text[];
};

static struct {
    bl_small_file *buckets[BUCKETS];
    bl_link lru; /* the most recently used first; next NULL before the first use */
    size_t total;
} table;

static void unref(bl_small_file *f)
{
    if (--f->refs == 0)
        bl_free(f);
}

static void drop(bl_small_file *f)
{
    bl_small_file **at = &table.buckets[f->hash % BUCKETS];

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    bl_list_remove(&f->link);
    table.total -= f->bytes.len;
    unref(f);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_nsec == b->tv_nsec && a->tv_sec == b->tv_sec;
}

static bool unchanged(const bl_small_file *f, const struct stat *st)
{
    return f->ino == st->st_ino && f->dev == st->st_dev && (off_t)f->bytes.len == st->st_size &&
           same_time(&f->ctime, &st->st_ctim) && same_time(&f->mtime, &st->st_mtim) &&
           f->mode == st->st_mode && f->uid == st->st_uid;
}

bl_small_file *bl_small_file_find(bl_str path, const struct stat *st)
{
    uint32_t hash = bl_hash(path.p, path.len);
    bl_small_file *f = table.buckets[hash % BUCKETS];

    while (f && !(f->hash == hash && bl_str_eq(f->path, path)))
        f = f->next;
    if (f == NULL)
        return NULL;
    if (BL_UNLIKELY(!unchanged(f, st))) {
        drop(f);
        return NULL;
    }
    if (table.lru.next != &f->link) {
        bl_list_remove(&f->link);
        bl_list_unshift(&table.lru, &f->link);
    }
    return f;
}

/* Whether a later change is bound to get another ctime. */
static bool is_settled(const struct stat *st)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = (int64_t)(now.tv_sec - st->st_ctim.tv_sec) * 1000000000 +
                  (now.tv_nsec - st->st_ctim.tv_nsec);
    return age > SETTLED_NS;
}

static void insert(bl_small_file *f)
{
    if (table.lru.next == NULL)
        bl_list_init(&table.lru);
    table.total += f->bytes.len;
    while (table.total > BL_SMALL_FILES_TOTAL && !bl_list_empty(&table.lru))
        drop(BL_CONTAINER(table.lru.prev, bl_small_file, link));
    f->refs = 1;
    f->next = table.buckets[f->hash % BUCKETS];
    table.buckets[f->hash % BUCKETS] = f;
    bl_list_unshift(&table.lru, &f->link);
}

static bool read_bytes(int fd, bl_str to, bool at_hand)
{
    struct iovec all = {.iov_base = to.p, .iov_len = to.len};

#ifdef RWF_NOWAIT
    if (at_hand)
        return preadv2(fd, &all, 1, 0, RWF_NOWAIT) == (ssize_t)to.len;
#endif
    return !at_hand && preadv(fd, &all, 1, 0) == (ssize_t)to.len;
}

bl_small_file *bl_small_file_read(bl_str path, int fd, bool at_hand)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > BL_SMALL_FILE_MAX ||
        !is_settled(&st))
        return NULL;

    size_t size = (size_t)st.st_size;
    bl_small_file *f = bl_zalloc(sizeof *f + path.len + size);
    memcpy(f->text, path.p, path.len);
    f->path = bl_str_of(f->text, path.len);
    f->bytes = bl_str_of(f->text + path.len, size);
    if (!read_bytes(fd, f->bytes, at_hand)) {
        bl_free(f);
        return NULL;
    }
    f->hash = bl_hash(path.p, path.len);
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    f->mtime = st.st_mtim;
    f->ctime = st.st_ctim;
    f->mode = st.st_mode;
    f->uid = st.st_uid;
    insert(f);
    return f;
}

off_t bl_small_file_size(const bl_small_file *f)
{
    return (off_t)f->bytes.len;
}

static void release(bl_buf *b)
{
    unref(b->owner);
}

bl_buf *bl_small_file_body(bl_pool *pool, bl_small_file *f)
{
    bl_buf *b = bl_buf_ref(pool, f->bytes);

    f->refs++;
    b->owner = f;
    b->release = release;
    b->sync = f->bytes.len == 0;
    return b;
}
