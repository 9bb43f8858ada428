/* OpenSSL's queue of errors, as text for the log. Whoever logs empties the queue. */
#ifndef BL_EVENT_TLS_ERROR_H
#define BL_EVENT_TLS_ERROR_H

#include "event/tls.h"

enum {
    BL_TLS_ERROR_MAX = 1024
};

/* "(SSL: error:… error:…)" of all that is queued, which is then empty; "" when nothing was. `to`
 * has BL_TLS_ERROR_MAX bytes, and a zero byte comes behind. */
char *bl_tls_error_text(char *to);
/* A message with the same behind it, in a buffer of the process, good until the next call. */
const char *bl_tls_error_message(const char *format, ...) BL_PRINTF(1, 2);
/* The same as an error of the configuration; returns false. */
bool bl_tls_error_report(bl_conf *cf, const bl_conf_node *node, const char *format, ...)
    BL_PRINTF(3, 4);

/* Logs "WHAT failed (SSL: …)" of a connection, at the level that its cause deserves: what a peer
 * may do wrong is info (err for peers that we chose), the rest is crit. */
void bl_tls_error_log(bl_conn *c, const char *what);

#endif
