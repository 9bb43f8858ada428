/* Cosockets: ngx.socket.tcp and the request's own socket (ngx.req.socket). To Lua a socket is a
 * table {handle} whose methods stand in its metatable; the handle, a userdata, points here.
 *
 *   socket.c          the object: birth, owner, timeouts, end; the table of methods
 *   socket_conf.c     lua_socket_… and lua_ssl_…
 *   socket_connect.c  connect, bind: from the pool, or the pool's queue, resolver, connect(2)
 *   socket_pool.c     idle connections, limits and queues of a worker
 *   socket_read.c     receive, receiveany: one read(2) serves as many calls as it has bytes for
 *   socket_until.c    receiveuntil; socket_match.c: its matcher
 *   socket_write.c    send
 *   socket_tls.c      sslhandshake and its relatives
 *   socket_option.c   setoption, getoption, getfd
 *   reqsock.c         ngx.req.socket: the sources of bytes that are no connection of ours
 *
 * Owner. A socket belongs to the request that connected it, in whatever phase, or to the run where
 * there is no request; it is closed when its owner ends. Another's socket is a "bad request". A
 * shared one (ngx.socket.tcp{shared = true}) belongs to the worker: whoever has it may use it, one
 * reader and one writer at a time, and it does not keep a worker that is shutting down alive.
 *
 * Stages.
 *          connect                                            sslhandshake
 *   CLOSED ───> QUEUED ───> RESOLVING ───> CONNECTING ───> OPEN <───> HANDSHAKING
 *     ^  ^─────────┴────────────┴──────────────┘ failed      │
 *     └──────────── close, setkeepalive, owner's end ────────┘
 *
 * Full duplex. `reading` and `writing` are waits of their own; connecting and handshakes wait in
 * `writing`. The end of the stream or an error shuts one direction; close ends both.
 *
 * Memory. This struct is the worker's, not the VM's: it is reused from a list, and outlives its
 * handle when a task still waits in it. Buffers are there only while they hold bytes. */
#ifndef BL_LUA_API_SOCKET_H
#define BL_LUA_API_SOCKET_H

#include "event/conn.h"
#include "event/resolver.h"
#include "lua/api/socket_conf.h"
#include "lua/api/socket_match.h"
#include "lua/api/socket_pool.h"
#include "lua/task.h"

typedef struct bl_socket bl_socket;

typedef enum bl_socket_stage {
    BL_SOCKET_CLOSED,
    BL_SOCKET_QUEUED,
    BL_SOCKET_RESOLVING,
    BL_SOCKET_CONNECTING,
    BL_SOCKET_OPEN,
    BL_SOCKET_HANDSHAKING,
} bl_socket_stage;

typedef enum bl_socket_want {
    BL_WANT_LINE,
    BL_WANT_SIZE,
    BL_WANT_ALL,
    BL_WANT_ANY,
    BL_WANT_UNTIL,
} bl_socket_want;

/* Bytes that grow. */
typedef struct bl_socket_bytes {
    char *p;
    size_t len, size;
} bl_socket_bytes;

void bl_socket_bytes_reserve(bl_socket_bytes *b, size_t more);
void bl_socket_bytes_add(bl_socket_bytes *b, const char *p, size_t len);
void bl_socket_bytes_free(bl_socket_bytes *b);

/* An iterator of receiveuntil, held by its closure and the call that waits. */
typedef struct bl_socket_until {
    int refs;
    bool inclusive;
    bool ended; /* the pattern was met by a call with a size: the next one gives nil */
    bl_socket_match *match;
} bl_socket_until;

void bl_socket_until_drop(bl_socket_until *u);

/* Where a socket's bytes come from and go to, and how it ends. */
typedef struct bl_socket_source {
    const char *word; /* "tcp" in messages */
    /* Brings more bytes to s->pos…last, which are empty. OK: at least one; AGAIN: s is woken with
     * bl_socket_readable; ERROR: s->eof, or s->error says why not. */
    bl_status (*fill)(bl_socket *s);
    void (*close)(bl_socket *s);
    /* s->addr is known: makes the connection. Results, or BL_SOCKET_WAITS; NULL: cannot connect. */
    int (*open)(bl_socket *s, lua_State *L);
} bl_socket_source;

