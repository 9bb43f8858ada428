/* A protocol as the request sees it (bet 4). h1 is the first; the sinks of subrequests are others;
 * a request never asks which it is. A codec owns the exchange: its framing, its buffers, its place
 * on the connection. */
#ifndef BL_HTTP_CODEC_H
#define BL_HTTP_CODEC_H

#include "http/http.h"

typedef struct bl_codec {
    const char *name;

    /* Serialises r->out. The bytes may be held back until body or end come. */
    bl_status (*send_head)(bl_request *r);

    /* Frames and sends a piece of body; takes all of the chain. BL_AGAIN: bytes are left in the
     * codec's queue; it calls bl_output_drained when they are gone. */
    bl_status (*send_body)(bl_request *r, bl_chain *chain);

    /* The next piece of the request body, decoded, into `to`: its bytes are good until the next
     * call. BL_OK with *end: the body is whole (the piece may be empty). BL_AGAIN: none now; the
     * codec calls r->body.on_ready when there is. BL_ERROR: r->body.status says which 4xx. */
    bl_status (*read_body)(bl_request *r, bl_str *to, bool *end);

    /* The body is not wanted: takes what has been received of it. BL_ERROR: that was malformed,
     * r->body.status says which 4xx. May be NULL. */
    bl_status (*discard_body)(bl_request *r);

    /* The response is whole and sent (or `broken`): the exchange ends, the connection `c` serves
     * the next or is closed. r->conn may already be a copy that outlives it. */
    void (*finish)(bl_request *r, bl_conn *c, bool broken);

    /* Interim responses: 100 Continue; and 103 Early Hints with fields that have been chosen. May
     * be NULL. */
    bl_status (*send_interim)(bl_request *r, int status);
    bl_status (*send_hints)(bl_request *r, const bl_headers *fields);

    /* Takes the connection over as a byte pipe (Upgrade, raw sockets): bytes that came behind the
     * head are in *extra. NULL: this protocol has no such thing, or
     * bytes of the response wait to be sent. Until the exchange ends, the taker
     * may set c->io's handlers, c->taker and c->on_taken_back, which is called at that end. */
    bl_conn *(*take_over)(bl_request *r, bl_str *extra);

    /* Watches for the client's going away while a handler waits; r->client_gone is called then.
     * May be NULL. */
    void (*watch)(bl_request *r, bool on);
} bl_codec;

#endif
