/* The environment: what the process was started with is kept, so that any later configuration can
 * choose from it; what getenv() shows is what the configuration chose. */
#ifndef BL_OS_ENVIRON_H
#define BL_OS_ENVIRON_H

#include "core/array.h"

/* Remembers the environment as it is; once, early. */
void bl_environ_init(void);

/* Value of a variable at the start, or NULL. */
const char *bl_environ_original(bl_str name);

/* Makes the environment of `variables` (bl_str items, which outlive their use): NAME=VALUE is taken
 * as it is, NAME with the value of the start, if there was one. */
void bl_environ_set(const bl_array *variables);

/* Puts those of `variables` that have a value into the environment as it is. */
void bl_environ_add(const bl_array *variables);

/* The original environment with `extra` (NAME=VALUE) in place of the variable of that name, for
 * execve(). In `pool`. */
char **bl_environ_with(bl_pool *pool, const char *extra);

#endif
