/* gzip: compresses responses for clients that take it (RFC 9110 section 8.4.1.3, RFC 1952).
 *
 * A zlib state is some 260 KB; those of finished responses are kept for the next ones. The filter
 * is `late`: it sees the response as a whole, inline subrequests included. */
#include "http/modules/gzip.h"
#include "http/core_module.h"
#include "http/mime.h"
#include "http/output.h"
#include "http/parse.h"
#include "http/value.h"
#include "http/variable.h"

#include <unistd.h>
#include <zlib.h>

typedef struct settings {
    int gzip, no_buffer, vary, http_version, proxied;
    int64_t level, min_length, window, hash, postpone;
    bl_bufs_setting buffers;
    bl_mime_set *types;
    bl_array *disable; /* bl_regex * */
} settings;

enum {
    PROXIED_OFF = 1,
    PROXIED_EXPIRED = 2,
    PROXIED_NO_CACHE = 4,
    PROXIED_NO_STORE = 8,
    PROXIED_PRIVATE = 16,
    PROXIED_NO_LAST_MODIFIED = 32,
    PROXIED_NO_ETAG = 64,
    PROXIED_AUTH = 128,
    PROXIED_ANY = 256,
};

static const bl_conf_word_value proxied_words[] = {
    {"off", PROXIED_OFF},           {"expired", PROXIED_EXPIRED},
    {"no-cache", PROXIED_NO_CACHE}, {"no-store", PROXIED_NO_STORE},
    {"private", PROXIED_PRIVATE},   {"no_last_modified", PROXIED_NO_LAST_MODIFIED},
    {"no_etag", PROXIED_NO_ETAG},   {"auth", PROXIED_AUTH},
    {"any", PROXIED_ANY},           {NULL, 0}};
static const bl_conf_word_value version_words[] = {{"1.0", 1000}, {"1.1", 1001}, {NULL, 0}};

/* ------------------------------------------------------------- may it be compressed? */

bool bl_gzip_is_taken(bl_str list)
{
    while (list.len) {
        ssize_t comma = bl_str_chr(list, ',');
        bl_str one = comma < 0 ? list : bl_str_of(list.p, (size_t)comma);
        list =
            comma < 0 ? BL_STR_NONE : bl_str_of(list.p + comma + 1, list.len - (size_t)comma - 1);
        ssize_t semicolon = bl_str_chr(one, ';');
        bl_str name = bl_str_trim(semicolon < 0 ? one : bl_str_of(one.p, (size_t)semicolon));
        if (!bl_str_ieq(name, BL_STR("gzip")) && !bl_str_eq(name, BL_STR("*")))
            continue;
        if (semicolon < 0)
            return true;
        bl_str q = bl_str_trim(bl_str_of(one.p + semicolon + 1, one.len - (size_t)semicolon - 1));
        if (!bl_str_istarts(q, BL_STR("q=")))
            return false;
        for (size_t i = 2; i < q.len; i++) {
            if (q.p[i] >= '1' && q.p[i] <= '9')
                return true;
        }
        return false;
    }
    return false;
}

static bool has_directive(bl_request *r, const char *word)
{
    bl_str all = bl_headers_join(&r->out.headers, r->pool, BL_STR("Cache-Control"), BL_STR(", "));

    return bl_parse_has_token(all, bl_str_c(word));
}

/* A request that came through a proxy: what its response says about caching decides. */
static bool is_ok_for_proxies(bl_request *r, int proxied)
{
    if (proxied & PROXIED_OFF)
        return false;
    if (proxied & PROXIED_ANY)
        return true;
    if ((proxied & PROXIED_AUTH) && bl_headers_known(&r->in, BL_H_AUTHORIZATION))
        return true;
    bl_header *expires = bl_headers_find(&r->out.headers, BL_STR("Expires"), NULL);
    if (expires) {
        return (proxied & PROXIED_EXPIRED) && bl_time_parse_http(expires->value) < bl_clock_now.sec;
    }
    if (bl_headers_find(&r->out.headers, BL_STR("Cache-Control"), NULL)) {
        return ((proxied & PROXIED_NO_CACHE) && has_directive(r, "no-cache")) ||
               ((proxied & PROXIED_NO_STORE) && has_directive(r, "no-store")) ||
               ((proxied & PROXIED_PRIVATE) && has_directive(r, "private"));
    }
    return ((proxied & PROXIED_NO_LAST_MODIFIED) && r->out.last_modified < 0) ||
           ((proxied & PROXIED_NO_ETAG) && r->out.etag.len == 0);
}

