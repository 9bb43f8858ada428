/* The transport of a TLS connection. Sending encrypts up to BATCH bytes of the chain, small pieces
 * and file pieces gathered in one buffer so that they share records, and hands the records to the
 * socket in one system call. Clear text stays in the chain until its records have been sent: what
 * was encrypted and not taken by the socket is a debt (tls->owed) that later calls pay off. */
#include "core/mem.h"
#include "event/tls_bio.h"
#include "event/tls_ctx.h"
#include "event/tls_error.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <unistd.h>

enum {
    BATCH = 64 * 1024,
    LARGE = 16 * 1024, /* memory pieces from here on are encrypted where they are */
};

/* ------------------------------------------------------------- reading */

/* Bytes, 0 at the end of early data, -1: ask SSL_get_error. */
static ssize_t read_early(bl_tls *tls, char *to, size_t size)
{
    size_t n = 0;

    if (tls->early_peeked) {
        tls->early_peeked = false;
        *to = tls->early_byte;
        return 1;
    }
    switch (SSL_read_early_data(tls->ssl, to, size, &n)) {
    case SSL_READ_EARLY_DATA_SUCCESS:
        return n ? (ssize_t)n : -1;
    case SSL_READ_EARLY_DATA_FINISH:
        tls->early_end = true;
        return 0;
    default:
        return -1;
    }
}

static ssize_t read_some(bl_tls *tls, char *to, size_t size, int *error)
{
    size_t n = 0;
    ssize_t early = 0;

    ERR_clear_error();
    if (tls->in_early_data && !tls->early_end)
        early = read_early(tls, to, size);
    if (early > 0)
        return early;
    int rc = early < 0 ? 0 : SSL_read_ex(tls->ssl, to, size, &n);
    tls->in_early_data = tls->in_early_data && !SSL_is_init_finished(tls->ssl);
    *error = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, rc);
    return rc == 1 ? (ssize_t)n : -1;
}

static ssize_t fail(bl_conn *c, const char *what)
{
    c->failure = c->tls->io_error;
    bl_tls_error_log(c, what);
    c->error = true;
    c->tls->failed = true;
    return BL_IO_ERROR;
}

static ssize_t tls_read(bl_conn *c, char *to, size_t size)
{
    bl_tls *tls = c->tls;
    int error = SSL_ERROR_NONE;
    ssize_t n = read_some(tls, to, size, &error);

    if (bl_tls_bio_flush(c) == BL_ERROR && n < 0)
        return fail(c, "SSL_read()");
    if (n > 0) {
        c->received += (uint64_t)n;
        if (!c->io.readable && (tls->early_peeked || SSL_has_pending(tls->ssl)))
            c->io.readable = true; /* more is decrypted, or read off the socket already */
        return n;
    }
    if (error == SSL_ERROR_WANT_READ) {
        c->io.readable = false;
        return BL_IO_AGAIN;
    }
    if (error == SSL_ERROR_ZERO_RETURN || (c->eof && ERR_peek_error() == 0)) {
        c->eof = true;
        return BL_IO_EOF;
    }
    return fail(c, "SSL_read()");
}

/* ------------------------------------------------------------- sending */

/* Strikes off the chain what has certainly left: records are longer than their clear text. */
static void pay(bl_conn *c, bl_chain *chain)
{
    bl_tls *tls = c->tls;
    size_t left = BL_MIN(tls->owed, tls->unsent_len), paid = tls->owed - left;

    if (chain->first != tls->owed_to || paid == 0)
        return;
    bl_chain_consume(chain, (off_t)paid);
    c->sent += paid;
    tls->owed = left;
    tls->owed_to = chain->first;
}

static bool read_file_piece(bl_conn *c, const bl_buf *b, char *to, size_t len)
{
    size_t have = 0;

    while (have < len) {
        ssize_t n = pread(b->fd, to + have, len - have, b->file_pos + (off_t)have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            bl_log_write(BL_LOG_ALERT, &c->log, n < 0 ? errno : 0,
                         n < 0 ? "pread() failed" : "a file was truncated while it was being sent");
            c->error = true;
            return false;
        }
        have += (size_t)n;
    }
    return true;
}

static bool copy_piece(bl_conn *c, const bl_buf *b, char *to, size_t len)
{
    if (bl_buf_in_file(b))
        return read_file_piece(c, b, to, len);
    memcpy(to, b->pos, len);
    return true;
}

