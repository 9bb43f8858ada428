/* ngx.print, say, flush, eof, send_headers: the response body that Lua produces.
 *
 * What is said is copied to a buffer of the process's cache. It goes to the output pipeline when it
 * is full, when the handler is over, when it waits with a good deal in it, or by ngx.flush. The
 * head goes before the first byte that is said, as the header filters are to see it then.
 *
 * HTTP/1.0 knows no chunks: without a Content-Length of the program's, all is held until the end so
 * that its length can be told (lua_http10_buffering). */
#ifndef BL_LUA_API_OUTPUT_H
#define BL_LUA_API_OUTPUT_H

#include "lua/ctx.h"

/* Sends what is there, and the end of the response. */
bl_status bl_lua_out_end(bl_lua_ctx *ctx);
/* Hands what is there to the pipeline. */
bl_status bl_lua_out_push(bl_lua_ctx *ctx, bool flush);
/* Forgets what has not been handed over. */
void bl_lua_out_drop(bl_lua_ctx *ctx);
/* The handler waits: a buffer worth a packet is not kept back meanwhile. */
void bl_lua_out_waiting(bl_lua_ctx *ctx);

/* The head, with the default content type where the program gave none. */
bl_status bl_lua_out_head(bl_lua_ctx *ctx);

/* For the FFI. Room for `len` bytes: 0 and then bl_lua_ffi_put may put them; 1: the C function has
 * to do it (the buffer is full, the head can't be sent from here, an error is to be raised). */
int bl_lua_ffi_room(size_t len);
void bl_lua_ffi_put(const char *text, size_t len);
/* Both at once: a text; a number, if it is a whole one that Lua writes digit by digit. */
int bl_lua_ffi_say(const char *text, size_t len, int newline);
int bl_lua_ffi_say_number(double n, int newline);

void bl_lua_open_output(lua_State *L);

#endif
