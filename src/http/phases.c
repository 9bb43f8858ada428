#include "http/phases.h"
#include "http/body.h"
#include "http/core_module.h"
#include "http/location.h"

bl_step bl_phase_no_content(bl_request *r)
{
    bl_str path;
    size_t root_len;

    if (r->uri.len == 0 || r->uri.p[r->uri.len - 1] != '/') {
        bl_debug(r->log, "no handler found");
        return 404;
    }
    if (bl_request_path(r, &path, &root_len, 0))
        bl_log_write(BL_LOG_ERR, r->log, 0, "directory index of \"%.*s\" is forbidden",
                     BL_STR_ARG(path));
    return 403;
}

/* Behind the rewrite phase: a changed URI belongs to another location. */
static bl_step post_rewrite(bl_request *r)
{
    if (!r->uri_changed)
        return BL_NEXT;
    if (r->uri_changes-- == 0) {
        bl_log_write(BL_LOG_ERR, r->log, 0,
                     "rewrite or internal redirection cycle while processing \"%.*s\"",
                     BL_STR_ARG(r->uri));
        return 500;
    }
    r->uri_changed = false;
    return bl_location_find(r);
}

/* A subrequest was let in with its parent: it is past the access phase. */
static bl_step skip_access(bl_request *r)
{
    return bl_request_is_main(r) ? BL_NEXT : BL_SKIP;
}

static void auth_delay_over(bl_timer *timer)
{
    bl_request *r = BL_CONTAINER(timer, bl_request, timer);

    bl_request_wake(r, r->access_code);
}

static bl_step post_access(bl_request *r)
{
    int code = r->access_code;

    if (code == 0)
        return BL_NEXT;
    if (code == 403)
        bl_log_write(BL_LOG_ERR, r->log, 0, "access forbidden by rule");
    if (code != 401 || r->loc->core->auth_delay == 0)
        return code;
    r->timer.fire = auth_delay_over;
    bl_timer_set(&r->timer, (uint64_t)r->loc->core->auth_delay);
    return BL_WAIT;
}

/* The location's content handler, or the one that an earlier step has put in its place. */
static bl_step content(bl_request *r)
{
    bl_handler_fn run = r->content ? r->content : r->loc->content;

    return run ? run(r) : BL_NEXT;
}

static bool has_phase(const bl_array *handlers, bl_phase phase)
{
    BL_ARRAY_EACH (bl_handler, h, handlers) {
        if (h->phase == phase)
            return true;
    }
    return false;
}

void bl_phases_add_core_steps(bl_conf *cf, bl_location *loc, bl_array *handlers)
{
    if (loc->kind == BL_LOC_SERVER ||
        (loc->kind == BL_LOC_IF && loc->parent->kind == BL_LOC_SERVER))
        bl_location_handler(cf, loc, BL_PHASE_FIND_LOCATION, 0, bl_location_find);
    if (has_phase(handlers, BL_PHASE_REWRITE))
        bl_location_handler(cf, loc, BL_PHASE_POST_REWRITE, 0, post_rewrite);
    if (has_phase(handlers, BL_PHASE_ACCESS)) {
        bl_location_handler(cf, loc, BL_PHASE_ACCESS, 0, skip_access);
        bl_location_handler(cf, loc, BL_PHASE_POST_ACCESS, 0, post_access);
    }
    bl_location_handler(cf, loc, BL_PHASE_CONTENT, BL_PLACE_CONTENT, content);
}
