#include "http/modules/not_modified.h"
#include "core/time.h"
#include "http/core_module.h"
#include "http/request.h"

enum {
    WEAK_PREFIX = 2, /* W/ */
};

static bl_str without_weak(bl_str etag)
{
    return bl_str_starts(etag, BL_STR("W/"))
               ? bl_str_of(etag.p + WEAK_PREFIX, etag.len - WEAK_PREFIX)
               : etag;
}

static bl_str skip_separators(bl_str s)
{
    while (s.len && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == ','))
        s = bl_str_of(s.p + 1, s.len - 1);
    return s;
}

/* The tag at the front of `s`, with W/ and quotes; one without quotes, which some programs have,
 * goes to the next comma. Empty when there is none. */
static bl_str first_etag(bl_str s)
{
    size_t start = bl_str_starts(s, BL_STR("W/")) ? WEAK_PREFIX : 0;
    const char *end = s.len > start + 1 && s.p[start] == '"'
                          ? memchr(s.p + start + 1, '"', s.len - start - 1)
                          : NULL;

    if (end)
        return bl_str_of(s.p, (size_t)(end - s.p) + 1);
    if (s.len == start || s.p[start] == '"')
        return BL_STR_NONE;
    ssize_t comma = bl_str_chr(s, ',');
    size_t len = comma < 0 ? s.len : (size_t)comma;
    while (len && s.p[len - 1] == ' ')
        len--;
    return bl_str_of(s.p, len);
}

bool bl_not_modified_has_etag(bl_str list, bl_str etag, bool weak)
{
    if (bl_str_eq(list, BL_STR("*")))
        return true;
    if (etag.len == 0)
        return false;
    if (weak)
        etag = without_weak(etag);
    for (list = skip_separators(list); list.len; list = skip_separators(list)) {
        bl_str one = first_etag(list);
        if (one.len == 0)
            return false;
        if (bl_str_eq(weak ? without_weak(one) : one, etag))
            return weak || !bl_str_starts(one, BL_STR("W/"));
        list = bl_str_of(list.p + one.len, list.len - one.len);
    }
    return false;
}

/* ------------------------------------------------------------- the filter */

static bool fails_unmodified(const bl_request *r, const bl_header *since)
{
    if (r->out.last_modified < 0)
        return true;
    return bl_time_parse_http(since->value) < r->out.last_modified;
}

static bool is_modified_since(const bl_request *r, const bl_header *since)
{
    int how = r->loc->core->if_modified_since;
    time_t time = bl_time_parse_http(since->value);

    if (r->out.last_modified < 0 || how == BL_IMS_OFF)
        return true;
    if (time == r->out.last_modified)
        return false;
    return how == BL_IMS_EXACT || time < r->out.last_modified;
}

static bl_step answer_not_modified(bl_request *r)
{
    r->out.status = 304;
    r->out.status_line = BL_STR_NONE;
    r->out.content_type = BL_STR_NONE;
    r->out.content_length = -1;
    r->out.accept_ranges = false;
    bl_headers_remove(&r->out.headers, BL_STR("Content-Encoding"));
    return BL_NEXT;
}

static const uint64_t conditions = 1ull << BL_H_IF_MODIFIED_SINCE |
                                   1ull << BL_H_IF_UNMODIFIED_SINCE | 1ull << BL_H_IF_MATCH |
                                   1ull << BL_H_IF_NONE_MATCH;

static bl_step head(bl_request *r)
{
    if (BL_LIKELY(!(r->in.have & conditions)))
        return BL_NEXT;
    if (r->out.status != 200 || !bl_request_is_main(r) || r->out.no_modified)
        return BL_NEXT;

    bl_header *field = bl_headers_known(&r->in, BL_H_IF_UNMODIFIED_SINCE);
    if (field && fails_unmodified(r, field))
        return 412;
    field = bl_headers_known(&r->in, BL_H_IF_MATCH);
    if (field && !bl_not_modified_has_etag(field->value, r->out.etag, false))
        return 412;

    bl_header *since = bl_headers_known(&r->in, BL_H_IF_MODIFIED_SINCE);
    bl_header *none = bl_headers_known(&r->in, BL_H_IF_NONE_MATCH);
    if (since == NULL && none == NULL)
        return BL_NEXT;
    if (since && is_modified_since(r, since))
        return BL_NEXT;
    if (none && !bl_not_modified_has_etag(none->value, r->out.etag, true))
        return BL_NEXT;
    return answer_not_modified(r);
}

const bl_filter bl_not_modified_filter = {.name = "not_modified", .head = head};

static bool compile(bl_conf *cf, bl_location *loc)
{
    bl_location_filter(cf, loc, &bl_not_modified_filter);
    return true;
}

static const bl_http_module http = {.compile = compile};

static const bl_directive directives[] = {{0}};

bl_module bl_not_modified_module = {
    .name = "not_modified",
    .directives = directives,
    .http = &http,
};