static bool is_disabled_for(bl_request *r, const settings *s)
{
    bl_header *agent = bl_headers_known(&r->in, BL_H_USER_AGENT);

    if (agent == NULL)
        return false;
    BL_ARRAY_EACH (bl_regex *, regex, s->disable) {
        if (bl_regex_match(*regex, agent->value, NULL) > 0)
            return true;
    }
    return false;
}

bool bl_gzip_is_ok(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_gzip_module);
    bl_header *accepts = bl_headers_known(&r->in, BL_H_ACCEPT_ENCODING);

    return bl_request_is_main(r) && accepts && bl_gzip_is_taken(accepts->value) &&
           r->http_version >= s->http_version &&
           (!bl_headers_known(&r->in, BL_H_VIA) || is_ok_for_proxies(r, s->proxied)) &&
           !is_disabled_for(r, s);
}

static bool is_encoded(bl_request *r)
{
    return bl_headers_find(&r->out.headers, BL_STR("Content-Encoding"), NULL) != NULL;
}

static bool is_worth_it(bl_request *r, const settings *s)
{
    int status = r->out.status;

    if ((status != 200 && status != 403 && status != 404) || is_encoded(r))
        return false;
    if (r->out.content_length >= 0 && r->out.content_length < s->min_length)
        return false;
    return bl_mime_set_has(s->types, r->out.content_type);
}

/* ------------------------------------------------------------- zlib states */

typedef struct state {
    struct state *next; /* while it is kept */
    z_stream z;
    int level;
    bl_buf *out; /* being filled */
    bool fed;    /* has input that was not flushed out yet */
    uint64_t in, produced;
} state;

enum {
    KEPT_MAX = 16,
    OUT_SIZE = 4096
};

static state *kept;
static int kept_count;

static state *state_take(int level)
{
    state *st = kept;

    if (st) {
        kept = st->next;
        kept_count--;
        if (st->level == level && deflateReset(&st->z) == Z_OK)
            return st;
        deflateEnd(&st->z);
    } else {
        st = bl_alloc(sizeof *st);
    }
    *st = (state){.level = level};
    if (deflateInit2(&st->z, level, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK)
        return st;
    bl_free(st);
    return NULL;
}

static void state_give(void *data)
{
    state *st = data;

    if (st->out)
        bl_buf_done(st->out);
    st->out = NULL;
    st->fed = false;
    st->in = st->produced = 0;
    if (kept_count >= KEPT_MAX) {
        deflateEnd(&st->z);
        bl_free(st);
        return;
    }
    st->next = kept;
    kept = st;
    kept_count++;
}

/* ------------------------------------------------------------- the filter */

bool bl_gzip_has_vary(const bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_gzip_module);

    return s->vary;
}

void bl_gzip_add_vary(bl_request *r)
{
    if (bl_gzip_has_vary(r))
        bl_headers_add(&r->out.headers, r->pool, BL_STR("Vary"), BL_STR("Accept-Encoding"));
}

/* A strong validator is of the bytes that were; what is sent now is only equivalent to them. */
static void weaken_etag(bl_request *r)
{
    bl_str etag = r->out.etag;

    if (etag.len == 0 || bl_str_starts(etag, BL_STR("W/")))
        return;
    bl_str parts[] = {BL_STR("W/"), etag};
    r->out.etag = bl_pool_concat(r->pool, parts, 2);
}

