/* What the system says about names: /etc/resolv.conf and /etc/hosts. */
#ifndef BL_EVENT_RESOLVER_SYSTEM_H
#define BL_EVENT_RESOLVER_SYSTEM_H

#include "core/array.h"
#include "event/addr.h"

/* resolv.conf(5). */
typedef struct bl_resolver_system_conf {
    bl_array servers; /* bl_addr */
    bl_array search;  /* bl_str: domains, without dots around them */
    int ndots;        /* names with so many dots are tried as they are first */
} bl_resolver_system_conf;

/* Reads it, into the pool. Without a server: 127.0.0.1, as the C library does. Pure in `text`. */
void bl_resolver_system_parse(bl_pool *pool, bl_str text, bl_resolver_system_conf *to);
/* The file (BL_RESOLV_CONF of the environment names another, for tests). */
void bl_resolver_system_read(bl_pool *pool, bl_resolver_system_conf *to);

/* Addresses of a name (lower case) in hosts(5), which is read again when it has changed. They are
 * the file's, good until the next call. 0: it is not there. (BL_HOSTS: another file, for tests.) */
uint32_t bl_resolver_system_hosts(bl_str name, const bl_addr **addrs);

#endif
