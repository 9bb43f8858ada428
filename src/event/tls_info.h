/* What can be said about a TLS connection: the values of $ssl_… variables, in HTTP and stream. */
#ifndef BL_EVENT_TLS_INFO_H
#define BL_EVENT_TLS_INFO_H

#include "event/tls.h"

/* The value, in the pool or as long-lived as the connection. False: there is none. `c->tls` is
 * there. */
typedef bool (*bl_tls_info_fn)(bl_conn *c, bl_pool *pool, bl_str *value);

typedef struct bl_tls_info {
    const char *name; /* "ssl_protocol" */
    bl_tls_info_fn get;
} bl_tls_info;

/* Ends with a NULL name. */
extern const bl_tls_info bl_tls_infos[];

/* Is a verification result no worse than "the authority is not known" (optional_no_ca)? */
bool bl_tls_info_only_unknown(long verify_result);

#endif
