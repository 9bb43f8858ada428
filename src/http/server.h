/* Virtual servers: which server{} a request is for, by the address it came to and the name it asked
 * for. */
#ifndef BL_HTTP_SERVER_H
#define BL_HTTP_SERVER_H

#include "http/http.h"

typedef struct bl_server_name {
    bl_str name; /* lower case; without the "*." or ".*" of wildcards */
    enum {
        BL_NAME_EXACT,
        BL_NAME_HEAD,
        BL_NAME_TAIL,
        BL_NAME_DOT,
        BL_NAME_REGEX
    } kind;
    struct bl_regex_use *regex;
    bl_server *server;
} bl_server_name;

/* An address that servers listen on: what a connection belongs to until its request names a server.
 */
typedef struct bl_http_addr {
    bl_addr addr;
    bl_str text;
    bl_http *http;
    bl_server *default_server;
    bl_array servers; /* bl_server * */
    bool default_set; /* by default_server */
    bool ssl, proxy_protocol, http2;
    const bl_conf_node *node; /* of the listen directive that set its options */
    /* compiled names */
    bl_server_name **exact; /* open addressing, size a power of two */
    uint32_t exact_mask;
    bl_array wild;       /* bl_server_name: heads (*.x) and tails (x.*) */
    bl_array regexes;    /* bl_server_name */
    bool single;         /* one server without regex names: nothing to look up */
    bl_listener options; /* as asked for by listen */
} bl_http_addr;

/* A listening socket: one address, or a wildcard socket that serves several. */
typedef struct bl_http_port {
    bl_http *http;
    bl_array addrs; /* bl_http_addr *, the wildcard last */
} bl_http_port;

/* `server` block, `listen` and `server_name` directives. */
bool bl_server_read(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field);
bool bl_server_listen(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field);
bool bl_server_names(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field);
/* After all servers are read: names compiled, listeners added to the generation. */
bool bl_server_finish_all(bl_conf *cf, bl_http *http);

/* The server for a name (lower case, may be empty). With a request, named groups of regex names are
 * set in it; without (SNI), regexes only select. */
bl_server *bl_server_find(bl_http_addr *addr, bl_str name, bl_request *r);

/* The address that a connection to `port` came to. */
bl_http_addr *bl_http_addr_of(bl_http_port *port, bl_conn *c);

#endif
