/* A request, and the engine that takes it through its life.
 *
 *   read_head ─ server ─ [server_rewrite] ─ find_location ─ [rewrite ─ post_rewrite] ─ [preaccess]
 *     ─ [access] ─ [precontent] ─ content ─ … response drained … ─ log ─ end of the exchange ─ free
 *
 * The part from server_rewrite to content is the program that the location was compiled to: a flat
 * array of steps (bl_handler), and a loop in request.c that runs them. A request is at any time
 * either running, or waiting for exactly one waker, or over. */
#ifndef BL_HTTP_REQUEST_H
#define BL_HTTP_REQUEST_H

#include "http/codec.h"
#include "http/http.h"
#include "http/output.h"

enum {
    BL_REQUEST_MAGIC = 0x72657173,
    BL_URI_CHANGES_MAX = 10,
};

/* Methods as bits, so that sets of them are one number (limit_except, cacheable methods). */
enum {
    BL_M_UNKNOWN = 1 << 0,
    BL_M_GET = 1 << 1,
    BL_M_HEAD = 1 << 2,
    BL_M_POST = 1 << 3,
    BL_M_PUT = 1 << 4,
    BL_M_DELETE = 1 << 5,
    BL_M_MKCOL = 1 << 6,
    BL_M_COPY = 1 << 7,
    BL_M_MOVE = 1 << 8,
    BL_M_OPTIONS = 1 << 9,
    BL_M_PROPFIND = 1 << 10,
    BL_M_PROPPATCH = 1 << 11,
    BL_M_LOCK = 1 << 12,
    BL_M_UNLOCK = 1 << 13,
    BL_M_PATCH = 1 << 14,
    BL_M_TRACE = 1 << 15,
    BL_M_CONNECT = 1 << 16,
};

uint32_t bl_method_of(bl_str name);
bl_str bl_method_name(uint32_t method);

/* The request's body: see body.h. */
typedef struct bl_body {
    int64_t length; /* Content-Length; -1: none, or chunked */
    bool chunked;
    bool expected; /* there is one */
    bool whole;    /* all of it has been read */
    bool discarded;
    bool asked; /* somebody wanted to read it, be there one or not */
    bool reading;
    int status;    /* 4xx of a bad body */
    bl_chain data; /* what was read: memory pieces, then at most one file piece */
    int64_t received;
    struct bl_temp_file *file;
    void (*on_ready)(bl_request *r);
    struct bl_body_reader *reader;
} bl_body;

/* The response's head. Fields that the server itself decides about have places of their own; all
 * others are in `headers`. */
typedef struct bl_response {
    int status;
    bl_str status_line; /* "404 Not Found" instead of the usual words; p NULL: usual */
    bl_headers headers;
    bl_str content_type; /* without charset; p NULL: none */
    bl_str charset;
    bool charset_done;      /* the type has its charset already */
    int64_t content_length; /* -1: not known */
    time_t last_modified;   /* -1: none */
    bl_str etag;            /* with its quotes; p NULL: none */
    bl_str location;        /* p NULL: none; made absolute by the codec as absolute_redirect says */
    bl_headers trailers;
    bool expect_trailers;    /* there may be some: HTTP/1.1 needs chunks for that */
    bool accept_ranges;      /* ranges may be served from this body */
    bool no_range;           /* … but not here (gzip, subrequest) */
    bool one_range;          /* … one at a time: several would have to be gathered in memory */
    bool no_date, no_server; /* replaced through `headers` */
    bool no_modified;        /* not_modified has nothing to say */
    off_t range_offset;      /* of the body in the whole content (slices) */
} bl_response;

