#include "lua/trim.h"
#include "lua/module.h"

#include <malloc.h>

static int64_t served; /* since the last time, by this process */

bl_step bl_lua_trim(bl_request *r)
{
    const bl_lua_main *main = r->loc->settings.of[BL_MAIN][bl_lua_module.index];

    if (!bl_request_is_main(r) || ++served < main->malloc_trim)
        return BL_NEXT;
    served = 0;
#ifdef __GLIBC__
    int trimmed = malloc_trim(1); /* apart: what a line is made of counts where lines are written */
    bl_debug(r->log, "malloc_trim(1) returned %d", trimmed);
#endif
    return BL_NEXT;
}