static bl_step gzip_head(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_gzip_module);

    if (!s->gzip || !bl_request_is_main(r) || !is_worth_it(r, s))
        return BL_NEXT;
    bl_gzip_add_vary(r);
    if (!bl_gzip_is_ok(r))
        return BL_NEXT;
    if (!r->head_only) { /* of a HEAD request's response only the head is other than it was */
        state *st = state_take((int)s->level);
        if (st == NULL)
            return BL_NEXT;
        bl_pool_cleanup(r->pool, state_give, st);
        bl_request_set_ctx(r, &bl_gzip_module, st);
    }
    bl_headers_add(&r->out.headers, r->pool, BL_STR("Content-Encoding"), BL_STR("gzip"));
    r->out.content_length = -1;
    bl_output_no_ranges(r);
    r->filter_in_memory = true;
    weaken_etag(r);
    return BL_NEXT;
}

/* Runs deflate over what is in z.next_in; full output buffers go to `out`. */
static bool deflate_all(state *st, int flush, bl_chain *out)
{
    for (;;) {
        if (st->out == NULL) {
            st->out = bl_buf_cached(OUT_SIZE);
        }
        st->z.next_out = (Bytef *)st->out->last;
        st->z.avail_out = (uInt)(st->out->end - st->out->last);
        int rc = deflate(&st->z, flush);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return false;
        st->out->last = (char *)st->z.next_out;
        bool full = st->z.avail_out == 0;
        if (full || (flush != Z_NO_FLUSH && st->out->last > st->out->pos)) {
            bl_chain_push(out, st->out);
            st->out = NULL;
        }
        if (rc == Z_STREAM_END || (!full && st->z.avail_in == 0))
            return true;
    }
}

static bool feed_file(bl_request *r, state *st, bl_buf *b, bl_chain *out)
{
    char *block = bl_pool_bytes(r->pool, 16384);

    while (b->file_pos < b->file_last) {
        ssize_t n =
            pread(b->fd, block, BL_MIN(16384, (size_t)(b->file_last - b->file_pos)), b->file_pos);
        if (n <= 0)
            return false;
        b->file_pos += n;
        st->in += (uint64_t)n;
        st->z.next_in = (Bytef *)block;
        st->z.avail_in = (uInt)n;
        if (!deflate_all(st, Z_NO_FLUSH, out))
            return false;
    }
    return true;
}

static bool feed(bl_request *r, state *st, bl_buf *b, bl_chain *out)
{
    st->fed |= bl_buf_len(b) > 0;
    if (bl_buf_in_file(b))
        return feed_file(r, st, b, out);
    st->in += (uint64_t)(b->last - b->pos);
    st->z.next_in = (Bytef *)b->pos;
    st->z.avail_in = (uInt)(b->last - b->pos);
    return st->z.avail_in == 0 || deflate_all(st, Z_NO_FLUSH, out);
}

/* The marks of the input on the last piece of the output. */
static void put_mark(bl_request *r, bl_chain *out, bool flush, bool eof)
{
    bl_buf *mark = bl_buf_mark(r->pool);

    mark->flush = flush;
    mark->eof = eof;
    bl_chain_push(out, mark);
}

static bl_step gzip_body(bl_request *r, bl_chain *in, bl_chain *out)
{
    state *st = bl_request_ctx(r, &bl_gzip_module);
    bool flush = false, eof = false, ok = true;
    bl_buf *b;

    if (st == NULL) {
        bl_chain_append(out, in);
        return BL_NEXT;
    }
    while ((b = bl_chain_shift(in)) != NULL) {
        ok = ok && feed(r, st, b, out);
        flush |= b->flush;
        eof |= b->eof;
        bl_buf_done(b);
    }
    if (ok && eof)
        ok = deflate_all(st, Z_FINISH, out);
    else if (ok && flush && st->fed)
        ok = deflate_all(st, Z_SYNC_FLUSH, out);
    if (!ok) {
        bl_log_write(BL_LOG_ALERT, r->log, 0, "deflate() failed");
        return BL_CLOSE;
    }
    st->fed = st->fed && !flush;
    st->produced = st->z.total_out;
    if (flush || eof)
        put_mark(r, out, flush, eof);
    return BL_NEXT;
}

