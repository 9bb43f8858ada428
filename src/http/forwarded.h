/* The client behind trusted proxies: what X-Forwarded-For and its like say (realip, geo). */
#ifndef BL_HTTP_FORWARDED_H
#define BL_HTTP_FORWARDED_H

#include "event/cidr.h"
#include "http/request.h"

/* Is the address in one of the networks (bl_cidr)? */
bool bl_forwarded_is_trusted(const bl_array *networks, const struct sockaddr *sa);

/* Follows a list of addresses ("1.2.3.4, [::1]:80") from its end as long as *addr is trusted, one
 * step or (`recursive`) until an address that is not. False: *addr stays as it was. */
bool bl_forwarded_follow(const bl_array *networks, bl_str list, bool recursive, bl_addr *addr);

#endif
