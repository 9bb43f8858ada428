/* stub_status: counts of connections and requests of all workers, as a page and as variables. */
#include "http/modules/stub_status.h"
#include "http/request.h"
#include "http/variable.h"
#include "process/stats.h"

static uint64_t active(const bl_stats *s)
{
    return s->accepted - s->closed;
}

static bl_step serve(bl_request *r)
{
    if (!(r->method & (BL_M_GET | BL_M_HEAD)))
        return 405;
    bl_stats s = bl_stats_sum();
    bl_str page = bl_pool_printf(
        r->pool,
        "Active connections: %llu \nserver accepts handled requests\n %llu %llu %llu \n"
        "Reading: %llu Writing: %llu Waiting: %llu \n",
        (unsigned long long)active(&s), (unsigned long long)s.accepted,
        (unsigned long long)s.handled, (unsigned long long)s.requests,
        (unsigned long long)s.reading, (unsigned long long)s.writing,
        (unsigned long long)s.waiting);
    return bl_output_text(r, 200, BL_STR("text/plain"), page);
}

enum {
    ACTIVE,
    READING,
    WRITING,
    WAITING
};

static bool get(bl_request *r, const bl_variable *v, bl_str member BL_UNUSED, bl_str *value)
{
    bl_stats s = bl_stats_sum();
    const uint64_t counts[] = {active(&s), s.reading, s.writing, s.waiting};

    *value = bl_pool_printf(r->pool, "%llu", (unsigned long long)counts[(uintptr_t)v->data]);
    return true;
}

static const bl_variable rows[] = {
    {BL_STR_INIT("connections_active"), get, NULL, (void *)ACTIVE, BL_VAR_VOLATILE},
    {BL_STR_INIT("connections_reading"), get, NULL, (void *)READING, BL_VAR_VOLATILE},
    {BL_STR_INIT("connections_writing"), get, NULL, (void *)WRITING, BL_VAR_VOLATILE},
    {BL_STR_INIT("connections_waiting"), get, NULL, (void *)WAITING, BL_VAR_VOLATILE},
    {{NULL, 0}},
};

static bool read_directive(bl_conf *cf, const bl_directive *d BL_UNUSED,
                           const bl_conf_node *node BL_UNUSED, void *field BL_UNUSED)
{
    ((bl_location *)cf->block)->content = serve;
    return true;
}

static const bl_directive directives[] = {
    {"stub_status", BL_IN_SERVER | BL_IN_LOCATION, BL_TAKE0 | BL_TAKE1, &bl_type_action,
     .set = read_directive},
    {0},
};

static bool variables(bl_conf *cf)
{
    return bl_var_define_all(cf, rows);
}

static const bl_http_module http = {.variables = variables};

bl_module bl_stub_status_module = {
    .name = "http_stub_status",
    .directives = directives,
    .http = &http,
};
