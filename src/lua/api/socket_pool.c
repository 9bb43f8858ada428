#include "lua/api/socket_pool.h"
#include "core/mem.h"
#include "lua/api/socket.h"

enum {
    BUCKETS = 512, /* a power of 2 */
    SPARE_MAX = 256,
};

/* What stands for an idle connection; c->data. */
typedef struct idle {
    bl_link link;
    bl_sockpool *pool;
    bl_conn *conn;
    uint32_t reused;
} idle;

static bl_link buckets[BUCKETS];
static bl_link spare; /* idle.link */
static int spare_count;

/* ------------------------------------------------------------- pools */

static void go_on(bl_work *work)
{
    bl_sockpool *pool = BL_CONTAINER(work, bl_sockpool, work);

    if (pool->waiting_count > 0 && (pool->idle_count > 0 || !bl_sockpool_full(pool))) {
        bl_socket *s = BL_LIST_FIRST(&pool->waiting, bl_socket, queue);
        bl_list_remove(&s->queue);
        pool->waiting_count--;
        if (pool->waiting_count > 0)
            bl_work_post(&pool->work);
        bl_socket_unqueue(s);
        return;
    }
    bl_sockpool_settle(pool);
}

static bl_sockpool *new_pool(bl_str name, uint32_t hash, bl_link *bucket)
{
    bl_sockpool *pool = bl_zalloc(sizeof *pool + name.len + 1);

    pool->hash = hash;
    pool->backlog = -1;
    pool->len = name.len;
    memcpy(pool->name, name.p, name.len);
    pool->work.run = go_on;
    bl_list_init(&pool->idle);
    bl_list_init(&pool->waiting);
    bl_list_unshift(bucket, &pool->link);
    return pool;
}

bl_sockpool *bl_sockpool_of(bl_str name)
{
    uint32_t hash = bl_hash(name.p, name.len);
    bl_link *bucket = &buckets[hash & (BUCKETS - 1)];

    if (BL_UNLIKELY(bucket->next == NULL))
        bl_list_init(bucket);
    BL_LIST_EACH (it, bucket) {
        bl_sockpool *pool = BL_CONTAINER(it, bl_sockpool, link);
        if (pool->hash == hash && pool->len == name.len &&
            memcmp(pool->name, name.p, name.len) == 0)
            return pool;
    }
    return new_pool(name, hash, bucket);
}

void bl_sockpool_settle(bl_sockpool *pool)
{
    if (pool->active || pool->idle_count || pool->waiting_count)
        return;
    if (pool->size)
        bl_debug(&bl_log_process, "lua tcp socket keepalive: free connection pool for \"%s\"",
                 pool->name);
    bl_work_cancel(&pool->work);
    bl_list_remove(&pool->link);
    bl_free(pool);
}

void bl_sockpool_fix(bl_sockpool *pool, int64_t size, int64_t backlog)
{
    if (pool->size)
        return;
    pool->size = size;
    pool->backlog = backlog;
    bl_debug(&bl_log_process, "lua tcp socket keepalive create connection pool for key \"%s\"",
             pool->name);
    bl_debug(&bl_log_process, "lua tcp socket connection pool size: %lld", (long long)size);
}

void bl_sockpool_enter(bl_sockpool *pool)
{
    pool->active++;
}

void bl_sockpool_leave(bl_sockpool *pool)
{
    pool->active--;
    if (BL_UNLIKELY(pool->waiting_count > 0))
        bl_work_post(&pool->work);
    else
        bl_sockpool_settle(pool);
}

/* ------------------------------------------------------------- idle connections */

static bl_conn *unlink_idle(idle *i)
{
    bl_conn *c = i->conn;

    c->log.targets = bl_log_process.targets; /* those of its time may be gone after a reload */
    bl_list_remove(&i->link);
    i->pool->idle_count--;
    bl_conn_set_idle(c, false);
    bl_timer_stop(&c->timer);
    if (spare_count >= SPARE_MAX) {
        bl_free(i);
    } else {
        bl_list_unshift(&spare, &i->link);
        spare_count++;
    }
    return c;
}

static void end_idle(idle *i)
{
    bl_sockpool *pool = i->pool;

    bl_debug(&bl_log_process, "lua tcp socket keepalive close handler: fd:%d", i->conn->io.fd);
    bl_conn_close(unlink_idle(i));
    bl_sockpool_settle(pool);
}

static void on_idle_close(bl_conn *c)
{
    end_idle(c->data);
}

static void on_timeout(bl_timer *timer)
{
    end_idle(BL_CONTAINER(timer, bl_conn, timer)->data);
}

/* Data, the end, or (of TLS) a ticket, which is harmless. */
static void on_read(bl_io *io)
{
    bl_conn *c = bl_conn_of(io);
    char byte;

    c->log.targets = bl_log_process.targets;
    if (c->tls && bl_conn_read(c, &byte, 1) == BL_IO_AGAIN)
        return;
    end_idle(c->data);
}

static void on_write(bl_io *io BL_UNUSED)
{
}

bl_conn *bl_sockpool_take(bl_sockpool *pool, uint32_t *reused)
{
    if (pool->idle_count == 0)
        return NULL;
    idle *i = BL_LIST_FIRST(&pool->idle, idle, link);
    *reused = i->reused + 1;
    bl_debug(&bl_log_process, "lua tcp socket get keepalive peer: using connection %p, fd:%d",
             (void *)i->conn, i->conn->io.fd);
    return unlink_idle(i);
}

static idle *new_idle(void)
{
    if (BL_UNLIKELY(spare.next == NULL))
        bl_list_init(&spare);
    if (bl_list_empty(&spare))
        return bl_zalloc(sizeof(idle));
    idle *i = BL_LIST_FIRST(&spare, idle, link);
    bl_list_remove(&i->link);
    spare_count--;
    return i;
}

/* Its log was the socket's; that of the process outlives every request and configuration. */
static void detach_log(bl_conn *c)
{
    c->log.describe = NULL;
    c->log.targets = bl_log_process.targets;
}

void bl_sockpool_put(bl_sockpool *pool, bl_conn *c, uint32_t reused, int64_t ms)
{
    idle *i = new_idle();

    i->pool = pool;
    i->conn = c;
    i->reused = reused;
    c->data = i;
    detach_log(c);
    c->io.on_read = on_read;
    c->io.on_write = on_write;
    c->on_idle_close = on_idle_close;
    bl_conn_set_idle(c, true);
    if (ms > 0) {
        c->timer.fire = on_timeout;
        c->timer.weak = true;
        bl_timer_set(&c->timer, (uint64_t)ms);
        bl_debug(&bl_log_process, "lua tcp socket keepalive timeout: %lld ms", (long long)ms);
    } else {
        bl_debug(&bl_log_process, "lua tcp socket keepalive timeout: unlimited");
    }
    bl_list_unshift(&pool->idle, &i->link);
    if (++pool->idle_count > pool->size)
        end_idle(BL_CONTAINER(pool->idle.prev, idle, link));
    if (BL_UNLIKELY(pool->waiting_count > 0))
        bl_work_post(&pool->work);
}