/* What the output pipeline remembers; output.c's. */
typedef struct bl_output {
    struct bl_stage *stages; /* one for each body filter, made when first needed */
    int head_at;             /* head filter to go on with */
    bool begun;              /* bl_output_head was called */
    bool head_sent;          /* … and reached the codec */
    bool head_parked, body_parked;
    bool eof;        /* the end was given */
    bool codec_full; /* the codec has bytes left */
    bool replaced;   /* by an error page: what its producer still gives is dropped */
    int deferred;    /* the status whose error_page is served once the producer is through */
    bool failed;
    bl_chain held; /* body given while the head is parked */
    void (*drained)(bl_request *r, bl_status status);
    /* Of the filter that is parked: gives up what it waits for. NULL: that ends by itself. */
    void (*abandon)(bl_request *r);
    /* Cuts ranges out of what the producer gives, before any body filter; NULL: all is sent. */
    void (*slice)(bl_request *r, bl_chain *in, bl_chain *out);
    /* Narrows from..to of a producer that need not begin at the beginning; NULL: it must. */
    void (*seek)(bl_request *r, off_t *from, off_t *to);
} bl_output;

typedef struct bl_raw_part {
    struct bl_raw_part *before;
    bl_str text;
} bl_raw_part;

struct bl_request {
    uint32_t magic;
    uint32_t method;
    bl_conn *conn; /* NULL once the exchange is over */
    const bl_codec *codec;
    void *exchange; /* the codec's */
    bl_pool *pool;
    bl_http *http;
    bl_server *server;
    bl_location *loc;
    const bl_handler *at; /* the step that runs, or waits */
    bl_log *log;

    /* as received */
    bl_str request_line;
    bl_str raw_head; /* all of the head, or, of a large one, its last part … */
    struct bl_raw_part *raw_head_before; /* … and the parts before, last first */
    bl_str method_name;
    bl_str raw_uri;   /* as sent, with arguments: $request_uri */
    bl_str protocol;  /* "HTTP/1.1" */
    int http_version; /* 9, 1000, 1001, 2000 */
    bl_headers in;
    bl_str host;   /* $host's: validated, lower-cased, no port; empty without one */
    int host_port; /* port in Host; 0: none */
    bl_str scheme_in_line, host_in_line; /* of an absolute-form target */

    /* where it is going */
    bl_str uri;         /* normalised path: $uri */
    bl_str args;        /* behind the ?, as sent; p NULL: there was none */
    bl_str exten;       /* behind the last dot of the last segment */
    bool complex_uri;   /* raw_uri differs from uri: proxy_pass must escape */
    bool valid_raw_uri; /* raw_uri still says what uri says (no rewrite) */
    bool plus_in_uri, quoted_uri, empty_path;
    bool uri_changed;
    bool rewritten; /* … since its location was found: the location's name says nothing of it */
    bool add_uri_to_alias; /* try_files found it under the alias of a regex location */
    uint8_t uri_changes;   /* left before "rewrite or internal redirection cycle" */
    bool internal;
    bool satisfied;   /* satisfy any */
    int access_code;  /* what satisfy any would answer */
    bool error_page;  /* serving one: recursive only when allowed */
    int error_status; /* the status that error_page is serving */
    bool keep_method;
    bl_handler_fn content; /* chosen at run time (return in a rewrite, echo), else loc->content */

    bl_body body;
    bl_response out;
    bl_output output;

    void **ctx; /* each module's state of this request, by its index */
    struct bl_var_slot *vars;

    /* subrequests */
    bl_request *main, *parent;
    uint16_t depth;
    int subrequests_left; /* of the main request: how many more at once */
    bl_request *subs;     /* of the main request: all there were, through next_sub */
    bl_request *next_sub;
    struct bl_subrequest *sub; /* what a subrequest knows of its task; NULL for main */
    bool inlines_pass;         /* their output is going out */
    struct bl_inline *inlines; /* output of inline subrequests, in order */

