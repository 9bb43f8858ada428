/* A connection to a peer: in use by one request, or idle in its group's pool until the next wants
 * the same peer over the same transport. Pools belong to a process; the newest connection is taken
 * first, the oldest is closed when there are too many. */
#ifndef BL_HTTP_UPSTREAM_UPLINK_H
#define BL_HTTP_UPSTREAM_UPLINK_H

#include "event/conn.h"

struct bl_upstream;
struct bl_upstream_group;
struct bl_location;

/* How long and how often a connection is kept for others. */
typedef struct bl_uplink_keep_setting {
    bool wanted;
    int64_t timeout;  /* ms; 0: none */
    int64_t requests; /* 0: any number */
} bl_uplink_keep_setting;

enum {
    BL_UPLINK_MAGIC = 0x75706c6b
};

typedef struct bl_uplink {
    uint32_t magic;
    uint32_t requests;
    bl_conn *conn;
    struct bl_upstream *u;           /* who uses it; NULL: idle */
    struct bl_upstream_group *group; /* whose pool it is in */
    bl_link in_pool;
    const void *owner; /* of a `local` pool */
    const void *tls;   /* settings that its TLS was made with; NULL: plain */
    bl_str tls_name;
    const struct bl_location *hooked; /* whose code had a part in the handshake; NULL: nobody's */
    bool personal; /* that code has chosen the certificate, for one request: not to be kept */
    uint64_t received_before, sent_before; /* bytes, by requests before this one */
    bool reused;                           /* has served a request before this one */
    bl_addr addr;
    bl_addr local; /* that it was bound to; len 0: to none */
} bl_uplink;

/* Of a connection that is one. */
static inline bl_uplink *bl_uplink_of(const bl_conn *c)
{
    bl_uplink *link = c->data;

    BL_CHECK(link, BL_UPLINK_MAGIC);
    return link;
}

/* A kept connection to the peer that u->choice has, or NULL. */
bl_uplink *bl_uplink_take(struct bl_upstream *u);
/* A new one, being established. NULL: failed at once (logged, errno). */
bl_uplink *bl_uplink_open(struct bl_upstream *u, const bl_addr *bind, bool transparent);
void bl_uplink_close(bl_uplink *link);
/* Back into the pool, or closed if it is not to be kept. */
void bl_uplink_keep(struct bl_upstream *u, bl_uplink *link);
/* At the end of a generation. */
void bl_uplink_close_idle(struct bl_upstream_group *group);

#endif
