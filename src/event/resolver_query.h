/* One question on the wire: sent to a name server over UDP, to the next one when no answer comes,
 * over TCP when an answer was cut. Each attempt has a socket of its own, so a
 * random port beside its random id, and stays open for a late answer while others are tried. */
#ifndef BL_EVENT_RESOLVER_QUERY_H
#define BL_EVENT_RESOLVER_QUERY_H

#include "event/dns.h"
#include "event/resolver.h"

typedef struct bl_resolver_servers {
    bl_addr *addrs;
    uint32_t count;
    uint32_t next; /* whose turn it is */
} bl_resolver_servers;

typedef struct bl_resolver_query bl_resolver_query;
struct bl_resolver_query {
    bl_resolver_servers *servers;
    uint16_t type;
    bl_str name;
    /* Called once, from the loop or from start; the answer (NULL: `status` says why there is none)
     * is good until it returns. It may start the query again. */
    void (*done)(bl_resolver_query *q, const bl_dns_answer *answer, bl_resolve_status status);

    bl_link attempts;
    bl_timer timer;
    uint32_t tries, open;
    uint64_t pause_ms;
    bool running;
};

/* `name` must stay until it is done; at least one server. Goes on until it is done or stopped. */
void bl_resolver_query_start(bl_resolver_query *q, bl_str name);
void bl_resolver_query_stop(bl_resolver_query *q);

#endif
