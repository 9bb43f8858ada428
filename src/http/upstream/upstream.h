/* A request as its upstream sees it: the client side of what a location passes on.
 *
 *   upstream.c   the way of it: a table of steps, and what follows from a failed try
 *   response.c   from the upstream's head to the response's
 *   pass.c       the body, buffered (memory, then a temporary file) or not
 *   store.c      the body kept as a file
 *   tunnel.c     after 101 Switching Protocols: bytes both ways
 *   peers.h      who to ask: groups of servers and their balancing
 *   uplink.h       connections to peers, and those that are kept
 *   proto_h1.c   HTTP/1 towards the upstream
 *
 * A module (proxy) fills in a bl_upstream: where to, how to say it (build), in which protocol
 * (codec); bl_upstream_start does the rest and wakes the request with the result. */
#ifndef BL_HTTP_UPSTREAM_UPSTREAM_H
#define BL_HTTP_UPSTREAM_UPSTREAM_H

#include "http/body.h"
#include "http/parse.h"
#include "http/request.h"
#include "http/upstream/uplink.h"
#include "http/upstream/peers.h"
#include "http/value.h"

enum {
    BL_UPSTREAM_MAGIC = 0x75707374
};

/* What ends a try without a response that is passed on; the bits of *_next_upstream. */
enum {
    BL_UP_ERROR = 1 << 0,
    BL_UP_TIMEOUT = 1 << 1,
    BL_UP_INVALID_HEADER = 1 << 2,
    BL_UP_HTTP_500 = 1 << 3,
    BL_UP_HTTP_502 = 1 << 4,
    BL_UP_HTTP_503 = 1 << 5,
    BL_UP_HTTP_504 = 1 << 6,
    BL_UP_HTTP_403 = 1 << 7,
    BL_UP_HTTP_404 = 1 << 8,
    BL_UP_HTTP_429 = 1 << 9,
    BL_UP_NON_IDEMPOTENT = 1 << 10, /* not an event: retry such requests too */
    BL_UP_OFF = 1 << 11,
    BL_UP_NO_PEER = 1 << 12, /* nobody to ask: never tried again */
};

/* Words of *_ignore_headers. */
enum {
    BL_IGNORE_REDIRECT = 1 << 0,
    BL_IGNORE_EXPIRES_ACCEL = 1 << 1,
    BL_IGNORE_EXPIRES = 1 << 2,
    BL_IGNORE_CACHE_CONTROL = 1 << 3,
    BL_IGNORE_SET_COOKIE = 1 << 4,
    BL_IGNORE_LIMIT_RATE = 1 << 5,
    BL_IGNORE_BUFFERING = 1 << 6,
    BL_IGNORE_CHARSET = 1 << 7,
    BL_IGNORE_VARY = 1 << 8,
};

typedef struct bl_upstream_bind {
    bl_value *value; /* NULL: off */
    bool transparent;
} bl_upstream_bind;

/* Settings that every kind of upstream module has; a part of its location settings. Times in
 * milliseconds, sizes in bytes. */
typedef struct bl_upstream_settings {
    int64_t connect_timeout, send_timeout, read_timeout;
    int64_t next_upstream_timeout, next_upstream_tries;
    int next_upstream; /* BL_UP_… */
    int buffering, request_buffering, ignore_client_abort, intercept_errors;
    int pass_request_headers, pass_request_body, pass_trailers, force_ranges, socket_keepalive;
    bool intercept_404; /* as intercept_errors, for this one, whether there is a page or not */
    int64_t send_lowat, rcvbuf, sndbuf;
    int64_t buffer_size, busy_buffers_size, max_temp_file_size, temp_file_write_size;
    bl_bufs_setting buffers;
    bl_temp_path *temp_path;
    struct bl_store_setting *store; /* NULL: off */
    int64_t store_access;           /* mode bits */
    bl_value *limit_rate;
    bl_upstream_bind *bind;
    int ignore_headers;          /* BL_IGNORE_… */
    bl_array *hide, *pass;       /* bl_str: *_hide_header, *_pass_header */
    bl_array *hidden;            /* what comes of them (bl_str) */
    uint64_t hidden_known;       /* bits of known fields among them */
    struct bl_upstream_tls *tls; /* NULL: none of the targets speaks TLS */
} bl_upstream_settings;

