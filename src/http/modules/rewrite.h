/* The rewrite program, for other modules that add steps to it (set_by_lua). */
#ifndef BL_HTTP_MODULES_REWRITE_H
#define BL_HTTP_MODULES_REWRITE_H

#include "http/request.h"

extern bl_module bl_rewrite_module;

/* Adds a step to the rewrite program of the block that is being read (server, location or `if`),
 * behind those that stand before it in the configuration. `run` says BL_NEXT to go on with the
 * program, or BL_WAIT: waking the request with BL_NEXT then goes on behind the step; or a final
 * status. False: an error was reported. */
bool bl_rewrite_add_op(bl_conf *cf, bl_step (*run)(bl_request *r, void *data), void *data);

/* `set`'s half of it: makes $NAME (word `word` of `node`, with its dollar) a variable that can be
 * set. Its index, or -1 after an error was reported. */
int bl_rewrite_define(bl_conf *cf, const bl_conf_node *node, int word);

#endif
