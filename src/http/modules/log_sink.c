#include "http/modules/log_sink.h"
#include "core/time.h"
#include "event/timer.h"

#include <errno.h>
#include <unistd.h>
#include <zlib.h>

struct bl_log_sink {
    bl_open_file *file;
    bl_log_sink_options options;
    char *buffer; /* options.buffer bytes, made at the first line of a worker */
    size_t used;
    bl_timer timer;
    time_t said, full;
};

enum {
    SAY_AGAIN = 60, /* seconds between complaints about the same file */
};

void bl_log_sink_write_fd(int fd, const char *path, bl_str bytes, time_t *said, time_t *full)
{
    if (*full == bl_clock_now.sec)
        return; /* a full disk costs one failing write per second */
    ssize_t n = write(fd, bytes.p, bytes.len);
    if (n == (ssize_t)bytes.len)
        return;
    int err = n < 0 ? errno : 0;
    if (err == ENOSPC)
        *full = bl_clock_now.sec;
    if (*said && bl_clock_now.sec - *said < SAY_AGAIN)
        return;
    *said = bl_clock_now.sec;
    if (n < 0)
        bl_log_write(BL_LOG_ALERT, &bl_log_process, err, "write() to \"%s\" failed", path);
    else
        bl_log_write(BL_LOG_ALERT, &bl_log_process, 0,
                     "write() to \"%s\" was incomplete: %zd of %zu", path, n, bytes.len);
}

static void write_out(bl_log_sink *s, bl_str bytes)
{
    bl_log_sink_write_fd(s->file->fd, s->file->path, bytes, &s->said, &s->full);
}

/* One gzip member: members one behind the other are a gzip file. */
static void write_compressed(bl_log_sink *s, bl_str bytes)
{
    z_stream z = {0};

    if (deflateInit2(&z, s->options.gzip, Z_DEFLATED, MAX_WBITS + 16, MAX_MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        bl_log_write(BL_LOG_ALERT, &bl_log_process, 0, "deflateInit2() failed");
        return;
    }
    size_t size = deflateBound(&z, (uLong)bytes.len);
    char *to = bl_alloc(size);
    z.next_in = (Bytef *)bytes.p;
    z.avail_in = (uInt)bytes.len;
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)size;
    if (deflate(&z, Z_FINISH) == Z_STREAM_END)
        write_out(s, bl_str_of(to, size - z.avail_out));
    deflateEnd(&z);
    bl_free(to);
}

static void write_bytes(bl_log_sink *s, bl_str bytes)
{
    if (s->options.gzip)
        write_compressed(s, bytes);
    else
        write_out(s, bytes);
}

void bl_log_sink_flush(bl_log_sink *s)
{
    if (s->timer.armed)
        bl_timer_stop(&s->timer);
    if (s->used)
        write_bytes(s, bl_str_of(s->buffer, s->used));
    s->used = 0;
}

static void on_timer(bl_timer *timer)
{
    bl_log_sink_flush(BL_CONTAINER(timer, bl_log_sink, timer));
}

void bl_log_sink_write(bl_log_sink *s, bl_str line)
{
    size_t size = (size_t)s->options.buffer;

    if (size == 0) {
        write_bytes(s, line);
        return;
    }
    if (line.len > size - s->used)
        bl_log_sink_flush(s);
    if (line.len > size) {
        write_bytes(s, line);
        return;
    }
    if (s->buffer == NULL)
        s->buffer = bl_alloc(size);
    if (s->used == 0 && s->options.flush)
        bl_timer_set(&s->timer, (uint64_t)s->options.flush);
    memcpy(s->buffer + s->used, line.p, line.len);
    s->used += line.len;
}

/* ------------------------------------------------------------- configuration */

static void flush_file(bl_open_file *file)
{
    bl_log_sink_flush(file->flush_data);
}

static void free_buffer(void *data)
{
    bl_log_sink *s = data;

    bl_free(s->buffer);
    s->buffer = NULL;
}

static bool same_options(const bl_log_sink_options *a, const bl_log_sink_options *b)
{
    return a->buffer == b->buffer && a->flush == b->flush && a->gzip == b->gzip;
}

bl_log_sink *bl_log_sink_of(bl_conf *cf, const bl_conf_node *node, bl_str path,
                            const bl_log_sink_options *options)
{
    bl_open_file *file = bl_conf_open_file(cf, path);

    if (file == NULL)
        return NULL;
    if (file->flush_data) {
        bl_log_sink *there = file->flush_data;
        if (same_options(&there->options, options))
            return there;
        bl_conf_error(cf, node, 0,
                      "access_log \"%.*s\" already defined with conflicting parameters",
                      BL_STR_ARG(path));
        return NULL;
    }
    bl_log_sink *s = BL_NEW(cf->pool, bl_log_sink);
    s->file = file;
    s->options = *options;
    s->timer.fire = on_timer;
    s->timer.weak = true;
    file->flush_data = s;
    file->flush = flush_file;
    bl_pool_cleanup(cf->pool, free_buffer, s);
    return s;
}
