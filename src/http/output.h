/* The way out of a request: head filters, body filters, codec.
 *
 *   handler ── bl_output_head ──> head filter … ──> codec->send_head
 *   handler ── bl_output_body ──> [queue] body filter [queue] body filter … [queue]
 * codec->send_body
 *
 * A response is described in r->out (status and fields), then bl_output_head passes it through the
 * location's head filters to the codec. A body is chains of buffers given to bl_output_body, the
 * last with the `eof` mark. Without filters they go straight to the codec.
 *
 * Parking (bet 2). A filter that has to wait (a Lua handler that yields) returns BL_WAIT and later
 * calls bl_output_resume. All that comes meanwhile stays in the queue in front of it: to the
 * producer it looks like a client that reads slowly: bl_output_body says BL_AGAIN.
 *
 * Back-pressure. BL_AGAIN: everything was taken, but not all of it has left the process. A producer
 * of more should stop and have itself called by bl_output_when_drained. */
#ifndef BL_HTTP_OUTPUT_H
#define BL_HTTP_OUTPUT_H

#include "http/http.h"

/* A head that has no status yet gets 200. Once: later calls do nothing. BL_OK, BL_AGAIN (a filter
 * is parked, or the socket is full), BL_ERROR (the client is gone or a filter failed). */
bl_status bl_output_head(bl_request *r);

/* Takes all of `chain`; see above for the result. Sends the head first if nobody has. */
bl_status bl_output_body(bl_request *r, bl_chain *chain);

/* The usual responses: a whole body of memory that lives as long as the request, with head and
 * Content-Length; and the end of a body that was sent in pieces. Both return what a content handler
 * returns: BL_DONE, or BL_CLOSE when the client is gone. */
bl_step bl_output_text(bl_request *r, int status, bl_str content_type, bl_str body);
bl_step bl_output_end(bl_request *r);

/* Pushes out what is held back (ngx.flush, flush marks). */
bl_status bl_output_flush(bl_request *r);

/* `then` is called once, when all that was given has left the process (BL_OK) or can't (BL_ERROR).
 * At most one caller waits at a time. */
void bl_output_when_drained(bl_request *r, void (*then)(bl_request *r, bl_status status));
bool bl_output_is_drained(const bl_request *r);

/* The output of an inline subrequest, which has been through the filters of its own location: it
 * joins here at the first filter that is `late`. */
bl_status bl_output_late(bl_request *r, bl_chain *chain);
/* Something that keeps the output from being drained may be over. */
void bl_output_check(bl_request *r);

/* For a parked filter: it is done. `step`: BL_NEXT or BL_CLOSE. For body filters `out` is what goes
 * on to the next one; NULL for head filters. */
void bl_output_resume(bl_request *r, bl_step step, bl_chain *out);

/* The request is over: a filter that is parked is told by r->output.abandon, which it has set (it
 * must not resume any more), and what waits in queues is given back. */
void bl_output_close(bl_request *r);

/* For codecs: their queue has drained (or the client is gone). */
void bl_output_drained(bl_request *r, bl_status status);

/* For filters that change a body: its ranges can't be asked for any more, whoever offered that. */
void bl_output_no_ranges(bl_request *r);

/* Forgets a response that was begun but of which no byte has left: for error pages. */
void bl_output_reset(bl_request *r);

#endif