/* The head of a response. */
typedef struct bl_upstream_head {
    int status;
    bl_str status_line; /* "200 OK" */
    int version;        /* 9: there was no head */
    bl_headers headers;
    bl_headers trailers;
    int64_t content_length; /* -1: none */
    bool chunked;
    bool keepalive; /* the upstream would serve another */
    bool upgraded;  /* 101 to a request that asked for it */
    bl_header *known[BL_H_COUNT];
} bl_upstream_head;

typedef struct bl_upstream bl_upstream;

typedef enum bl_upstream_piece {
    BL_UP_DATA, /* *piece is body; call again */
    BL_UP_MORE, /* all of *in was used */
    BL_UP_END,  /* the body is whole; what is left of *in does not belong to it */
    BL_UP_BAD,  /* malformed (logged) */
} bl_upstream_piece;

/* A protocol towards an upstream. */
typedef struct bl_upstream_codec {
    const char *name;
    /* Before each try: forget what was parsed. */
    void (*reset)(bl_upstream *u);
    /* From u->in: BL_OK: u->head is whole; BL_AGAIN; BL_ERROR: malformed (logged). */
    bl_status (*parse_head)(bl_upstream *u);
    bl_upstream_piece (*parse_body)(bl_upstream *u, bl_str *in, bl_str *piece);
    /* At the end of the stream: was that the end of the body? NULL: it never is. */
    bool (*may_end)(const bl_upstream *u);
    /* Frames a part of a request body that is streamed; `end` for the last. Takes all of `data`. */
    void (*frame_body)(bl_upstream *u, bl_chain *data, bool end, bl_chain *to);
} bl_upstream_codec;

/* What the module does for it. */
typedef struct bl_upstream_module {
    const bl_upstream_codec *codec;
    /* Writes the request's head into u->request_head. BL_NEXT, or the status to answer. */
    bl_step (*build)(bl_upstream *u);
    /* Rewrites a value of Location, Refresh, Set-Cookie. False: it stays as it is. May be NULL. */
    bool (*rewrite)(bl_upstream *u, bl_header_id id, bl_str *value);
} bl_upstream_module;

/* One try, for $upstream_…; times in ms, -1: did not come to that. */
typedef struct bl_upstream_try {
    struct bl_upstream_try *next;
    bl_str peer;
    int status;
    bool redirected; /* the first behind an internal redirect */
    bool over;
    uint64_t started;
    int64_t connect_ms, header_ms, response_ms;
    uint64_t received, sent;
    int64_t body; /* bytes of the response's body */
} bl_upstream_try;

struct bl_upstream {
    uint32_t magic;
    bl_request *r;
    const bl_upstream_settings *conf;
    const bl_upstream_module *module;
    void *data; /* the module's */

    /* where to: set by the module */
    bl_upstream_group *group; /* or: */
    bl_str host;              /* to be resolved; the name of the target */
    int port;
    bl_str scheme;      /* "http://", for the log */
    bl_str request_uri; /* what the request line will ask for, for the log */
    bool tls;
    const void *owner; /* connections of a `local` pool are kept for the same owner */

    /* the way */
    int step;
    bool in_call; /* inside a function that may answer at once */
    bool called;  /* … and did */
    bool call_ok;
    bool client_gone;
    uint64_t started;
    bl_resolve ask;
    bl_link awaiting; /* the group's addresses: resolving.c */
    void (*go)(bl_upstream *u);

    /* the peer */
    bl_peer_choice choice;
    int tries;                   /* left */
    bl_str tls_name;             /* what the balancer has TLS ask for; p NULL: as configured */
    bl_uplink_keep_setting keep; /* of this try's connection; the group's, or the balancer's */
    bl_addr local;               /* that it is bound to; len 0: to none */
    bl_uplink *link;
    bl_upstream_try *trying, *first_try;
    bl_upstream_try try_memory;

    /* the request */
    bl_str request_head;
    bl_buf *request_memory; /* cached, of request_head */
    const bl_chain *body;   /* what is sent behind the head */
    const bl_buf *body_at;  /* next piece to be sent */
    off_t body_offset;      /* sent of it */
    bl_chain out;
    bool stream_body; /* passed on as it comes */
    bool stream_chunked;
    bool stream_begun, stream_over;
    bl_buf *copy; /* of a streamed body, while it is small */
    bool copy_too_large;
    bool prepared;
    bool sent_all;
    bool request_sent; /* something of it */

