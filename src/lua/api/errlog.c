/* A ring of lines, one after the other; a line that does not fit behind the last one goes to the
 * front, and what it is in the way of goes.
 *
 *     | line | line |  free  | line | line | - |
 *                     ^ tail  ^ head             ^ wrap: nothing behind it
 */
#include "lua/api/errlog.h"
#include "core/mem.h"
#include "core/time.h"
#include "lua/task.h"
#include "process/process.h"

typedef struct entry {
    double time;
    uint32_t len;
    int32_t level;
    char text[];
} entry;

static struct {
    char *bytes; /* NULL: nothing is captured */
    size_t size, head, tail, wrap;
    unsigned count;
    int level;
} ring;

/* A line that a signal's handler logged: it may have come in the middle of anything here. */
static struct {
    volatile sig_atomic_t full; /* set by the handler, cleared by the others */
    bl_log_level level;
    double time;
    size_t len;
    char text[BL_LOG_MAX];
} late;

static double now(void)
{
    return (double)bl_clock_now.sec + bl_clock_now.msec / 1000.0;
}

static size_t room_of(size_t len)
{
    return (sizeof(entry) + len + 7) & ~(size_t)7;
}

static entry *oldest(void)
{
    return (entry *)(void *)(ring.bytes + ring.head);
}

static void drop_oldest(void)
{
    ring.head += room_of(oldest()->len);
    ring.count--;
    if (ring.head == ring.wrap) {
        ring.head = 0;
        ring.wrap = ring.size;
    }
    if (ring.count == 0) {
        ring.head = ring.tail = 0;
        ring.wrap = ring.size;
    }
}

/* Makes `room` bytes free at the tail. */
static void make_room(size_t room)
{
    if (ring.size - ring.tail < room) { /* on from the front */
        while (ring.count && ring.head >= ring.tail)
            drop_oldest();
        if (ring.count)
            ring.wrap = ring.tail;
        ring.tail = 0;
        if (ring.count && ring.head == 0 && ring.wrap == 0)
            ring.wrap = ring.size;
    }
    while (ring.count && ring.head >= ring.tail && ring.head - ring.tail < room)
        drop_oldest();
}

static void add(bl_log_level level, double time, bl_str line)
{
    size_t room = room_of(line.len);

    if (room > ring.size)
        return;
    make_room(room);
    entry *e = (entry *)(void *)(ring.bytes + ring.tail);
    *e = (entry){time, (uint32_t)line.len, (int32_t)level};
    memcpy(e->text, line.p, line.len);
    ring.tail += room;
    ring.count++;
}

static void keep_for_later(bl_log_level level, bl_str line)
{
    if (late.full)
        return;
    late.level = level;
    late.time = now();
    late.len = BL_MIN(line.len, sizeof late.text);
    memcpy(late.text, line.p, late.len);
    late.full = 1;
}

static void add_late(void)
{
    if (BL_LIKELY(!late.full))
        return;
    add(late.level, late.time, bl_str_of(late.text, late.len));
    late.full = 0;
}

static void capture(bl_log_level level, bl_str line)
{
    /* What the master says of itself is no program's business. */
    bool mine = bl_lua_now.vm || bl_process >= BL_PROCESS_WORKER || bl_process == BL_PROCESS_SINGLE;

    if (!mine || (int)level > ring.level)
        return;
    if (bl_log_in_handler) {
        keep_for_later(level, line);
        return;
    }
    add_late();
    add(level, now(), line);
}

void bl_lua_errlog_capture(size_t size)
{
    bl_log_capture = NULL;
    bl_free(ring.bytes);
    ring.bytes = NULL;
    if (size == 0)
        return;
    ring.size = ring.wrap = size;
    ring.head = ring.tail = 0;
    ring.count = 0;
    ring.level = BL_LOG_DEBUG;
    ring.bytes = bl_alloc(size);
    bl_log_capture = capture;
}

int bl_lua_ffi_errlog_level(int level)
{
    if (ring.bytes == NULL)
        return -1;
    ring.level = level;
    return 0;
}

int bl_lua_ffi_errlog_take(double *time, const char **text, size_t *len)
{
    if (ring.bytes == NULL)
        return -2;
    add_late();
    if (ring.count == 0)
        return -1;
    const entry *e = oldest();
    int level = e->level;
    *time = e->time;
    *text = e->text;
    *len = e->len;
    drop_oldest();
    return level;
}
