/* Addresses of a service: SRV records, then the addresses of their targets. */
#ifndef BL_EVENT_RESOLVER_SRV_H
#define BL_EVENT_RESOLVER_SRV_H

#include "event/resolver_query.h"

/* As bl_resolve_start and bl_resolve_cancel, for asks with a service. `servers` and `timeout_ms`
 * are the resolver's. */
bool bl_resolver_srv_start(bl_resolve *ask, bl_resolver_servers *servers, uint64_t timeout_ms);
void bl_resolver_srv_cancel(bl_resolve *ask);

#endif
