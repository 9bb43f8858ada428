/* The words of the HTTP room: what http{} of a generation is made of. */
#ifndef BL_HTTP_HTTP_H
#define BL_HTTP_HTTP_H

#include "conf/generation.h"
#include "core/regex.h"
#include "event/listener.h"
#include "http/header.h"

typedef struct bl_request bl_request;
typedef struct bl_http bl_http;
typedef struct bl_server bl_server;
typedef struct bl_location bl_location;
typedef struct bl_value bl_value;
typedef struct bl_variable bl_variable;
struct bl_upstream;
typedef struct bl_http_core_server bl_http_core_server;
typedef struct bl_http_core_location bl_http_core_location;

/* What a step of a request's life says:
 *   BL_NEXT   go on with the next step
 *   BL_SKIP   leave this phase (of the access phase with `satisfy any`: allowed)
 *   BL_WAIT   suspended; whoever has to do with it calls bl_request_wake with what the step says
 * then BL_DONE   the response has been produced (all of it is in the output pipeline) BL_JUMP   the
 * step has set the place to go on at BL_CLOSE  the exchange can't go on: close the connection
 * without a response or a status: the response is to be produced for it (error_page, built-in
 * page). */
typedef int bl_step;
enum {
    BL_NEXT = 0,
    BL_SKIP = -1,
    BL_WAIT = -2,
    BL_DONE = -3,
    BL_JUMP = -4,
    BL_CLOSE = -5,
};

/* Phases in the order of a request's life. Handlers of one phase run in the order of their rank. */
typedef enum bl_phase {
    BL_PHASE_SERVER_REWRITE,
    BL_PHASE_FIND_LOCATION,
    BL_PHASE_REWRITE,
    BL_PHASE_POST_REWRITE,
    BL_PHASE_PREACCESS,
    BL_PHASE_ACCESS,
    BL_PHASE_POST_ACCESS,
    BL_PHASE_PRECONTENT,
    BL_PHASE_CONTENT,
    BL_PHASE_LOG,
} bl_phase;

typedef bl_step (*bl_handler_fn)(bl_request *r);

/* One step of a location's compiled program. `rank` orders it among all steps of any program, so
 * that a request whose location changes in mid-phase (an `if`) knows where to go on in the new one.
 */
typedef struct bl_handler {
    bl_handler_fn run;
    uint16_t phase;
    uint16_t rank; /* phase * 256 + place in the phase */
} bl_handler;

/* An output filter. Filters stand in one list in modules.c for heads and one for bodies, which give
 * the order; a location has the ones that it asked for. See output.h. */
typedef struct bl_filter {
    const char *name;
    bl_step (*head)(bl_request *r);
    bl_step (*body)(bl_request *r, bl_chain *in, bl_chain *out);
    bool late; /* works on the whole of a response, inline subrequests included, not on theirs alone
                */
} bl_filter;

/* What a module of this room offers beside directives. */
typedef struct bl_http_module {
    bool (*variables)(bl_conf *cf); /* registers its variables, before the configuration is read */
    /* Adds the handlers and filters that the location's settings ask for (bl_location_handler,
     * bl_location_filter). Called for every location, server and pseudo-location once merged. */
    bool (*compile)(bl_conf *cf, bl_location *loc);
} bl_http_module;

typedef enum bl_location_kind {
    BL_LOC_SERVER, /* what a request has before its location is found: the server's own settings */
    BL_LOC_PREFIX, /* location /x */
    BL_LOC_EXACT,  /* location = /x */
    BL_LOC_REGEX,  /* location ~ x, ~* x */
    BL_LOC_NAMED,  /* location @x */
    BL_LOC_IF,     /* if (…) { } inside a location or server */
    BL_LOC_LIMIT_EXCEPT,
} bl_location_kind;

struct bl_location {
    bl_settings settings;
    bl_http_core_location *core; /* settings of the core module at location level: the hot ones */
    bl_server *server;
    bl_location *parent; /* location{} (or server) it is written in */
    bl_str name;         /* text behind the modifier */
    bl_location_kind kind;
    bool no_regex;      /* ^~ */
    bool auto_redirect; /* a location /x/ with a proxy: /x is redirected to /x/ */
    bool internal;
    bl_regex *regex;
    struct bl_regex_use *regex_use; /* its named groups as variables */
    struct bl_matcher *nested;
    bl_array children; /* bl_location *: while the configuration is read */
    const bl_conf_node *node;

    /* compiled */
    bl_handler *program; /* ends with the step that has no handler: 404 */
    int program_len;
    const bl_filter **head_filters; /* end with NULL */
    const bl_filter **body_filters;
    int body_filters_count;
    int late_filters;      /* index of the first that is late */
    bl_handler_fn content; /* the one content handler (proxy_pass, content_by_lua, …), or NULL */
    bl_handler *log;       /* log handlers, end with run == NULL */
    /* A handshake with an upstream is about to begin: what the connection alone needs is added. */
    void (*upstream_tls)(struct bl_upstream *u);
    uint32_t limit_except; /* methods that are let through; the others get limit_except_loc */
    bl_location *limit_except_loc;
};

struct bl_server {
    bl_location *loc; /* kind BL_LOC_SERVER: the server's settings and server_rewrite program */
    bl_http_core_server *core;
    bl_http *http;
    bl_array names; /* bl_server_name */
    struct bl_matcher *matcher;
    bl_array named; /* bl_location *: @names, also of nested locations */
    bl_array children;
    const bl_conf_node *node;
    struct bl_tls_server *tls; /* certificates and settings, or NULL */
    bool listens;              /* had a listen directive */
};

/* http{} */
struct bl_http {
    bl_generation *generation;
    bl_settings settings;
    bl_array servers;          /* bl_server * */
    struct bl_var_table *vars; /* variable.h */
    bl_array addrs;            /* struct bl_http_addr *: what servers listen on (server.h) */
    bl_index addr_texts;       /* of them, the first of each */
};

/* For compile hooks. */
void bl_location_handler(bl_conf *cf, bl_location *loc, bl_phase phase, int place,
                         bl_handler_fn run);
void bl_location_filter(bl_conf *cf, bl_location *loc, const bl_filter *filter);

/* Order of filters, in modules.c; both end with NULL. */
extern const bl_filter *const bl_head_filter_order[];
extern const bl_filter *const bl_body_filter_order[];

/* Settings of a module for a request's location: (type *)BL_LOC_SETTINGS(r, module) */
#define BL_LOC_SETTINGS(r, module)  ((r)->loc->settings.of[BL_LOCATION][(module).index])
#define BL_SRV_SETTINGS(r, module)  ((r)->loc->settings.of[BL_SERVER][(module).index])
#define BL_MAIN_SETTINGS(r, module) ((r)->loc->settings.of[BL_MAIN][(module).index])

#endif