/* What is encrypted next: one piece where it stands, or a copy of several. False: the file is
 * broken. */
static bool gather(bl_conn *c, const bl_chain *chain, size_t limit, bl_str *bytes)
{
    static char batch[BATCH];
    const bl_buf *b = chain->first;
    size_t len = 0;

    while (b && bl_buf_len(b) == 0)
        b = b->next;
    if (b && !bl_buf_in_file(b) && (b->next == NULL || bl_buf_len(b) >= LARGE)) {
        *bytes = bl_str_of(b->pos, BL_MIN((size_t)bl_buf_len(b), limit));
        return true;
    }
    for (; b && len < limit; b = b->next) {
        size_t piece = (size_t)BL_MIN(bl_buf_len(b), (off_t)(limit - len));
        if (!copy_piece(c, b, batch + len, piece))
            return false;
        len += piece;
    }
    *bytes = bl_str_of(batch, len);
    return true;
}

static bool encrypt(bl_tls *tls, bl_str bytes)
{
    size_t n;

    ERR_clear_error();
    if (tls->in_early_data)
        return SSL_write_early_data(tls->ssl, bytes.p, bytes.len, &n) == 1;
    return SSL_write_ex(tls->ssl, bytes.p, bytes.len, &n) == 1;
}

/* One batch. OK: it is sent, and *len bytes are off the chain. */
static bl_status send_batch(bl_conn *c, bl_chain *chain, size_t limit, size_t *len)
{
    bl_tls *tls = c->tls;
    bl_str bytes;

    *len = 0;
    if (!gather(c, chain, limit, &bytes))
        return BL_ERROR;
    if (bytes.len && !encrypt(tls, bytes)) {
        fail(c, "SSL_write()");
        return BL_ERROR;
    }
    tls->owed = *len = bytes.len;
    tls->owed_to = chain->first;
    bl_status status = bl_tls_bio_flush(c);
    if (status == BL_ERROR) {
        fail(c, "send()");
        return status;
    }
    if (bytes.len == 0)
        bl_chain_consume(chain, 0);
    pay(c, chain);
    return status;
}

static bl_status tls_send(bl_conn *c, bl_chain *chain, off_t limit)
{
    off_t left = limit > 0 ? limit : LLONG_MAX;
    bl_tls *tls = c->tls;
    size_t len;

    if (tls->failed)
        return BL_ERROR;
    if (tls->unsent_len) {
        uint64_t before = c->sent;
        bl_status status = bl_tls_bio_flush(c);
        if (status == BL_ERROR) {
            fail(c, "send()");
            return status;
        }
        pay(c, chain);
        left -= (off_t)(c->sent - before);
        if (status == BL_AGAIN)
            return status;
    }
    while (!bl_chain_empty(chain) && left > 0) {
        bl_status status = send_batch(c, chain, (size_t)BL_MIN(left, (off_t)BATCH), &len);
        if (status != BL_OK)
            return status;
        left -= (off_t)len;
    }
    return BL_OK;
}

/* ------------------------------------------------------------- ending */

/* close_notify, unless records are stuck before it. The peer's is not waited for. */
static void tls_shutdown(bl_conn *c)
{
    bl_tls *tls = c->tls;

    if (!tls->handshaked || tls->failed || c->error || c->timed_out || tls->unsent_len ||
        (SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN))
        return;
    ERR_clear_error();
    SSL_shutdown(tls->ssl);
    bl_tls_bio_flush(c);
    ERR_clear_error();
}

static void tls_close(bl_conn *c)
{
    bl_tls *tls = c->tls;

    if (tls->parked && tls->hook->cancel)
        tls->hook->cancel(c, tls->hook);
    bl_tls_ocsp_cancel(c);
    if (tls->forget)
        tls->forget(tls->data);
    SSL_SESSION_free(tls->given);
    /* A connection that ended without close_notify has a good session all the same. */
    if (tls->handshaked)
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    bl_tls_bio_forget(c);
    ERR_clear_error();
    bl_free(tls->unsent);
    bl_free(tls);
    c->tls = NULL;
}

const bl_transport bl_transport_tls = {
    .name = "tls",
    .read = tls_read,
    .send = tls_send,
    .shutdown = tls_shutdown,
    .close = tls_close,
};
