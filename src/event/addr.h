/* Socket addresses: IPv4, IPv6, unix. */
#ifndef BL_EVENT_ADDR_H
#define BL_EVENT_ADDR_H

#include "core/array.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct bl_addr {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
} bl_addr;

/* A compact copy for the millions that are kept: 32 bytes; unix paths are not kept. */
typedef union bl_sockaddr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} bl_sockaddr;

enum {
    BL_ADDR_TEXT = 128
};

/* Text of an address: "127.0.0.1", "::1" (no brackets), "unix:" or "unix:/path". Returns the
 * length; `to` has BL_ADDR_TEXT bytes. With port: "127.0.0.1:80", "[::1]:80". */
size_t bl_addr_text(const struct sockaddr *sa, socklen_t len, char *to);
size_t bl_addr_text_port(const struct sockaddr *sa, socklen_t len, char *to);
int bl_addr_port(const struct sockaddr *sa);
void bl_addr_set_port(struct sockaddr *sa, int port);
bool bl_addr_equal(const struct sockaddr *a, socklen_t a_len, const struct sockaddr *b,
                   socklen_t b_len, bool with_port);

/* A literal address without port: "127.0.0.1", "::1", "[::1]". False: it is a name. */
bool bl_addr_parse_ip(bl_str text, bl_addr *to);

/* What stands in listen, server, proxy_pass, resolver: HOST[:PORT], [IPV6][:PORT], unix:PATH,
 * :PORT,
 * *:PORT. Pure: a name stays a name in `host`. */
typedef struct bl_hostport {
    bl_str host; /* without brackets; empty for "*" and ":PORT" */
    int port;    /* -1: not given */
    bool is_ip;  /* `addr` is filled in (port too) */
    bool is_unix;
    bool wildcard; /* "*" or only a port */
    bl_addr addr;
} bl_hostport;

/* NULL when good, else what is wrong: "invalid port in …", "no host in …". `port` is the default.
 */
const char *bl_hostport_parse(bl_str text, int default_port, bl_hostport *to);

/* Resolves at configuration time with the system's resolver (getaddrinfo). Adds bl_addr items.
 * False when not found. */

bool bl_addr_resolve_now(bl_str host, int port, bl_array *addrs);

#endif
