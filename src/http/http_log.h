/* What a request adds to lines of the error log, and its lines in access logs. */
#ifndef BL_HTTP_HTTP_LOG_H
#define BL_HTTP_HTTP_LOG_H

#include "http/request.h"

/* ", client: …, server: …, request: "…", upstream: "…", host: "…", referrer: "…"" */
char *bl_http_log_describe(void *request, char *at, char *end);
/* ", client: …, server: ADDR" of a connection without a request. */
char *bl_http_log_describe_conn(void *conn, char *at, char *end);

/* Runs the log handlers of a request that never began to run (a head that broke off). */
void bl_http_log_request(bl_request *r);

#endif