const bl_filter bl_gzip_filter = {
    .name = "gzip", .head = gzip_head, .body = gzip_body, .late = true};

/* ------------------------------------------------------------- module */

static bool get_ratio(bl_request *r, const bl_variable *v BL_UNUSED, bl_str member BL_UNUSED,
                      bl_str *value)
{
    const state *st = bl_request_ctx(r, &bl_gzip_module);

    if (st == NULL || st->produced == 0)
        return false;
    *value = bl_pool_printf(r->pool, "%.2f", (double)st->in / (double)st->produced);
    return true;
}

static bool variables(bl_conf *cf)
{
    return bl_var_define(cf, BL_STR("gzip_ratio"), get_ratio, NULL, NULL, BL_VAR_VOLATILE) != NULL;
}

static bool read_disable(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                         void *field)
{
    bl_array **list = field;
    bl_str error;

    if (*list == BL_UNSET_PTR)
        *list = bl_array_new(cf->pool, sizeof(bl_regex *));
    for (int i = 1; i < node->count; i++) {
        bl_str pattern = bl_conf_arg(node, i);
        if (bl_str_eq(pattern, BL_STR("msie6")))
            pattern = BL_STR("MSIE [4-6]\\.(?!.*SV1)");
        bl_regex *regex = bl_regex_new(cf->pool, pattern, BL_REGEX_CASELESS, &error);
        if (regex == NULL)
            return bl_conf_error(cf, node, i, "%.*s", BL_STR_ARG(error));
        *(bl_regex **)bl_array_push(*list) = regex;
    }
    return true;
}

static const bl_type type_disable = {"regex …", sizeof(bl_array *), read_disable};

#define LOC(name) BL_LOCATION, offsetof(settings, name)

// clang-format off
static const bl_directive directives[] = {
    {"gzip", BL_IN_HSLI, BL_TAKE_FLAG, &bl_type_flag, LOC(gzip), "off"},
    {"gzip_buffers", BL_IN_HSL, BL_TAKE2, &bl_type_bufs, LOC(buffers), "32 4k"},
    {"gzip_types", BL_IN_HSL, BL_TAKE_1MORE | BL_REPEATS, &bl_type_mime_set, LOC(types), "text/html"},
    {"gzip_comp_level", BL_IN_HSL, BL_TAKE1, &bl_type_num, LOC(level), "1"},
    {"gzip_window", BL_IN_HSL, BL_TAKE1, &bl_type_size, LOC(window), "32k"},
    {"gzip_hash", BL_IN_HSL, BL_TAKE1, &bl_type_size, LOC(hash), "128k"},
    {"postpone_gzipping", BL_IN_HSL, BL_TAKE1, &bl_type_size, LOC(postpone), "0"},
    {"gzip_no_buffer", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(no_buffer), "off"},
    {"gzip_min_length", BL_IN_HSL, BL_TAKE1, &bl_type_size, LOC(min_length), "20"},
    {"gzip_vary", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(vary), "off"},
    {"gzip_http_version", BL_IN_HSL, BL_TAKE1, &bl_type_enum, LOC(http_version), "1.1", .arg = version_words},
    {"gzip_proxied", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_bits, LOC(proxied), "off", .arg = proxied_words},
    {"gzip_disable", BL_IN_HSL, BL_TAKE_1MORE, &type_disable, LOC(disable)},
    {0},
};
// clang-format on

static bool merge(bl_conf *cf, int level, void *parent BL_UNUSED, void *child)
{
    settings *s = child;

    if (level == BL_LOCATION && (s->level < 1 || s->level > 9))
        return bl_conf_error(cf, cf->node, 0, "value must be equal to or between 1 and 9");
    return true;
}

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_gzip_module);

    if (s->gzip)
        bl_location_filter(cf, loc, &bl_gzip_filter);
    return true;
}

static const bl_http_module http = {.variables = variables, .compile = compile};

bl_module bl_gzip_module = {
    .name = "http_gzip_filter",
    .directives = directives,
    .size = {0, 0, sizeof(settings)},
    .merge = merge,
    .http = &http,
};
