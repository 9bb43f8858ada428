#include "http/body.h"
#include "http/core_module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A body on its way into memory, then into a file. */
typedef struct bl_body_reader {
    void (*then)(bl_request *r, bl_step step);
    int want;
    size_t buffer_size;
    bl_buf *buf; /* the memory piece being filled */
} reader;

static reader *reader_of(bl_request *r)
{
    if (r->body.reader == NULL)
        r->body.reader = BL_NEW(r->pool, reader);
    return r->body.reader;
}

void bl_body_want(bl_request *r, int how)
{
    reader_of(r)->want |= how;
}

/* ------------------------------------------------------------- temporary files */

static bool read_temp_path(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                           void *field)
{
    bl_temp_path **to = field, *path = BL_NEW(cf->pool, bl_temp_path);

    path->path = bl_conf_path(cf, bl_conf_arg(node, 1), false);
    for (int i = 2; i < node->count; i++) {
        int64_t level = bl_str_to_int(bl_conf_arg(node, i));
        if (level < 1 || level > 3)
            return bl_conf_invalid(cf, node, i);
        path->levels[i - 2] = (int)level;
    }
    *to = path;
    return true;
}

const bl_type bl_type_temp_path = {"path [level1 [level2 [level3]]]", sizeof(bl_temp_path *),
                                   read_temp_path};

static void temp_file_gone(void *data)
{
    bl_temp_file *file = data;

    if (file->fd >= 0)
        close(file->fd);
    if (!file->keep && file->path.len)
        unlink(file->path.p);
}

/* Folders of the levels, from the last digits of the number: 0000000123 → 3/12/. */
static size_t put_levels(const bl_temp_path *path, const char *name, size_t name_len, char *to,
                         size_t size, bool make, const char *base)
{
    size_t len = 0, end = name_len;

    for (int i = 0; i < 3 && path->levels[i]; i++) {
        size_t n = (size_t)path->levels[i];
        if (end < n || len + n + 2 > size)
            break;
        end -= n;
        to[len++] = '/';
        memcpy(to + len, name + end, n);
        len += n;
        to[len] = '\0';
        if (make) {
            char folder[1024];
            snprintf(folder, sizeof folder, "%s%s", base, to);
            mkdir(folder, 0700);
        }
    }
    to[len] = '\0';
    return len;
}

