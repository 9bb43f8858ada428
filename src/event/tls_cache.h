/* A cache of certificates that are loaded while connections come (ssl_certificate with variables).
 * The least recently used goes first; what is old enough is read again, what was not used for a
 * while is dropped. One per process and configuration. */
#ifndef BL_EVENT_TLS_CACHE_H
#define BL_EVENT_TLS_CACHE_H

#include "event/tls.h"

typedef struct bl_tls_cache bl_tls_cache;

/* `max` certificates and keys, so half as many pairs; times in ms. Gone with the pool. */
bl_tls_cache *bl_tls_cache_new(bl_pool *pool, int64_t max, int64_t inactive, int64_t valid);

/* The pair of these sources (absolute paths, "data:…"), good until the next call; without a cache
 * (NULL) too. NULL and *error as bl_tls_pair_load. */
bl_tls_pair *bl_tls_cache_get(bl_tls_cache *cache, bl_str certificate, bl_str key,
                              const bl_array *passwords, const char **error);

/* Reads "max=N [inactive=time] [valid=time]" or "off" (*cache is NULL then). False: an error was
 * reported. */
bool bl_tls_cache_read(bl_conf *cf, const bl_conf_node *node, bl_tls_cache **cache);

#endif