    /* the response */
    bl_buf *in;     /* the head's buffer, cached; pos..last: received, not used */
    bl_buf *old_in; /* of tries before: variables point into it */
    char *scanned;  /* no line end before this */
    bool have_status;
    bl_upstream_head head;
    bl_chunked chunked;
    int64_t body_left; /* -1: to the end of the stream */
    bool no_body;      /* HEAD, 204, 304 */
    bool sent_head_method;
    bool buffering;
    bool body_done; /* all of it was read, or it broke off */
    bool broken;    /* … that */
    bool extra;     /* there were bytes behind it */
    bool eof;

    /* passing the body */
    bl_chain pending;      /* read, not yet given out */
    int64_t pending_count; /* pieces */
    bl_buf *reading;       /* being filled */
    bl_buf *free;
    bl_temp_file *file;
    bl_temp_file *store; /* a copy that will stay; NULL: none */
    off_t file_given;
    bool busy;          /* the output is full: it will call */
    int64_t limit_rate; /* bytes/s; 0: none */
    uint64_t limit_start;
    uint64_t limit_read;
    bl_timer limit_timer;
    bl_str trailer_text; /* the chunked body's last lines, while they come */

    struct bl_tunnel *tunnel;
};

/* A new one for the request: r->upstream. The fields "where to" and module are the caller's. */
bl_upstream *bl_upstream_new(bl_request *r, const bl_upstream_settings *conf,
                             const bl_upstream_module *module);
/* What a content handler returns. */
bl_step bl_upstream_start(bl_upstream *u);

/* For a balancer that said BL_WAIT: BL_NEXT, or the status to answer. */
void bl_upstream_chosen(bl_upstream *u, bl_step step);
/* For a balancer that has changed what the request's head is made of: makes it anew. BL_NEXT, or
 * the status to answer. */
bl_step bl_upstream_rebuild(bl_upstream *u);

/* --- between the files --- */

/* Results of a step. */
enum {
    BL_UP_STEP_WAIT = -1, /* an event will come */
    BL_UP_STEP_OVER = -2, /* the request has been woken: nothing of it may be touched */
    BL_UP_STEP_CHOOSE = 0,
    BL_UP_STEP_CONNECT,
    BL_UP_STEP_HANDSHAKE,
    BL_UP_STEP_EXCHANGE,
    BL_UP_STEP_RESPOND,
    BL_UP_STEP_PASS,
    BL_UP_STEP_TUNNEL,
};

/* Goes on with the step that waits. */
void bl_upstream_resume(bl_upstream *u);
/* The try has failed: another one, or the end. */
int bl_upstream_next(bl_upstream *u, unsigned event);
/* True if the event would lead to another try. */
bool bl_upstream_may_retry(const bl_upstream *u, unsigned event);
/* The end: connection kept or closed, request woken. */
int bl_upstream_finish(bl_upstream *u, bl_step step);
/* Done with the connection before the response is out. */
void bl_upstream_release(bl_upstream *u);
void bl_upstream_action(bl_upstream *u, const char *action);
/* The read, send … deadline of the step. */
void bl_upstream_deadline(bl_upstream *u, int64_t ms);
void bl_upstream_no_deadline(bl_upstream *u);

/* response.c */
int bl_upstream_respond(bl_upstream *u);
bool bl_upstream_settings_compile(bl_conf *cf, bl_upstream_settings *s,
                                  const bl_str *hidden_by_default, size_t count);
/* An interim response (1xx) is whole in u->head. */
bl_status bl_upstream_interim(bl_upstream *u);
/* A field that is between us and the upstream, and goes to no client. */
bool bl_upstream_is_of_connection(const bl_header *h);
/* pass.c */
int bl_upstream_pass(bl_upstream *u);
void bl_upstream_pass_begin(bl_upstream *u);
/* tunnel.c */
int bl_upstream_tunnel(bl_upstream *u);

extern const bl_upstream_codec bl_upstream_h1;

#endif
