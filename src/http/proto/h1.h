/* HTTP/1.0 and 1.1 (RFC 9112): the codec.
 *
 * An idle connection is a bl_conn whose `data` is the address it came to. When bytes arrive, a pool
 * is taken, and in it the exchange, its request and the buffer that the head is read into; all
 * three go together when the exchange is over. What the client has sent beyond (pipelining) is
 * copied to the next exchange.
 *
 *   h1.c       the connection's life: waiting, reading heads, keepalive, lingering, closing
 *   h1_in.c    request bodies
 *   h1_rest.c  what comes of a body behind its response
 *   h1_out.c   heads and bodies out, time and rate limits
 */
#ifndef BL_HTTP_PROTO_H1_H
#define BL_HTTP_PROTO_H1_H

#include "http/parse.h"
#include "http/request.h"
#include "http/server.h"

enum {
    BL_H1_MAGIC = 0x68747031
};

typedef struct bl_h1 {
    uint32_t magic;
    bl_conn *conn;
    bl_http_addr *addr;
    bl_request *r;
    bl_pool *pool;

    /* reading */
    char *buf, *pos, *last, *end; /* pos..last: received, not yet used */
    char *scanned;                /* up to here no line end was found */
    char *head_start;             /* of the head, as far as it is in this buffer */
    int large_used;
    bool large; /* the buffer is one of large_client_header_buffers */
    bool have_line;
    bool head_whole;
    uint32_t fields;
    char *fields_start;       /* of the field lines; NULL: they are not in one piece */
    uint64_t received_before; /* of the connection */

    /* the body */
    bl_chunked chunked;
    int64_t body_left;
    bool body_started;
    bool body_whole;
    char *body_buf;
    size_t body_buf_size;
    bool watching;
    bl_work watch_work;
    bool raw;        /* the connection was used as a byte pipe in the exchange */
    bool taken_over; /* the connection is a byte pipe of somebody else's now */

    /* writing */
    bl_chain out; /* to the socket */
    bl_buf *tail; /* memory at its end that small pieces are copied to; NULL: none */
    off_t queued; /* bytes in `out` */
    off_t head_len;
    bool head_queued;
    bool flush, eof;
    bool waiting_writable;
    bool delayed; /* by limit_rate: the timer will go on */
} bl_h1;

/* The exchange on a connection that has one: between requests its data is something else. */
static inline bl_h1 *bl_h1_of(const bl_conn *c)
{
    bl_h1 *h = c->data;

    BL_CHECK(h, BL_H1_MAGIC);
    return h;
}

extern const bl_codec bl_codec_h1;

/* A connection accepted on a port: accepted (plain), and again when TLS is through. */
void bl_h1_accepted(bl_conn *c);

/* Between the files. */
bl_status bl_h1_send_head(bl_request *r);
bl_status bl_h1_send_body(bl_request *r, bl_chain *chain);
bl_status bl_h1_send_interim(bl_request *r, int status);
bl_status bl_h1_send_hints(bl_request *r, const bl_headers *fields);
void bl_h1_on_writable(bl_io *io);
void bl_h1_out_timer(bl_timer *timer);
bl_status bl_h1_read_body(bl_request *r, bl_str *to, bool *end);
/* Reads and drops what has come of the body. BL_OK: all of it is gone; BL_AGAIN: more is to come;
 * BL_ERROR, or it is too much. */
bl_status bl_h1_drop_body(bl_h1 *h);
bl_status bl_h1_discard_body(bl_request *r);
/* After an exchange whose body has not come as a whole: reads what is to come, for as long as
 * lingering_time and lingering_timeout say, and calls `then`. The exchange itself may go. */
typedef void (*bl_h1_rest_fn)(bl_conn *c, bl_http_addr *addr, const bl_http_core_location *core,
                              bl_str next, bool whole);
void bl_h1_wait_for_rest(bl_h1 *h, const bl_http_core_location *core, bl_h1_rest_fn then);
void bl_h1_watch(bl_request *r, bool on);
void bl_h1_body_on_readable(bl_io *io);

#endif