    /* life */
    uint64_t start_ms; /* mono */
    time_t start_sec;
    unsigned start_msec;
    uint64_t header_bytes, received_bytes; /* $request_length */
    uint64_t sent_before, body_sent;       /* $bytes_sent, $body_bytes_sent */
    int refs;                              /* things that still need it beside its own life */
    bool waiting;                          /* a step said BL_WAIT; bl_request_wake is awaited */
    bool running;                          /* inside the engine's loop */
    bool woken;                            /* woken before the step had said BL_WAIT */
    bool at_start;                         /* posted to begin */
    bool finishing, logging, exchange_over, over, broken;
    const bl_handler *log_at;
    bool keepalive;           /* the connection may serve another */
    bool pipelined;           /* its first bytes came with the request before */
    uint64_t head_sent_bytes; /* of the response */
    bool lingering;           /* close by waiting for the client to do so */
    bool reset_on_close;      /* timed out: reset_timedout_connection */
    bool aborted;             /* the client went away */
    bool head_only;           /* no body is sent: HEAD, 304 … */
    bool expect_100;
    bool chunked_out;
    bool buffered_out;                       /* hold small output back (postpone_output) */
    bool filter_in_memory, filter_need_temp; /* filters want bytes in memory; of their own */
    bool filter_whole; /* a filter wants the body as one piece (several ranges) */
    int64_t limit_rate, limit_rate_after; /* bytes/s; -1: the location's */
    bool limit_rate_set, limit_rate_after_set;
    bl_str realm_user; /* $remote_user, when authenticated by other means */
    /* A waiting handler's wish to know: called when the client is gone or the worker must end.
     * After it the request must be woken soon. NULL: the request runs on regardless. */
    void (*client_gone)(bl_request *r);
    void *waiter;                 /* for whoever waits */
    struct bl_upstream *upstream; /* of the handler that passes it on; the last one, if several */
    char *(*log_more)(bl_request *r, char *at, char *end); /* adds "upstream: …" to log lines */
    bl_timer timer;                                        /* auth_delay, limit_rate … */
    bl_work work;                                          /* posted running */
    int wake_step;

    /* from here on not cleared at birth */
    bl_captures captures; /* of the last regex, for $1 … $9 */
    bl_header *in_known[BL_H_COUNT], *out_known[BL_H_COUNT];
};

/* For codecs. A request in its own pool, its connection's log; the codec fills in what was
 * received, then runs it. */
bl_request *bl_request_new(bl_conn *c, bl_http *http, bl_pool *pool);
void bl_request_start(bl_request *r);
/* The same at the end of the loop's turn. */
void bl_request_post(bl_request *r);
/* A panic of this process tells which request was being served. */
void bl_request_describe_panics(void);
/* A head that was so bad that there is no request to run: answers `status` and ends. */
void bl_request_refuse(bl_request *r, int status);
/* The client is gone (reset, time-out while sending). */
void bl_request_abort(bl_request *r);

/* The waiter's: continues as if the waiting step had returned `step`. Runs at once, or at the end
 * of the loop's turn when called from within the request itself. */
void bl_request_wake(bl_request *r, bl_step step);

/* Goes to another place of the same server: uri and args (p NULL: none), from server_rewrite
 * on. Returns what the step has to return: BL_JUMP or a status (500 on a
 * cycle). */
bl_step bl_request_redirect(bl_request *r, bl_str uri, bl_str args);
bl_step bl_request_redirect_named(bl_request *r, bl_str name);

/* A log handler that said BL_WAIT is done. */
void bl_request_log_done(bl_request *r);

/* A reference keeps the memory of a request that is over: whoever holds one may still read it. */
static inline bl_request *bl_request_hold(bl_request *r)
{
    r->refs++;
    return r;
}
void bl_request_drop(bl_request *r);

/* The head as it came, from the request line to the empty line. */
bl_str bl_request_raw_head(bl_request *r);

/* Sets the uri and what derives from it (exten). */
void bl_request_set_uri(bl_request *r, bl_str uri);

static inline bool bl_request_is_main(const bl_request *r)
{
    return r == r->main;
}

/* The module's state of this request; NULL before bl_request_set_ctx. */
static inline void *bl_request_ctx(const bl_request *r, const bl_module *m)
{
    return r->ctx ? r->ctx[m->index] : NULL;
}
void bl_request_set_ctx(bl_request *r, const bl_module *m, void *ctx);

/* A log handler that said BL_WAIT is done. */
void bl_request_log_done(bl_request *r);

/* The path of a file for r->uri by root or alias, zero-terminated; *root_len: the part that came
 * from the configuration. False: an error was logged. */
bool bl_request_path(bl_request *r, bl_str *path, size_t *root_len, size_t reserve);

#endif
