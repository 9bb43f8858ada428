/* Directives by name. bl_modules_number makes one index per module list, once in the life of the
 * process; all lists are known here, so that a name in the wrong place can be explained. */
#ifndef BL_CONF_NAMES_H
#define BL_CONF_NAMES_H

#include "conf/conf.h"

typedef struct bl_row {
    const bl_directive *directive; /* NULL: none */
    const bl_module *module;
} bl_row;

/* The row of `name` for a context. */
bl_row bl_names_find(const bl_module_list *modules, bl_str name, uint32_t context);

/* Is it a directive anywhere, in any list? The contexts of all its rows, 0 when there is none. */
uint32_t bl_names_contexts(bl_str name);

/* The name most like `name` among those allowed in `context`, or NULL when none is near; then, with
 * *elsewhere set, one of another context. */
const char *bl_names_nearest(const bl_module_list *modules, bl_str name, uint32_t context,
                             bool *elsewhere);

/* "server, location": contexts in words. */
bl_str bl_names_of_contexts(bl_pool *pool, uint32_t contexts);

/* Single changes (insert, delete, replace, swap neighbours) between two words; more than `limit`
 * is reported as limit + 1. Words over 64 bytes are never near. */
int bl_names_distance(bl_str a, bl_str b, int limit);

#endif
