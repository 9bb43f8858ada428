/* The variables of echo. */
#include "core/time.h"
#include "http/body.h"
#include "http/modules/echo.h"
#include "http/variable.h"

static bool get_client_headers(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                               bl_str *value)
{
    bl_str head = bl_request_raw_head(r->main);

    /* without the empty line */
    if (head.len && head.p[head.len - 1] == '\n')
        head.len--;
    if (head.len && head.p[head.len - 1] == '\r')
        head.len--;
    *value = head;
    return true;
}

static bool get_request_body(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                             bl_str *value)
{
    return bl_body_string(r, value);
}

static bool get_timer_elapsed(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                              bl_str *value)
{
    uint64_t start = bl_echo_state_of(r)->timer_start;

    bl_clock_update();
    uint64_t ms = bl_now_ms() - (start ? start : r->start_ms);
    *value = bl_pool_printf(r->pool, "%llu.%03u", (unsigned long long)(ms / 1000),
                            (unsigned)(ms % 1000));
    return true;
}

static bool get_it(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                   bl_str *value)
{
    const bl_echo_state *s = bl_echo_state_of(r);

    if (s->items == NULL)
        return false;
    *value = *(bl_str *)bl_array_at(s->items, s->item);
    return true;
}

static bl_str uri_with_args(bl_request *r, const bl_request *of)
{
    bl_str parts[] = {of->uri, BL_STR("?"), of->args};

    return of->args.len ? bl_pool_concat(r->pool, parts, 3) : of->uri;
}

static bool get_request_uri(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                            bl_str *value)
{
    *value = uri_with_args(r, r);
    return true;
}

static bool get_client_uri(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                           bl_str *value)
{
    *value = r->main->raw_uri;
    return true;
}

static bool get_request_method(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                               bl_str *value)
{
    *value = r->method_name;
    return true;
}

static bool get_client_method(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                              bl_str *value)
{
    *value = r->main->method_name;
    return true;
}

static bool get_response_status(bl_request *r, const bl_variable *v BL_UNUSED,
                                bl_str name BL_UNUSED, bl_str *value)
{
    if (r->out.status == 0)
        return false;
    *value = bl_pool_printf(r->pool, "%d", r->out.status);
    return true;
}

static bool get_incr(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                     bl_str *value)
{
    *value = bl_pool_printf(r->pool, "%d", ++bl_echo_state_of(r->main)->incremented);
    return true;
}

#define ROW(name, get)                                                                             \
    {                                                                                              \
        BL_STR_INIT("echo_" name), get, .flags = BL_VAR_VOLATILE                                   \
    }

bool bl_echo_vars_define(bl_conf *cf)
{
    static const bl_variable rows[] = {
        ROW("client_request_headers", get_client_headers),
        ROW("client_request_method", get_client_method),
        ROW("client_request_uri", get_client_uri),
        ROW("request_method", get_request_method),
        ROW("request_uri", get_request_uri),
        ROW("cacheable_request_uri", get_request_uri),
        ROW("request_body", get_request_body),
        ROW("timer_elapsed", get_timer_elapsed),
        ROW("it", get_it),
        ROW("response_status", get_response_status),
        ROW("incr", get_incr),
        {.get = NULL},
    };

    return bl_var_define_all(cf, rows);
}
