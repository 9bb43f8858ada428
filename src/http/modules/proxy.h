/* The proxy module: requests of a location are passed to an HTTP server.
 *
 *   proxy.c           directives, merging, the content handler, variables
 *   proxy_url.c       proxy_pass: where to, and with which URI
 *   proxy_request.c   the request's head: a compiled program of its fields
 *   proxy_rewrite.c   proxy_redirect, proxy_cookie_…
 *
 * What happens then is in http/upstream. */
#ifndef BL_HTTP_MODULES_PROXY_H
#define BL_HTTP_MODULES_PROXY_H

#include "http/upstream/upstream.h"
#include "http/upstream/upstream_tls.h"

/* A URL of proxy_pass, taken apart. */
typedef struct bl_proxy_target {
    bl_value *url; /* with variables: all else is found for each request */
    bl_str scheme; /* "http://" */
    bool tls;
    bl_str host_port; /* $proxy_host */
    bl_str port;      /* $proxy_port */
    bl_str uri;       /* p NULL: none, the request's own is passed on */
    bl_str location;  /* what the URI stands for */
    bl_upstream_group *group;
    const bl_conf_node *node;
} bl_proxy_target;

/* One field of the request. */
typedef struct bl_proxy_field {
    bl_str name;
    bl_value *value;
} bl_proxy_field;

typedef struct bl_proxy_program bl_proxy_program;
typedef struct bl_proxy_rules bl_proxy_rules;
typedef struct bl_proxy_flags bl_proxy_flags;

typedef struct bl_proxy_location {
    bl_upstream_settings up;
    bl_upstream_tls tls;
    bl_array *set_headers; /* bl_proxy_field */
    bl_value *set_body, *method;
    int http_version; /* 1000, 1001 */
    bl_proxy_rules *redirects, *cookie_domains, *cookie_paths;
    bl_proxy_flags *cookie_flags;
    int64_t headers_hash_max_size, headers_hash_bucket_size;
    /* not inherited, but by `if` and limit_except */
    bl_proxy_target *target;
    bl_proxy_program *program;
    bl_proxy_rules *redirect; /* of `redirects`, or the default one */
} bl_proxy_location;

/* What a request knows of its own: u->data. */
typedef struct bl_proxy {
    const bl_proxy_location *conf;
    const bl_proxy_target *target;
} bl_proxy;

extern bl_module bl_proxy_module;
bl_step bl_proxy_handler(bl_request *r);

/* proxy_url.c */
/* A URL in pieces; host without brackets. */
typedef struct bl_proxy_url {
    bl_str scheme;
    bool tls;
    bl_str authority; /* "host:port", "unix:/path" */
    bl_str host;
    int port, default_port;
    bl_str uri;
    bl_hostport hp;
} bl_proxy_url;

/* NULL, or what is wrong with it. Pure. */
const char *bl_proxy_url_parse(bl_str text, bl_proxy_url *to);
extern const bl_type bl_type_proxy_pass;
/* Settles where the request goes: u's fields and the request's own target. 0, or the status. */
int bl_proxy_aim(bl_upstream *u, bl_proxy *proxy);
/* The URI to ask for. */
bl_str bl_proxy_uri(bl_request *r, const bl_proxy_target *target);

/* proxy_request.c */
extern const bl_type bl_type_proxy_fields;
bool bl_proxy_compile(bl_conf *cf, bl_proxy_location *conf);
bl_step bl_proxy_build(bl_upstream *u);

/* proxy_rewrite.c */
extern const bl_type bl_type_proxy_redirect, bl_type_proxy_cookie_domain, bl_type_proxy_cookie_path,
    bl_type_proxy_cookie_flags;
/* The rule that no directive asked for. */
bl_proxy_rules *bl_proxy_default_redirect(bl_conf *cf, const bl_proxy_target *target);
bool bl_proxy_rewrite(bl_upstream *u, bl_header_id id, bl_str *value);

#endif
