/* The transport of clear text: what is read and sent is what crosses the socket. */
#include "event/conn.h"
#include "os/call.h"

#include <errno.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

enum {
    MAX_PIECES = 64,
    SENDFILE_MAX = 0x7ffff000, /* what Linux takes in one call */
};

static bool is_client_gone(int err)
{
    return err == ECONNRESET || err == EPIPE || err == ENOTCONN || err == ETIMEDOUT ||
           err == ECONNABORTED || err == ENETDOWN || err == ENETUNREACH || err == EHOSTDOWN ||
           err == EHOSTUNREACH;
}

static void log_failure(bl_conn *c, const char *call)
{
    bl_log_level gone = c->listener ? BL_LOG_INFO : BL_LOG_ERR;

    c->failure = errno;
    bl_log_write(is_client_gone(c->failure) ? gone : BL_LOG_ALERT, &c->log, c->failure, "%s failed",
                 call);
    c->error = true;
}

static ssize_t plain_read(bl_conn *c, char *to, size_t size)
{
    ssize_t n;

    do {
        n = bl_call_recv(c->io.fd, to, size, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        c->received += (uint64_t)n;
        /* Less than asked for: the socket is empty, and news will come as an event. */
        if ((size_t)n < size && !c->io.hup)
            c->io.readable = false;
        return n;
    }
    if (n == 0) {
        c->eof = true;
        return BL_IO_EOF;
    }
    if (errno == EAGAIN) {
        c->io.readable = false;
        return BL_IO_AGAIN;
    }
    log_failure(c, "recv()");
    return BL_IO_ERROR;
}

/* Memory pieces from the front of the chain, up to `limit` bytes. *more: a file piece is next. */
static int gather(const bl_chain *chain, struct iovec *pieces, off_t limit, bool *more)
{
    int count = 0;

    for (bl_buf *b = chain->first; b && count < MAX_PIECES && limit > 0; b = b->next) {
        if (bl_buf_in_file(b)) {
            *more = true;
            break;
        }
        size_t len = (size_t)BL_MIN((off_t)(b->last - b->pos), limit);
        if (len == 0)
            continue;
        pieces[count++] = (struct iovec){.iov_base = b->pos, .iov_len = len};
        limit -= (off_t)len;
    }
    return count;
}

/* `more`: a file follows at once, so the kernel may wait for it and fill its packets. */
static ssize_t send_memory(bl_conn *c, struct iovec *pieces, int count, bool more)
{
    int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);

    if (count == 1)
        return bl_call_send(c->io.fd, pieces[0].iov_base, pieces[0].iov_len, flags);
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    return bl_call_sendmsg(c->io.fd, &message, flags);
}

static off_t pieces_len(const struct iovec *pieces, int count)
{
    off_t len = 0;

    for (int i = 0; i < count; i++)
        len += (off_t)pieces[i].iov_len;
    return len;
}

/* One system call for what is at the front. Sets *asked; returns what was sent, or -1. */
static ssize_t send_front(bl_conn *c, bl_chain *chain, off_t limit, off_t *asked)
{
    struct iovec pieces[MAX_PIECES];
    bl_buf *b = chain->first;

    while (b && bl_buf_len(b) == 0)
        b = b->next;
    if (b == NULL)
        return *asked = 0;
    if (bl_buf_in_file(b)) {
        off_t from = b->file_pos;
        *asked = BL_MIN(BL_MIN(bl_buf_len(b), limit), SENDFILE_MAX);
        return sendfile(c->io.fd, b->fd, &from, (size_t)*asked);
    }
    bool more = false;
    int count = gather(chain, pieces, limit, &more);
    *asked = pieces_len(pieces, count);
    return send_memory(c, pieces, count, more);
}

static bl_status plain_send(bl_conn *c, bl_chain *chain, off_t limit)
{
    off_t left = limit > 0 ? limit : LLONG_MAX, asked;

    while (!bl_chain_empty(chain) && left > 0) {
        ssize_t n = send_front(c, chain, left, &asked);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            c->io.writable = false;
            return BL_AGAIN;
        }
        if (n < 0) {
            log_failure(c, "send()");
            return BL_ERROR;
        }
        if (n == 0 && asked > 0) {
            bl_log_write(BL_LOG_ALERT, &c->log, 0, "a file was truncated while it was being sent");
            c->error = true;
            return BL_ERROR;
        }
        c->sent += (uint64_t)n;
        left -= n;
        bool file = bl_buf_in_file(chain->first);
        bl_chain_consume(chain, n);
        if (n < asked && !file) {
            c->io.writable = false;
            return BL_AGAIN;
        }
    }
    return BL_OK;
}

const bl_transport bl_transport_plain = {
    .name = "plain",
    .read = plain_read,
    .send = plain_send,
    .sendfile = true,
};
