/* TLS towards an upstream: the settings of a location (proxy_ssl_…), the name that is asked for and
 * checked, sessions that are resumed. */
#ifndef BL_HTTP_UPSTREAM_UPSTREAM_TLS_H
#define BL_HTTP_UPSTREAM_UPSTREAM_TLS_H

#include "event/tls.h"
#include "event/tls_cache.h"
#include "http/value.h"

struct bl_upstream;

typedef struct bl_upstream_tls {
    bl_tls_settings settings;
    bl_value *name;
    bl_value *certificate, *certificate_key; /* NULL: none */
    bool late;                               /* they have variables: loaded for each handshake */
    bl_tls_cache *cache;                     /* of those */
    int server_name, verify, session_reuse;
    bl_tls_client *client;
} bl_upstream_tls;

/* The handshake on u->link. False: our own certificate could not be loaded (logged). */
bool bl_upstream_tls_begin(struct bl_upstream *u, void (*done)(bl_conn *c, bool ok));
/* After it: is the peer who it should be? False: logged. */
bool bl_upstream_tls_verified(struct bl_upstream *u);
/* Keeps the session for the next connection to the same peer. */
void bl_upstream_tls_save(struct bl_upstream *u);
/* The name that is asked for; and what a kept connection must agree in: the name, and a certificate
 * that depends on the request. */
bl_str bl_upstream_tls_name(struct bl_upstream *u);
bl_str bl_upstream_tls_identity(struct bl_upstream *u);

#endif
