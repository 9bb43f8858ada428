#include "event/tls_bio.h"
#include "core/mem.h"
#include "os/call.h"

#include <errno.h>

enum {
    STAGE_SIZE = 80 * 1024, /* four full records with what encryption adds, and room for more */
};

static struct {
    bl_conn *owner;
    size_t len;
    char bytes[STAGE_SIZE];
} stage;

static BIO_METHOD *method;

/* ------------------------------------------------------------- the unsent rest */

static void keep(bl_tls *tls, const char *bytes, size_t len)
{
    if (tls->unsent_len == 0)
        tls->unsent_at = 0;
    size_t need = tls->unsent_at + tls->unsent_len + len;
    if (need > tls->unsent_size) {
        tls->unsent = bl_realloc(tls->unsent, need);
        tls->unsent_size = need;
    }
    memcpy(tls->unsent + tls->unsent_at + tls->unsent_len, bytes, len);
    tls->unsent_len += len;
}

/* What the socket takes of the bytes: 0 when it is full, -1 when it is broken. */
static ssize_t send_some(bl_conn *c, const char *bytes, size_t len)
{
    ssize_t n;

    do {
        n = bl_call_send(c->io.fd, bytes, len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        c->tls->io_error = errno;
        c->error = true;
        return -1;
    }
    if (n < (ssize_t)len)
        c->io.writable = false;
    return BL_MAX(n, 0);
}

static bl_status send_unsent(bl_conn *c)
{
    bl_tls *tls = c->tls;

    if (!c->io.writable)
        return BL_AGAIN;
    ssize_t n = send_some(c, tls->unsent + tls->unsent_at, tls->unsent_len);
    if (n < 0)
        return BL_ERROR;
    tls->unsent_at += (size_t)n;
    tls->unsent_len -= (size_t)n;
    if (tls->unsent_len)
        return BL_AGAIN;
    bl_free(tls->unsent);
    tls->unsent = NULL;
    tls->unsent_at = tls->unsent_size = 0;
    return BL_OK;
}

static bl_status send_stage(bl_conn *c)
{
    size_t len = stage.len;

    stage.len = 0;
    stage.owner = NULL;
    if (c->error)
        return BL_ERROR;
    ssize_t n = send_some(c, stage.bytes, len);
    if (n < 0)
        return BL_ERROR;
    if ((size_t)n == len)
        return BL_OK;
    keep(c->tls, stage.bytes + n, len - (size_t)n);
    return BL_AGAIN;
}

bl_status bl_tls_bio_flush(bl_conn *c)
{
    if (c->tls->unsent_len)
        return send_unsent(c);
    return stage.owner == c ? send_stage(c) : BL_OK;
}

void bl_tls_bio_forget(bl_conn *c)
{
    if (stage.owner != c)
        return;
    stage.owner = NULL;
    stage.len = 0;
}

/* ------------------------------------------------------------- what OpenSSL calls */

static int bio_write(BIO *bio, const char *bytes, int len)
{
    bl_conn *c = BIO_get_data(bio);
    size_t size = (size_t)len;

    if (len <= 0)
        return 0;
    if (stage.owner && (stage.owner != c || stage.len + size > sizeof stage.bytes))
        send_stage(stage.owner); /* full; or of a handshake in which a hook speaks to others */
    if (c->error)
        return len; /* nobody will have it */
    if (c->tls->unsent_len || size > sizeof stage.bytes) {
        keep(c->tls, bytes, size);
        return len;
    }
    memcpy(stage.bytes + stage.len, bytes, size);
    stage.len += size;
    stage.owner = c;
    return len;
}

static int bio_read(BIO *bio, char *to, int size)
{
    bl_conn *c = BIO_get_data(bio);
    ssize_t n;

    BIO_clear_retry_flags(bio);
    if (size <= 0)
        return 0;
    if (!c->io.readable) {
        BIO_set_retry_read(bio);
        return -1;
    }
    do {
        n = bl_call_recv(c->io.fd, to, (size_t)size, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        /* Less than asked for: the socket is empty, and news will come as an event. */
        if (n < size && !c->io.hup)
            c->io.readable = false;
        return (int)n;
    }
    if (n == 0) {
        c->eof = true;
        return 0;
    }
    if (errno == EAGAIN) {
        c->io.readable = false;
        BIO_set_retry_read(bio);
    } else {
        c->tls->io_error = errno;
        c->error = true;
    }
    return -1;
}

static long bio_control(BIO *bio, int command, long number BL_UNUSED, void *pointer BL_UNUSED)
{
    bl_conn *c = BIO_get_data(bio);

    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return c->eof;
    default:
        return 0;
    }
}

BIO *bl_tls_bio_new(bl_conn *c)
{
    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bulan");
        if (method == NULL)
            return NULL;
        BIO_meth_set_write(method, bio_write);
        BIO_meth_set_read(method, bio_read);
        BIO_meth_set_ctrl(method, bio_control);
    }
    BIO *bio = BIO_new(method);
    if (bio) {
        BIO_set_data(bio, c);
        BIO_set_init(bio, 1);
    }
    return bio;
}
