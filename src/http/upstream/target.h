/* Where a location with another protocol than HTTP passes requests: "host:port", "unix:/path", the
 * name of an upstream block, or a text with variables that becomes one of these. */
#ifndef BL_HTTP_UPSTREAM_TARGET_H
#define BL_HTTP_UPSTREAM_TARGET_H

#include "http/upstream/upstream.h"

typedef struct bl_upstream_target {
    bl_value *value;          /* NULL: none */
    bl_upstream_group *group; /* of a text without variables */
} bl_upstream_target;

/* From word 1 of a directive. False: an error was reported. */
bool bl_upstream_target_read(bl_conf *cf, const bl_conf_node *node, bl_upstream_target *to);
/* Settles u's fields "where to". 0, or the status to answer. */
int bl_upstream_target_aim(bl_upstream *u, const bl_upstream_target *target);
/* Settings that such modules have no directives for: nothing is buffered, the body is read first.
 */
void bl_upstream_target_settle(bl_upstream_settings *up);

#endif