static int create(const bl_temp_path *path, bl_pool *pool, bl_str *name_out)
{
    static unsigned long next;
    char name[32], levels[32];

    for (int tries = 0; tries < 100; tries++) {
        unsigned long number = ++next + (unsigned long)getpid() * 1000000ul;
        int len = snprintf(name, sizeof name, "%010lu", number % 10000000000ul);
        put_levels(path, name, (size_t)len, levels, sizeof levels, tries > 0, path->path.p);
        *name_out = bl_pool_printf(pool, "%s%s/%s", path->path.p, levels, name);
        int fd = open(name_out->p, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
            return fd;
        if (errno == ENOENT)
            mkdir(path->path.p, 0700);
        else if (errno != EEXIST)
            break;
    }
    return -1;
}

bl_temp_file *bl_temp_file_new(bl_request *r, const bl_temp_path *path, bool keep)
{
    bl_temp_file *file = BL_NEW(r->pool, bl_temp_file);

    file->keep = keep;
    file->fd = create(path, r->pool, &file->path);
    if (file->fd < 0) {
        bl_log_write(BL_LOG_CRIT, r->log, errno, "open() \"%s\" failed", file->path.p);
        return NULL;
    }
    bl_pool_cleanup(r->pool, temp_file_gone, file);
    return file;
}

bool bl_temp_file_write(bl_request *r, bl_temp_file *file, bl_str bytes)
{
    while (bytes.len) {
        ssize_t n = pwrite(file->fd, bytes.p, bytes.len, file->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            bl_log_write(BL_LOG_CRIT, r->log, errno, "pwrite() \"%s\" failed", file->path.p);
            return false;
        }
        file->size += n;
        bytes = bl_str_of(bytes.p + n, bytes.len - (size_t)n);
    }
    return true;
}

/* ------------------------------------------------------------- reading */

/* Everything in memory so far goes to the file. */
static bool spill(bl_request *r)
{
    const bl_http_core_location *core = r->loc->core;
    reader *reader = r->body.reader;

    if (r->body.file == NULL) {
        bool keep = core->client_body_in_file_only == BL_BODY_FILE_ON;
        r->body.file = bl_temp_file_new(r, core->client_body_temp_path, keep);
        if (r->body.file == NULL)
            return false;
        bl_log_write(BL_LOG_WARN, r->log, 0,
                     "a client request body is buffered to a temporary file %s",
                     r->body.file->path.p);
    }
    for (bl_buf *b = r->body.data.first; b; b = b->next) {
        if (!bl_temp_file_write(r, r->body.file, bl_str_of(b->pos, (size_t)(b->last - b->pos))))
            return false;
    }
    bl_chain_init(&r->body.data);
    reader->buf = NULL;
    return true;
}

static void need_buffer(bl_request *r)
{
    reader *reader = r->body.reader;
    int64_t size = r->loc->core->client_body_buffer_size;

    if (reader->buf)
        return;
    if (r->body.length >= 0 && r->body.length < size)
        size = r->body.length;
    reader->buffer_size = (size_t)BL_MAX(size, 1);
    reader->buf = bl_buf_new(r->pool, reader->buffer_size);
    bl_chain_push(&r->body.data, reader->buf);
}

/* Keeps a piece: in the buffer while it fits, else what is there goes to the file first. */
static bool keep(bl_request *r, bl_str piece)
{
    reader *reader = r->body.reader;

    while (piece.len) {
        need_buffer(r);
        size_t room = (size_t)(reader->buf->end - reader->buf->last);
        if (room == 0) {
            if (!spill(r))
                return false;
            continue;
        }
        size_t n = BL_MIN(room, piece.len);
        memcpy(reader->buf->last, piece.p, n);
        reader->buf->last += n;
        piece = bl_str_of(piece.p + n, piece.len - n);
    }
    return true;
}

static bool finish_body(bl_request *r)
{
    reader *reader = r->body.reader;
    bool only_file = r->loc->core->client_body_in_file_only != BL_BODY_FILE_OFF ||
                     (reader->want & BL_BODY_IN_FILE_ONLY);

    r->body.whole = true;
    if (r->body.chunked && r->body.length < 0)
        r->body.length = r->body.received;
    if ((r->body.file || (only_file && r->body.received)) && !spill(r))
        return false;
    if (r->body.file)
        bl_chain_push(&r->body.data, bl_buf_file(r->pool, r->body.file->fd, 0, r->body.file->size));
    return true;
}

static bool is_too_large(bl_request *r, size_t more)
{
    int64_t most = r->loc->core->client_max_body_size;

    r->body.received += (int64_t)more;
    if (most == 0 || r->body.received <= most)
        return false;
    bl_log_write(BL_LOG_ERR, r->log, 0,
                 "client intended to send too large chunked body: %lld bytes",
                 (long long)r->body.received);
    return true;
}

/* BL_NEXT: whole; BL_WAIT: more must come; else the status. */
static bl_step pull(bl_request *r)
{
    bl_str piece;
    bool end = false;

    while (!end) {
        bl_status status = r->body.status ? BL_ERROR : r->codec->read_body(r, &piece, &end);
        if (status == BL_AGAIN)
            return BL_WAIT;
        if (status == BL_ERROR)
            return r->body.status ? r->body.status : 400;
        if (is_too_large(r, piece.len)) {
            r->lingering = true;
            return 413;
        }
        if (!keep(r, piece))
            return 500;
    }
    return finish_body(r) ? BL_NEXT : 500;
}

static void on_ready(bl_request *r)
{
    bl_step step = pull(r);

    if (step == BL_WAIT)
        return;
    r->body.reading = false;
    r->body.on_ready = NULL;
    r->body.reader->then(r, step);
}

/* An expectation with an empty body: the client gets its 100 all the same. */
static bool say_continue(bl_request *r)
{
    r->expect_100 = false;
    return r->codec->send_interim == NULL || r->codec->send_interim(r, 100) != BL_ERROR;
}

bl_step bl_body_read(bl_request *r, void (*then)(bl_request *r, bl_step step))
{
    reader *reader = reader_of(r);

    r->body.asked = true;
    if (r->expect_100 && !r->body.expected && !say_continue(r))
        return BL_CLOSE;
    if (r->body.whole || r->body.discarded)
        return BL_NEXT;
    if (!r->body.expected) {
        r->body.whole = true;
        return BL_NEXT;
    }
    reader->then = then;
    r->body.on_ready = on_ready;
    r->body.reading = true;
    bl_step step = pull(r);
    if (step != BL_WAIT) {
        r->body.reading = false;
        r->body.on_ready = NULL;
    }
    return step;
}

bl_status bl_body_stream(bl_request *r, bl_str *to, bool *end, int *status,
                         void (*ready)(bl_request *r))
{
    *to = BL_STR_NONE;
    *end = true;
    if (r->body.whole || !r->body.expected)
        return BL_OK;
    r->body.on_ready = ready;
    bl_status result = r->body.status ? BL_ERROR : r->codec->read_body(r, to, end);
    if (result == BL_ERROR)
        *status = r->body.status ? r->body.status : 400;
    if (result != BL_OK)
        return result;
    r->body.on_ready = NULL;
    if (is_too_large(r, to->len)) {
        *status = 413;
        r->lingering = true;
        return BL_ERROR;
    }
    r->body.whole = *end;
    return BL_OK;
}

bl_step bl_body_discard(bl_request *r)
{
    if (r->body.discarded || !bl_request_is_main(r) ||
        ((r->body.whole || !r->body.expected) && !r->expect_100))
        return BL_NEXT;
    r->body.discarded = true;
    r->body.on_ready = NULL;
    if (r->codec->discard_body == NULL || r->codec->discard_body(r) != BL_ERROR)
        return BL_NEXT;
    return r->body.status ? r->body.status : 400;
}

/* ------------------------------------------------------------- the body as a whole */

bool bl_body_string(bl_request *r, bl_str *to)
{
    size_t len = 0;

    *to = BL_STR_NONE;
    for (const bl_buf *b = r->body.data.first; b; b = b->next) {
        if (bl_buf_in_file(b))
            return false;
        len += (size_t)(b->last - b->pos);
    }
    bl_buf *first = r->body.data.first;
    if (first == NULL)
        return false;
    if (first->next == NULL) {
        *to = bl_str_of(first->pos, len);
        return true;
    }
    char *at = bl_pool_bytes(r->pool, len + 1);
    *to = bl_str_of(at, len);
    for (const bl_buf *b = first; b; b = b->next)
        at = bl_str_put(at, bl_str_of(b->pos, (size_t)(b->last - b->pos)));
    return true;
}

static void set_length_header(bl_request *r, size_t len)
{
    char text[20];
    size_t n = (size_t)(bl_u64_write(text, len) - text);

    bl_headers_remove(&r->in, BL_STR("Transfer-Encoding"));
    bl_headers_set(&r->in, r->pool, BL_STR("Content-Length"),
                   bl_pool_str(r->pool, bl_str_of(text, n)));
}

void bl_body_set(bl_request *r, bl_str data)
{
    bl_chain_init(&r->body.data);
    r->body.file = NULL;
    if (data.len)
        bl_chain_push(&r->body.data, bl_buf_ref(r->pool, data));
    r->body.length = (int64_t)data.len;
    r->body.chunked = false;
    r->body.expected = data.len != 0;
    r->body.whole = true;
    set_length_header(r, data.len);
}
