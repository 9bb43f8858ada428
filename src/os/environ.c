#include "os/environ.h"
#include "core/mem.h"

#include <stdlib.h>

extern char **environ;

static char **original;
static char **chosen; /* what environ points at, if not at the original */

void bl_environ_init(void)
{
    original = environ;
}

const char *bl_environ_original(bl_str name)
{
    for (char **e = original; e && *e; e++) {
        if (strncmp(*e, name.p, name.len) == 0 && (*e)[name.len] == '=')
            return *e + name.len + 1;
    }
    return NULL;
}

static char *entry(bl_str variable)
{
    if (bl_str_chr(variable, '=') >= 0)
        return variable.p;
    const char *value = bl_environ_original(variable);
    return value ? (char *)value - variable.len - 1 : NULL;
}

void bl_environ_set(const bl_array *variables)
{
    char **now = bl_alloc(bl_size_mul((size_t)variables->count + 1, sizeof *now));
    size_t count = 0;

    BL_ARRAY_EACH (bl_str, variable, variables) {
        char *e = entry(*variable);
        if (e)
            now[count++] = e;
    }
    now[count] = NULL;
    environ = now;
    bl_free(chosen);
    chosen = now;
}

void bl_environ_add(const bl_array *variables)
{
    BL_ARRAY_EACH (bl_str, variable, variables) {
        if (bl_str_chr(*variable, '=') >= 0)
            putenv(variable->p);
    }
}

char **bl_environ_with(bl_pool *pool, const char *extra)
{
    size_t name = strcspn(extra, "=") + 1, count = 0;

    while (original[count])
        count++;
    char **all = BL_NEW_ARRAY(pool, char *, count + 2);
    count = 0;
    for (char **e = original; *e; e++) {
        if (strncmp(*e, extra, name) != 0)
            all[count++] = *e;
    }
    all[count] = (char *)extra;
    return all;
}