extern const bl_socket_source bl_socket_tcp;

/* Where a connect goes: host and port, or "unix:path" (argument 2 and 3), into s->name. 0, or the
 * number of results of a failure. */
int bl_socket_target(bl_socket *s, lua_State *L);
/* From the name to the connection: results or BL_SOCKET_WAITS. */
int bl_socket_establish(bl_socket *s, lua_State *L);
/* Is connect under way or s otherwise busy? 0, or results of the failure. */
int bl_socket_connect_busy(bl_socket *s, lua_State *L);
/* Waits for what establish has begun. */
int bl_socket_connect_wait(bl_socket *s, lua_State *L);
/* Ends a connect that failed: nil and the message. */
int bl_socket_connect_fail(bl_socket *s, lua_State *L, const char *error);
int bl_socket_connect_fail_errno(bl_socket *s, lua_State *L, int err);

enum {
    BL_SOCKET_MAGIC = 0x736f636b,
    BL_SOCKET_WAITS = -1, /* in place of a number of results */
};

struct bl_socket {
    uint32_t magic;
    bl_socket_stage stage;
    const bl_socket_source *source;
    bl_link link;               /* in its owner's list */
    bl_request *request;        /* the owner, or: */
    bl_run *run;                /* or: */
    bl_lua_vm *vm;              /* of a shared one: all coroutines of the worker may use it */
    const bl_socket_conf *conf; /* the owner's, since it connected */
    bl_conn *conn;
    void *source_data;
    int64_t connect_ms, send_ms, read_ms; /* -1: as configured */
    bool held;                            /* by a handle in Lua */
    bool read_shut, write_shut;
    bool eof;
    const char *error; /* of the last failure to read, as programs know it */
    bl_wait reading, writing;

    /* reading */
    char *floor, *pos, *last; /* a piece of the stream; pos…last is not consumed yet */
    bl_buf *buf;              /* its memory, when it is ours */
    bl_socket_bytes partial;  /* what the call that waits has so far */
    bl_socket_want want;
    size_t want_size;
    bl_socket_until *until;
    size_t until_state;

    /* writing */
    bl_buf out;
    bl_chain out_chain;
    char *out_copy; /* of what a full socket did not take */
    size_t out_len; /* of the whole */

    /* connecting */
    char *name; /* "host:port" or "unix:path", for the log and the pool */
    size_t name_size, host_len;
    int port; /* -1: unix */
    bl_addr addr;
    bl_addr *bind; /* NULL: any */
    bool transparent;
    bl_resolve *ask;
    bl_sockpool *pool;
    bool counted;  /* among the pool's active ones */
    bl_link queue; /* in the pool's waiting ones */
    uint32_t reused;

    struct bl_socket_tls *tls; /* what sslhandshake is going to need: socket_tls.c */
};

/* A metatable that is its own index, on top of L: registered under `name`. */
void bl_socket_metatable(lua_State *L, const char *name, const luaL_Reg *functions);
/* A new one for Lua, on top of the stack; `metatable` names its methods. */
bl_socket *bl_socket_push(lua_State *L, const bl_socket_source *source, const char *metatable);
/* The object of a method call, whose owner must be the caller. */
bl_socket *bl_socket_check(lua_State *L);
/* The same where the owner does not matter. */
bl_socket *bl_socket_any(lua_State *L);
/* The socket of a handle; NULL: it is none. */
bl_socket *bl_socket_of_handle(void *handle);
/* It belongs to the current request or run from now on. */
void bl_socket_adopt(bl_socket *s);
/* The VM it lives in. */
bl_lua_vm *bl_socket_vm(const bl_socket *s);
/* Closes it (again, too); nobody waits in it. */
void bl_socket_close(bl_socket *s);
/* Of an owner that ends; all its tasks are dead. */
void bl_socket_close_list(bl_link *sockets);

