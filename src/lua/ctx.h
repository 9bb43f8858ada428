/* What the Lua room keeps of a request. Made by its first Lua handler, gone with an internal
 * redirect (as ngx.ctx is). */
#ifndef BL_LUA_CTX_H
#define BL_LUA_CTX_H

#include "lua/module.h"
#include "lua/task.h"

typedef struct bl_lua_ctx {
    bl_request *r;
    bl_lua_vm *vm;
    bl_run *run;      /* the handler's that the request waits for */
    bl_task *reading; /* the task in ngx.req.read_body */
    bl_buf *out;      /* what ngx.say fills */
    bl_chain held;    /* whole output of an HTTP/1.0 response, kept for its length */
    bool holding;
    bool no_type;                  /* the program has taken the content type out */
    bool eof;                      /* ngx.eof was called, or the handler is over */
    bool body_done;                /* lua_need_request_body has been met */
    bool cleaned;                  /* a cleanup is registered */
    int ctx_ref;                   /* of ngx.ctx in vm->ctxs; 0: none */
    int abort_ref;                 /* ngx.on_abort's function; 0: none */
    bl_link sockets;               /* bl_socket.link; not made until there is one */
    struct bl_socket *body_socket; /* ngx.req.socket() */
    bool raw;                      /* ngx.req.socket(true): the connection is the program's */
    bl_link flushing;              /* tasks (bl_task.link) in ngx.flush(true) */
    struct bl_filter_run *filter;  /* header and body filters: filter.c */
    struct bl_new_body *new_body;  /* ngx.req.init_body: api/body.c */
    uint64_t epoch;                /* of the code it runs: reload.h */
    bl_link watched;               /* in vm->watched */
} bl_lua_ctx;

/* The request's; made when there is none. */
bl_lua_ctx *bl_lua_ctx_of(bl_request *r);
/* Something of it must be given back at the request's end. */
void bl_lua_ctx_cleanup(bl_lua_ctx *ctx);
/* The current request's, NULL without one. */
static inline bl_lua_ctx *bl_lua_ctx_here(void)
{
    return bl_lua_now.request ? bl_lua_ctx_of(bl_lua_now.request) : NULL;
}

#endif
