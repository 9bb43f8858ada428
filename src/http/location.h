/* Locations: finding the one that a URI belongs to, and compiling what it says into programs. */
#ifndef BL_HTTP_LOCATION_H
#define BL_HTTP_LOCATION_H

#include "http/http.h"

/* --- configuration --- */

/* The `location` directive (for the core module's table). */
bool bl_location_read(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field);
/* A pseudo-location inside `parent` (if, limit_except): its settings are merged with the parent's,
 * and its block is applied in `context`. NULL after errors. */
bl_location *bl_location_pseudo(bl_conf *cf, const bl_conf_node *node, bl_location_kind kind,
                                uint32_t context);
/* After all of http{} was read: merges settings downwards, builds matchers, compiles programs. */
bool bl_location_finish_server(bl_conf *cf, bl_server *server);
bl_location *bl_location_new(bl_conf *cf, const bl_conf_node *node, bl_location_kind kind,
                             bl_server *server, bl_location *parent);

typedef struct bl_matcher bl_matcher;
/* What finds locations among `children` (bl_location *); NULL for none. */
bl_matcher *bl_matcher_build(bl_conf *cf, bl_array *children);

/* --- requests --- */

/* The step of BL_PHASE_FIND_LOCATION: sets r->loc and jumps to its program, or answers a redirect
 * ("/x" when the location is "/x/" of a proxy), 404 for internal ones asked from outside, 413. */
bl_step bl_location_find(bl_request *r);
/* A named location of the server, or NULL. */
bl_location *bl_location_named(bl_server *server, bl_str name);
/* Makes it the request's: settings, log targets. The program is not begun. */
void bl_location_enter(bl_request *r, bl_location *loc);

#endif
