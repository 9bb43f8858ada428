/* TLS of http servers: the ssl_* directives and variables. Makes server->tls of what a server
 * says. */
#ifndef BL_HTTP_MODULES_SSL_H
#define BL_HTTP_MODULES_SSL_H

#include "event/tls.h"
#include "http/http.h"

extern bl_module bl_ssl_module;

#endif
