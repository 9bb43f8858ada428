/* Servers of a group whose addresses are looked up while we serve (`server NAME resolve`, with
 * `service=` by SRV records), each worker for itself.
 *
 *   start ─> ask ─> answer ─> other addresses than before? new peers for the group
 *             ^                            │
 *             └── when its time is over ───┘
 *
 * Requests keep the peers that they began with; the old ones go with the last of them. Requests
 * that come before all names have been answered once wait for that. */
#ifndef BL_HTTP_UPSTREAM_RESOLVING_H
#define BL_HTTP_UPSTREAM_RESOLVING_H

#include "http/upstream/upstream.h"

typedef struct bl_resolving bl_resolving;

/* When all has been read: group->resolving, if a server asks for it. False: an error was reported
 * (no zone, no resolver). */
bool bl_resolving_prepare(bl_conf *cf, bl_upstream_group *group);

/* In a worker; the second when it takes no new connections any more. */
void bl_resolving_start(bl_resolving *resolving);
void bl_resolving_stop(bl_resolving *resolving);

/* True: the group's peers are known. Else `go` is called when they are, unless the request ends:
 * bl_resolving_forget. */
bool bl_resolving_ready(bl_upstream *u, void (*go)(bl_upstream *u));
void bl_resolving_forget(bl_upstream *u);

#endif
