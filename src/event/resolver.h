/* Names to addresses without blocking: the `resolver` directive, DNS over UDP with TCP when an
 * answer was cut (RFC 1035, RFC 3596), a cache that honours TTLs, /etc/hosts, and /etc/resolv.conf
 * where no server is named ("local=on" or no resolver directive: OpenResty's words). One question
 * on the wire for any number of askers. */
#ifndef BL_EVENT_RESOLVER_H
#define BL_EVENT_RESOLVER_H

#include "conf/conf.h"
#include "event/addr.h"
#include "event/loop.h"

typedef struct bl_resolver bl_resolver;

/* Errors, as programs know their texts: bl_resolve_error. */
typedef enum bl_resolve_status {
    BL_RESOLVE_OK = 0,
    BL_RESOLVE_FORMAT = 1,    /* "Format error" */
    BL_RESOLVE_SERVER = 2,    /* "Server failure" */
    BL_RESOLVE_NOT_FOUND = 3, /* "Host not found" */
    BL_RESOLVE_NOT_IMPLEMENTED = 4,
    BL_RESOLVE_REFUSED = 5,
    BL_RESOLVE_TIMEOUT = 110, /* "Operation timed out" */
} bl_resolve_status;

/* What a SRV record says of an address (RFC 2782). */
typedef struct bl_resolve_srv {
    uint16_t priority, weight; /* the lower priority first; weight is a share, 0: the least */
} bl_resolve_srv;

typedef struct bl_resolve bl_resolve;
struct bl_resolve {
    bl_link link; /* resolver's */
    bl_resolver *resolver;
    bl_str name;
    bl_str service;      /* "http", "_xmpp._tcp": addresses and ports by SRV records; p NULL: not */
    int port;            /* put into the addresses */
    uint64_t timeout_ms; /* 0: the resolver's default (30 s) */
    /* Called once, from the loop or at once from bl_resolve_start. The asker may free or start it
     * again there. */
    void (*done)(bl_resolve *ask);
    void *data;
    /* results, good until done returns */
    bl_resolve_status status;
    const bl_addr *addrs;
    const bl_resolve_srv *srvs; /* one for each address, with `service`; else NULL */
    int count;
    uint64_t valid_ms; /* how long they are good from now */
    /* the resolver's; zeroed by who makes it */
    bl_timer timer;
    void *entry;
    bool started;
};

/* Reads the arguments of a resolver directive: addresses, valid=, ipv4=, ipv6=, status_zone=,
 * local=. NULL after an error was reported. */
bl_resolver *bl_resolver_read(bl_conf *cf, const bl_conf_node *node);
/* What is used without a directive: /etc/resolv.conf, read on first use. Never NULL. */
bl_resolver *bl_resolver_system(void);

/* Asks; `resolver`, `name` and `done` are set, and `name` stays until the answer. True: the answer
 * is there already (done was called). A name that is an address is answered at once. */
bool bl_resolve_start(bl_resolve *ask);
/* Asks no more; done will not be called. Nothing happens when it was. */
void bl_resolve_cancel(bl_resolve *ask);
const char *bl_resolve_error(bl_resolve_status status);

#endif
