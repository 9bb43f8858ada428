/* A connection: a socket with its transport (plain or TLS), addresses, log and one deadline. Both
 * sides are connections: accepted ones (a codec owns them) and those we open (upstream, Lua
 * sockets).
 *
 * An idle connection is this struct and nothing else (bet 5): no buffer, no pool. The structs are
 * cut from slabs and reused. */
#ifndef BL_EVENT_CONN_H
#define BL_EVENT_CONN_H

#include "core/buf.h"
#include "core/log.h"
#include "event/addr.h"
#include "event/loop.h"

typedef struct bl_conn bl_conn;
typedef struct bl_listener bl_listener;

enum {
    BL_CONN_MAGIC = 0x636f6e6e
};

/* Results of reading beside a count of bytes. */
enum {
    BL_IO_EOF = 0,
    BL_IO_ERROR = -1,
    BL_IO_AGAIN = -2,
};

/* How bytes cross the socket. */
typedef struct bl_transport {
    const char *name;
    /* Bytes read, BL_IO_EOF, BL_IO_AGAIN (io.readable is then false), BL_IO_ERROR (logged). */
    ssize_t (*read)(bl_conn *c, char *to, size_t size);
    /* Sends from the front of the chain at most `limit` bytes (0: no limit) and strikes off what
     * was sent. OK: the chain is empty or the limit reached; AGAIN: io.writable is false now. */
    bl_status (*send)(bl_conn *c, bl_chain *chain, off_t limit);
    /* Says good-bye (TLS close_notify) without waiting. */
    void (*shutdown)(bl_conn *c);
    /* Frees what the transport keeps; called once, when the connection ends. NULL: nothing. */
    void (*close)(bl_conn *c);
    bool sendfile; /* file pieces need not be read into memory first */
} bl_transport;

extern const bl_transport bl_transport_plain;

struct bl_conn {
    uint32_t magic;
    uint32_t requests; /* served so far */
    bl_io io;          /* on_read/on_write get it: bl_conn_of */
    const bl_transport *transport;
    struct bl_tls *tls;    /* NULL: plain */
    bl_timer timer;        /* the one deadline; its owner decides what for */
    bl_pool *pool;         /* NULL until something needs it: bl_conn_pool */
    void *data;            /* the owner: codec, upstream, Lua socket */
    bl_listener *listener; /* NULL for those we opened */
    bl_log log;
    uint64_t number;
    uint64_t start_ms;
    uint64_t sent, received;                  /* bytes */
    void *taker;                              /* who uses it in place of its owner … */
    void (*on_taken_back)(bl_conn *c);        /* … and is told when the owner ends that */
    bl_link link;                             /* in the list of idle ones, or its owner's */
    bl_work work;                             /* the owner's */
    uint64_t linger_until;                    /* mono ms: end of a lingering close */
    uint64_t keep_until;                      /* mono ms: idle, but not closed at will before */
    bl_sockaddr peer;                         /* the client; of unix sockets only the family */
    struct bl_proxy_protocol *proxy_protocol; /* what a PROXY header said, or NULL */
    struct sockaddr *local;                   /* from getsockname on first use: bl_conn_local */
    int failure;                              /* errno of what failed last; 0: nothing, or not so */
    bool error;                               /* no use writing any more */
    bool eof;
    bool timed_out;
    bool idle;     /* keepalive without a request: may be closed at will */
    bool reusable; /* linked among those that are closed first when connections run out */
    bool weak;     /* does not keep a worker that is shutting down alive: bl_conn_set_weak */
    bool tcp_nodelay_on;
    void (*on_idle_close)(bl_conn *c); /* asks the owner to close it (shutdown, shortage) */
};

static inline bl_conn *bl_conn_of(bl_io *io)
{
    return BL_CONTAINER(io, bl_conn, io);
}

/* A connection around an open non-blocking socket; added to the loop. NULL: none is left
 * (worker_connections) or the kernel refused; the socket is closed then. */
bl_conn *bl_conn_new(int fd);
/* Ends it: out of the loop, timer off, pool gone, socket closed. */
void bl_conn_close(bl_conn *c);
/* The connection's pool, made on first use. */
bl_pool *bl_conn_pool(bl_conn *c);
/* Our side's address. */
const struct sockaddr *bl_conn_local(bl_conn *c);

static inline ssize_t bl_conn_read(bl_conn *c, char *to, size_t size)
{
    return c->transport->read(c, to, size);
}

static inline bl_status bl_conn_send(bl_conn *c, bl_chain *chain, off_t limit)
{
    return c->transport->send(c, chain, limit);
}

void bl_conn_nodelay(bl_conn *c);

/* Idle keepalive connections, oldest first: closed when connections run out and at shutdown. */
void bl_conn_set_idle(bl_conn *c, bool idle);
/* Closes the oldest of them, because descriptors have run out. False: none may be closed. */
bool bl_conn_make_room(void);
/* At shutdown: closes those that have served, each not before its keep_until. A new one, whose
 * first request may be on its way, has until its deadline. */
void bl_conn_close_idle(void);

/* Half-close: no more bytes from us. */
void bl_conn_shutdown_write(bl_conn *c);
/* The close to come will be a reset that drops what is unsent. */
void bl_conn_reset(bl_conn *c);

/* Shuts every connection of the process down: their owners will meet the end of the stream and
 * close them in their own way. For a shutdown that has run out of time. */
void bl_conn_shutdown_all(void);

/* The process serves what it has and takes nothing new: connections are not kept alive. */
extern bool bl_quitting;

/* Limit and count of this process's connections. */
void bl_conn_limit(unsigned connections);
unsigned bl_conn_used(void);
/* A weak connection does not keep a worker that is shutting down alive. bl_conn_holding counts the
 * others. */
void bl_conn_set_weak(bl_conn *c, bool weak);
unsigned bl_conn_holding(void);

/* A connection to `addr`, not yet established: on_write is called when it is, or failed. After that
 * bl_conn_connect_error tells: 0 or an errno. `bind` NULL: any local address. NULL: failed at once
 * (errno). */
bl_conn *bl_conn_connect(const bl_addr *addr, const bl_addr *bind, bool transparent, bl_log *log);
int bl_conn_connect_error(bl_conn *c);

#endif
