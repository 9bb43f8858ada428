#include "conf/syslog.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

enum {
    SYSLOG_PORT = 514,
    FACILITY_LOCAL7 = 23,
    SEVERITY_INFO = 6,
};

static const char *const facilities[] = {
    "kern",   "user",   "mail",     "daemon", "auth",   "intern", "lpr",    "news",
    "uucp",   "clock",  "authpriv", "ftp",    "ntp",    "audit",  "alert",  "cron",
    "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7",
};

static const char *const severities[] = {"emerg", "alert",  "crit", "error",
                                         "warn",  "notice", "info", "debug"};

typedef struct reader {
    bl_conf *cf;
    const bl_conf_node *node;
    int word;
    bl_syslog *log;
    bool server, facility, severity, tag;
} reader;

static int index_of(const char *const *names, size_t count, bl_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (bl_str_eq(name, bl_str_c(names[i])))
            return (int)i;
    }
    return -1;
}

static bool once(reader *r, bool *seen, const char *what)
{
    if (*seen)
        return bl_conf_error(r->cf, r->node, r->word, "duplicate syslog \"%s\"", what);
    return *seen = true;
}

static bool unix_server(reader *r, bl_str path)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&r->log->addr;

    if (path.len == 0 || path.len >= sizeof un->sun_path)
        return bl_conf_error(r->cf, r->node, r->word, "invalid path in syslog server \"unix:%.*s\"",
                             BL_STR_ARG(path));
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.p, path.len);
    r->log->addr_len = sizeof *un;
    return true;
}

/* HOST, HOST:PORT, [IPV6] or [IPV6]:PORT. False: the port is none. */
static bool split(bl_str server, bl_str *host, int64_t *port)
{
    bool brackets = server.len && server.p[0] == '[';
    ssize_t end = brackets ? bl_str_chr(server, ']') : bl_str_chr(server, ':');

    *port = SYSLOG_PORT;
    *host = server;
    if (end < 0)
        return !brackets;
    *host = bl_str_of(server.p + brackets, (size_t)end - brackets);
    bl_str rest = bl_str_of(server.p + end + brackets, server.len - (size_t)end - brackets);
    if (rest.len == 0)
        return true;
    *port = bl_str_to_int(bl_str_of(rest.p + 1, rest.len - 1));
    return rest.p[0] == ':' && *port >= 1 && *port <= 65535;
}

static bool resolve(reader *r, bl_str server, bl_str host, int64_t port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV}, *found;
    char service[8];

    snprintf(service, sizeof service, "%d", (int)port);
    if (getaddrinfo(bl_pool_cstr(r->cf->pool, host), service, &hints, &found) != 0)
        return bl_conf_error(r->cf, r->node, r->word, "host not found in syslog server \"%.*s\"",
                             BL_STR_ARG(server));
    memcpy(&r->log->addr, found->ai_addr, found->ai_addrlen);
    r->log->addr_len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static bool server(reader *r, bl_str value)
{
    bl_str host;
    int64_t port;

    if (!once(r, &r->server, "server"))
        return false;
    if (bl_str_starts(value, BL_STR("unix:")))
        return unix_server(r, bl_str_of(value.p + 5, value.len - 5));
    bool ok = split(value, &host, &port);
    if (host.len == 0)
        return bl_conf_error(r->cf, r->node, r->word, "no host in syslog server \"%.*s\"",
                             BL_STR_ARG(value));
    if (!ok)
        return bl_conf_error(r->cf, r->node, r->word, "invalid port in syslog server \"%.*s\"",
                             BL_STR_ARG(value));
    return resolve(r, value, host, port);
}

static bool facility(reader *r, bl_str value)
{
    if (!once(r, &r->facility, "facility"))
        return false;
    r->log->facility = index_of(facilities, BL_COUNTOF(facilities), value);
    return r->log->facility >= 0 ||
           bl_conf_error(r->cf, r->node, r->word, "unknown syslog facility \"%.*s\"",
                         BL_STR_ARG(value));
}

static bool severity(reader *r, bl_str value)
{
    if (!once(r, &r->severity, "severity"))
        return false;
    r->log->severity = index_of(severities, BL_COUNTOF(severities), value);
    return r->log->severity >= 0 ||
           bl_conf_error(r->cf, r->node, r->word, "unknown syslog severity \"%.*s\"",
                         BL_STR_ARG(value));
}

static bool tag_byte(char c)
{
    return (unsigned)(bl_lower(c) - 'a') < 26u || (unsigned)(c - '0') < 10u || c == '_';
}

static bool tag(reader *r, bl_str value)
{
    if (!once(r, &r->tag, "tag"))
        return false;
    if (value.len == 0 || value.len > BL_SYSLOG_TAG_MAX)
        return bl_conf_error(r->cf, r->node, r->word, "syslog tag length exceeds %d",
                             BL_SYSLOG_TAG_MAX);
    for (size_t i = 0; i < value.len; i++) {
        if (!tag_byte(value.p[i]))
            return bl_conf_error(r->cf, r->node, r->word,
                                 "syslog \"tag\" only allows alphanumeric characters and "
                                 "underscore");
    }
    memset(r->log->tag, 0, sizeof r->log->tag);
    memcpy(r->log->tag, value.p, value.len);
    return true;
}

static bool parameter(reader *r, bl_str text)
{
    static const struct {
        bl_str prefix;
        bool (*read)(reader *r, bl_str value);
    } parameters[] = {
        {BL_STR_INIT("server="), server},
        {BL_STR_INIT("facility="), facility},
        {BL_STR_INIT("severity="), severity},
        {BL_STR_INIT("tag="), tag},
    };

    for (size_t i = 0; i < BL_COUNTOF(parameters); i++) {
        size_t len = parameters[i].prefix.len;
        if (bl_str_starts(text, parameters[i].prefix))
            return parameters[i].read(r, bl_str_of(text.p + len, text.len - len));
    }
    if (!bl_str_eq(text, BL_STR("nohostname")))
        return bl_conf_error(r->cf, r->node, r->word, "unknown syslog parameter \"%.*s\"",
                             BL_STR_ARG(text));
    r->log->hostname = false;
    return true;
}

bl_syslog *bl_conf_syslog(bl_conf *cf, const bl_conf_node *node, int word)
{
    reader r = {.cf = cf, .node = node, .word = word, .log = BL_NEW(cf->pool, bl_syslog)};
    bl_str rest = bl_conf_arg(node, word);
    ssize_t comma;

    *r.log = (bl_syslog){.facility = FACILITY_LOCAL7,
                         .severity = SEVERITY_INFO,
                         .tag = "nginx",
                         .hostname = true,
                         .fd = -1};
    rest = bl_str_of(rest.p + strlen("syslog:"), rest.len - strlen("syslog:"));
    do {
        comma = bl_str_chr(rest, ',');
        bl_str one = comma < 0 ? rest : bl_str_of(rest.p, (size_t)comma);
        if (!parameter(&r, one))
            return NULL;
        rest = bl_str_of(rest.p + one.len + 1, comma < 0 ? 0 : rest.len - one.len - 1);
    } while (comma >= 0);
    if (!r.server) {
        bl_conf_error(cf, node, word, "no syslog server specified");
        return NULL;
    }
    return r.log;
}
