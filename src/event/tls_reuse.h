/* Sessions that our own connections may resume: by the address they go to and the name they ask
 * for, of one bl_tls_client. The least recently used goes first. One per process. */
#ifndef BL_EVENT_TLS_REUSE_H
#define BL_EVENT_TLS_REUSE_H

#include "event/tls.h"

typedef struct bl_tls_reuse bl_tls_reuse;

/* Gone with the pool. */
bl_tls_reuse *bl_tls_reuse_new(bl_pool *pool);

/* NULL: none. Good until the next call. */
SSL_SESSION *bl_tls_reuse_get(bl_tls_client *client, const bl_addr *addr, bl_str name);
/* Takes the reference. */
void bl_tls_reuse_put(bl_tls_client *client, const bl_addr *addr, bl_str name,
                      SSL_SESSION *session);

#endif
