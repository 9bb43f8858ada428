/* A request that the server makes to itself: it runs through the same phases, from find_location
 * on, and its response goes not to a client but to a sink:
 *
 *   capture   the body is collected in memory (ngx.location.capture, auth_request)
 *   inline    the body becomes part of the parent's, at the place where the subrequest was made
 *             (echo_location, addition, SSI); several are kept in order, whatever the order they
 * end in
 */
#ifndef BL_HTTP_SUBREQUEST_H
#define BL_HTTP_SUBREQUEST_H

#include "http/body.h"
#include "http/request.h"

enum {
    BL_SUBREQUESTS_MAX = 200, /* at once, of a main request */
    BL_SUBREQUEST_DEPTH_MAX = 50
};

typedef struct bl_subrequest bl_subrequest;
struct bl_subrequest {
    bool capture;  /* else inline */
    bool bare;     /* errors are their status, without a page, and error_page does not apply */
    bl_chain body; /* capture: what was produced */
    int64_t body_size;
    bool truncated;                /* capture: the response broke off */
    int status;                    /* final */
    void (*done)(bl_request *sub); /* called once, when it is over; the parent may be woken there */
    void *data;
    struct bl_inline *place; /* inline: its turn in the parent's output */
};

typedef struct bl_subrequest_options {
    bl_str uri, args;
    uint32_t method; /* 0: GET */
    bl_str method_name;
    bool capture;
    bool bare;
    bool share_vars; /* the same variable slots as the parent's */
    bool copy_vars;
    bool forward_body; /* the parent's body is its body */
    bl_str *body;      /* or this one */
    bool no_headers;   /* does not see the parent's request header fields (a copy otherwise) */
    void (*done)(bl_request *sub);
    void *data;
} bl_subrequest_options;

/* Makes one and posts it to run. NULL: too many or too deep (logged). */
bl_request *bl_subrequest_new(bl_request *parent, const bl_subrequest_options *options);
/* For output.c: bytes of a request whose inline subrequests are not all out yet wait behind them.
 * False: there is none. */
bool bl_subrequest_hold_output(bl_request *r, bl_chain *chain);
/* For request.c: it is at its end. Tells `done`, and gives back what nobody has taken of its body.
 */
void bl_subrequest_over(bl_request *sub);
/* Its answer is not wanted any more. */
void bl_subrequest_cancel(bl_request *sub);

#endif
