#include "event/addr.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

static size_t unix_text(const struct sockaddr_un *un, socklen_t len, char *to)
{
    size_t room = len > offsetof(struct sockaddr_un, sun_path)
                      ? len - offsetof(struct sockaddr_un, sun_path)
                      : 0;
    size_t n = strnlen(un->sun_path, BL_MIN(room, sizeof un->sun_path));

    memcpy(to, "unix:", 5);
    memcpy(to + 5, un->sun_path, n);
    to[5 + n] = '\0';
    return 5 + n;
}

/* inet_ntop for the common case, without its snprintf. */
static size_t ip4_text(const struct in_addr *in, char *to)
{
    const unsigned char *b = (const unsigned char *)&in->s_addr;
    char *at = to;

    for (int i = 0; i < 4; i++) {
        if (i)
            *at++ = '.';
        at = bl_u64_write(at, b[i]);
    }
    *at = '\0';
    return (size_t)(at - to);
}

size_t bl_addr_text(const struct sockaddr *sa, socklen_t len, char *to)
{
    switch (sa->sa_family) {
    case AF_INET:
        return ip4_text(&((const struct sockaddr_in *)(const void *)sa)->sin_addr, to);
    case AF_INET6:
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, to,
                  BL_ADDR_TEXT);
        return strlen(to);
    case AF_UNIX:
        return unix_text((const struct sockaddr_un *)(const void *)sa, len, to);
    default:
        to[0] = '\0';
        return 0;
    }
}

size_t bl_addr_text_port(const struct sockaddr *sa, socklen_t len, char *to)
{
    if (sa->sa_family == AF_UNIX)
        return bl_addr_text(sa, len, to);

    bool brackets = sa->sa_family == AF_INET6;
    size_t n = bl_addr_text(sa, len, to + brackets) + brackets;
    if (brackets) {
        to[0] = '[';
        to[n++] = ']';
    }
    return n + (size_t)snprintf(to + n, BL_ADDR_TEXT - n, ":%d", bl_addr_port(sa));
}

int bl_addr_port(const struct sockaddr *sa)
{
    switch (sa->sa_family) {
    case AF_INET:
        return ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port);
    case AF_INET6:
        return ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
    default:
        return 0;
    }
}

void bl_addr_set_port(struct sockaddr *sa, int port)
{
    if (sa->sa_family == AF_INET)
        ((struct sockaddr_in *)(void *)sa)->sin_port = htons((uint16_t)port);
    else if (sa->sa_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)sa)->sin6_port = htons((uint16_t)port);
}

bool bl_addr_equal(const struct sockaddr *a, socklen_t a_len, const struct sockaddr *b,
                   socklen_t b_len, bool with_port)
{
    if (a->sa_family != b->sa_family)
        return false;
    if (with_port && bl_addr_port(a) != bl_addr_port(b))
        return false;
    if (a->sa_family == AF_INET)
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
    if (a->sa_family == AF_INET6)
        return memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                      &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr, 16) == 0;

    char a_text[BL_ADDR_TEXT], b_text[BL_ADDR_TEXT];
    bl_addr_text(a, a_len, a_text);
    bl_addr_text(b, b_len, b_text);
    return strcmp(a_text, b_text) == 0;
}

bool bl_addr_parse_ip(bl_str text, bl_addr *to)
{
    char copy[64];

    if (text.len >= 2 && text.p[0] == '[' && text.p[text.len - 1] == ']')
        text = bl_str_of(text.p + 1, text.len - 2);
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, copy, &to->in.sin_addr) == 1) {
        to->in.sin_family = AF_INET;
        to->len = sizeof to->in;
        return true;
    }
    if (inet_pton(AF_INET6, copy, &to->in6.sin6_addr) == 1) {
        to->in6.sin6_family = AF_INET6;
        to->len = sizeof to->in6;
        return true;
    }
    return false;
}

static const char *parse_unix(bl_str path, bl_hostport *to)
{
    if (path.len == 0)
        return "no path in the unix domain socket";
    if (path.len >= sizeof to->addr.un.sun_path)
        return "too long path in the unix domain socket";
    to->is_unix = to->is_ip = true;
    to->host = path;
    to->addr.un.sun_family = AF_UNIX;
    memcpy(to->addr.un.sun_path, path.p, path.len);
    to->addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return NULL;
}

static const char *parse_port(bl_str text, bl_hostport *to)
{
    int64_t port = bl_str_to_int(text);

    if (port < 1 || port > 65535)
        return "invalid port";
    to->port = (int)port;
    return NULL;
}

/* Splits HOST[:PORT]; a text of digits alone is a port. */
static const char *split_host_port(bl_str text, bl_hostport *to)
{
    ssize_t colon;

    if (text.len && text.p[0] == '[') {
        ssize_t close = bl_str_chr(text, ']');
        if (close < 0)
            return "invalid host";
        to->host = bl_str_of(text.p + 1, (size_t)close - 1);
        bl_str rest = bl_str_of(text.p + close + 1, text.len - (size_t)close - 1);
        if (rest.len == 0)
            return NULL;
        if (rest.p[0] != ':')
            return "invalid host";
        return parse_port(bl_str_of(rest.p + 1, rest.len - 1), to);
    }
    if ((colon = bl_str_chr(text, ':')) >= 0) {
        to->host = bl_str_of(text.p, (size_t)colon);
        return parse_port(bl_str_of(text.p + colon + 1, text.len - (size_t)colon - 1), to);
    }
    if (bl_str_to_int(text) >= 0) {
        to->wildcard = true;
        return parse_port(text, to);
    }
    to->host = text;
    return NULL;
}

static void wildcard_addr(bl_hostport *to)
{
    to->addr.in.sin_family = AF_INET;
    to->addr.len = sizeof to->addr.in;
    to->is_ip = true;
}

const char *bl_hostport_parse(bl_str text, int default_port, bl_hostport *to)
{
    *to = (bl_hostport){.port = -1};
    if (bl_str_starts(text, BL_STR("unix:")))
        return parse_unix(bl_str_of(text.p + 5, text.len - 5), to);

    const char *error = split_host_port(text, to);
    if (error)
        return error;
    bool bracketed = text.len && text.p[0] == '[';
    if (!bracketed && (bl_str_eq(to->host, BL_STR("*")) || (to->host.len == 0 && to->port > 0))) {
        to->host = BL_STR_NONE;
        to->wildcard = true;
    }
    if (to->wildcard)
        wildcard_addr(to);
    else if (to->host.len == 0)
        return "no host";
    else if (bl_addr_parse_ip(to->host, &to->addr))
        to->is_ip = true;
    else if (bracketed)
        return "invalid IPv6 address";
    if (to->is_ip)
        bl_addr_set_port(&to->addr.sa, to->port > 0 ? to->port : default_port);
    return NULL;
}

bool bl_addr_resolve_now(bl_str host, int port, bl_array *addrs)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    char name[256];

    if (host.len == 0 || host.len >= sizeof name)
        return false;
    memcpy(name, host.p, host.len);
    name[host.len] = '\0';
    if (getaddrinfo(name, NULL, &hints, &list) != 0)
        return false;
    for (struct addrinfo *a = list; a; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
            continue;
        bl_addr *addr = bl_array_push(addrs);
        memcpy(&addr->sa, a->ai_addr, a->ai_addrlen);
        addr->len = a->ai_addrlen;
        bl_addr_set_port(&addr->sa, port);
    }
    freeaddrinfo(list);
    return true;
}
