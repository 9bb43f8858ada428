#include "http/modules/expires.h"
#include "conf/conf.h"
#include "core/time.h"

enum {
    DAY = 86400,
};

/* ------------------------------------------------------------- what is written */

/* A time without `modified`: "@1h30m" of the day, or "-1h", "24h" from now. */
static const char *parse_time(bl_str text, bl_expires *e)
{
    bool negative = false, daily = false;

    if (text.len && text.p[0] == '@') {
        daily = true;
        text = bl_str_of(text.p + 1, text.len - 1);
    } else if (text.len && (text.p[0] == '-' || text.p[0] == '+')) {
        negative = text.p[0] == '-';
        text = bl_str_of(text.p + 1, text.len - 1);
    }
    e->seconds = bl_conf_sec(text);
    if (e->seconds < 0)
        return "invalid value";
    if (daily && e->kind == BL_EXPIRES_MODIFIED)
        return "daily time cannot be used with \"modified\" parameter";
    if (daily && e->seconds > DAY)
        return "daily time value must be less than 24 hours";
    if (daily)
        e->kind = BL_EXPIRES_DAILY;
    if (negative)
        e->seconds = -e->seconds;
    return NULL;
}

/* NULL when good, else what is wrong. */
static const char *parse(bl_str text, bool modified, bl_expires *e)
{
    e->kind = modified ? BL_EXPIRES_MODIFIED : BL_EXPIRES_ACCESS;
    if (!modified) {
        if (bl_str_eq(text, BL_STR("off")))
            e->kind = BL_EXPIRES_OFF;
        else if (bl_str_eq(text, BL_STR("epoch")))
            e->kind = BL_EXPIRES_EPOCH;
        else if (bl_str_eq(text, BL_STR("max")))
            e->kind = BL_EXPIRES_MAX;
        if (e->kind != BL_EXPIRES_ACCESS)
            return NULL;
    }
    return parse_time(text, e);
}

static bool read_expires(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                         void *field)
{
    bl_expires **to = field, *e = BL_NEW(cf->pool, bl_expires);
    bool modified = node->count == 3;

    *to = e;
    if (modified && !bl_str_eq(bl_conf_arg(node, 1), BL_STR("modified")))
        return bl_conf_invalid(cf, node, 1);
    e->value = bl_value_compile(cf, node, node->count - 1, bl_conf_arg(node, node->count - 1));
    if (e->value == NULL)
        return false;
    if (bl_value_has_variables(e->value)) {
        e->kind = BL_EXPIRES_VALUE;
        e->seconds = modified;
        return true;
    }
    const char *error = parse(e->value->text, modified, e);
    return error == NULL || bl_conf_error(cf, node, node->count - 1, "%s", error);
}

const bl_type bl_type_expires = {"[modified] time | epoch | max | off", sizeof(bl_expires *),
                                 read_expires};

/* ------------------------------------------------------------- what is sent */

static void set(bl_request *r, bl_str name, bl_str value)
{
    bl_headers_set(&r->out.headers, r->pool, name, value);
}

/* Seconds until that time of the local day comes next. */
static int64_t until_daily(int64_t seconds)
{
    struct tm tm;
    time_t now = bl_clock_now.sec;

    localtime_r(&now, &tm);
    int64_t of_day = tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
    return seconds > of_day ? seconds - of_day : seconds + DAY - of_day;
}

static void set_time(bl_request *r, time_t expires, int64_t max_age)
{
    char *text = bl_pool_bytes(r->pool, BL_TIME_HTTP_LEN);
    size_t len = (size_t)(bl_time_http(text, expires) - text);

    set(r, BL_STR("Expires"), bl_str_of(text, len));
    set(r, BL_STR("Cache-Control"),
        max_age < 0 ? BL_STR("no-cache")
                    : bl_pool_printf(r->pool, "max-age=%lld", (long long)max_age));
}

static void apply_time(bl_request *r, const bl_expires *e)
{
    time_t now = bl_clock_now.sec;
    int64_t age = e->seconds;

    if (e->kind == BL_EXPIRES_DAILY)
        age = until_daily(e->seconds);
    else if (e->kind == BL_EXPIRES_MODIFIED && r->out.last_modified >= 0)
        age = r->out.last_modified + e->seconds - now;
    set_time(r, now + age, age);
}

void bl_expires_apply(bl_request *r, const bl_expires *e)
{
    bl_expires now;

    if (e->kind == BL_EXPIRES_VALUE) {
        if (parse(bl_value_eval(r, e->value), e->seconds != 0, &now) != NULL)
            return;
        e = &now;
    }
    switch (e->kind) {
    case BL_EXPIRES_OFF:
        return;
    case BL_EXPIRES_EPOCH:
        set(r, BL_STR("Expires"), BL_STR("Thu, 01 Jan 1970 00:00:01 GMT"));
        set(r, BL_STR("Cache-Control"), BL_STR("no-cache"));
        return;
    case BL_EXPIRES_MAX:
        set(r, BL_STR("Expires"), BL_STR("Thu, 31 Dec 2037 23:55:55 GMT"));
        set(r, BL_STR("Cache-Control"), BL_STR("max-age=315360000"));
        return;
    default:
        apply_time(r, e);
    }
}
