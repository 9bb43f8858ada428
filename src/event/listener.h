/* A listening socket and what `listen` said about it. The description belongs to a generation; the
 * descriptor is handed on to the next generation (and by the NGINX variable to the next binary)
 * when the address is the same. */
#ifndef BL_EVENT_LISTENER_H
#define BL_EVENT_LISTENER_H

#include "conf/generation.h"
#include "event/conn.h"

struct bl_listener {
    bl_link link; /* in the generation's list */
    bl_generation *generation;
    bl_addr addr;
    bl_str text; /* address as text, for messages */
    int fd;
    bl_io io;
    int type; /* SOCK_STREAM, SOCK_DGRAM */
    int backlog, rcvbuf, sndbuf, fastopen;
    int keepalive; /* so_keepalive: -1 unset, 0 off, 1 on */
    int keepidle, keepintvl, keepcnt;
    bool reuseport, deferred, ipv6only, ipv6only_set, bind_set;
    const char *accept_filter;
    bool ssl, proxy_protocol; /* any server on it asked for it */
    int worker;               /* reuseport: the worker that this socket belongs to; -1: all */
    bool inherited;
    bl_timer pause; /* descriptors have run out: accepts again when it fires */
    bl_log log;
    /* A new connection, added to the loop, log and listener set. */
    void (*accepted)(bl_conn *c);
    void *data; /* of the room that listens: bl_http_port * */
};

/* Whose connections log everything (debug_connection); NULL: nobody's. */
extern bool (*bl_listener_debug)(const struct sockaddr *peer);

/* Gives each of `workers` its own socket where `reuseport` asks for it. Opens what is not inherited
 * from `before` (may be NULL). Reports through the process's log; on failure nothing of `g` stays
 * open that was not inherited. */
bool bl_listeners_open(bl_generation *g, bl_generation *before, int workers);
/* Closes what was not inherited; also for a signal's handler (signal-safety(7)). */
void bl_listeners_undo(bl_generation *g);
/* Closes those that `keep` (may be NULL) does not share. */
void bl_listeners_close(bl_generation *g, bl_generation *keep);
/* The same, but others may listen on: the names of unix sockets stay. */
void bl_listeners_release(bl_generation *g, bl_generation *keep);
/* Behind that, at the end of a process: takes away the names of unix sockets on which nobody
 * listens any more. */
void bl_listeners_tidy(const bl_generation *g);
/* In a worker: begins to accept; sockets that belong to other workers are closed here. */
bool bl_listeners_start(bl_generation *g, int worker);
/* Stops to accept. What waits on a socket that nobody else may have (reuseport) is taken first. */
void bl_listeners_stop(bl_generation *g);

#endif