/* Ends a wait with what was pushed. The last thing its caller does: s may be gone. */
void bl_socket_done(bl_socket *s, bl_wait *w, int results);
/* For a wait that ends by its deadline, or is given up: lets go of s if nobody holds it. */
void bl_socket_left(bl_socket *s);

/* "socket busy …" pushed as a failure, or 0. */
int bl_socket_busy(bl_socket *s, lua_State *L, bool reading, bool writing);

/* nil and a message. */
int bl_socket_fail(lua_State *L, const char *error);
/* nil and an errno's text in lower case. */
int bl_socket_fail_errno(lua_State *L, int err);
const char *bl_socket_errno_text(int err);
/* Logs unless lua_socket_log_errors is off, with ", upstream: …" behind. */
void bl_socket_log(bl_socket *s, bl_log_level level, int err, const char *message);
/* The log of who runs, or owns s. */
bl_log *bl_socket_log_of(const bl_socket *s);
/* Gives the connection the socket's way to log. */
void bl_socket_take_conn(bl_socket *s, bl_conn *c);

/* "Closed" for a direction: logs and fails. */
int bl_socket_closed(bl_socket *s, lua_State *L, const char *attempt);

static inline bool bl_socket_is_open(const bl_socket *s)
{
    return s->stage >= BL_SOCKET_OPEN;
}

static inline int64_t bl_socket_ms(int64_t own, int64_t configured)
{
    return own >= 0 ? own : configured;
}

/* Fills from s->conn: what most sources are. */
bl_status bl_socket_fill_conn(bl_socket *s);
/* Readiness, from the source. */
void bl_socket_readable(bl_socket *s);
void bl_socket_on_read(bl_io *io);
void bl_socket_on_write(bl_io *io);

/* The rest of the family. */
void bl_socket_read_reset(bl_socket *s);
int bl_socket_l_receive(lua_State *L);
int bl_socket_l_receiveany(lua_State *L);
int bl_socket_l_receiveuntil(lua_State *L);
int bl_socket_l_send(lua_State *L);
int bl_socket_l_connect(lua_State *L);
int bl_socket_l_bind(lua_State *L);
int bl_socket_l_setkeepalive(lua_State *L);
int bl_socket_l_setoption(lua_State *L);
int bl_socket_l_getoption(lua_State *L);
int bl_socket_l_getfd(lua_State *L);
int bl_socket_l_close(lua_State *L);
int bl_socket_l_settimeout(lua_State *L);
int bl_socket_l_settimeouts(lua_State *L);
void bl_socket_tls_methods(lua_State *L);
void bl_socket_tls_free(bl_socket *s);
/* The store (X509_STORE *, NULL: the configured one) serves the handshake to come. NULL, or why
 * not. */
const char *bl_socket_tls_trust(bl_socket *s, void *store);

/* Writes what is left. For socket_write.c's on_write. */
void bl_socket_go_on_writing(bl_socket *s);
/* s->addr is known; TCP. */
int bl_socket_open_tcp(bl_socket *s, lua_State *L);
/* For socket_connect.c: the connection is there, or failed. */
void bl_socket_go_on_connecting(bl_socket *s);
/* The pool has room: the first of its queue goes on. */
void bl_socket_unqueue(bl_socket *s);
/* Starts the operation of reading that s->want tells: results, or a wait. */
int bl_socket_read(bl_socket *s, lua_State *L);
/* 0: it may be started; or the number of results of the failure that was pushed. */
int bl_socket_may_read(bl_socket *s, lua_State *L);
/* Argument 2 of a `send` as bytes, good until the next call; and the end of their use. */
bl_str bl_socket_bytes_of(lua_State *L);
void bl_socket_scratch_done(void);

void bl_lua_open_socket(lua_State *L);

#endif
