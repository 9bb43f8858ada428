/* Variables from other texts: steps of the rewrite program, as `set` is.
 *
 *   set_escape_uri $to $from;      set_escape_uri $it;          (from itself)
 *   set_if_empty $to default;      set_random $to 1 6;          set_rotate $to 0 2;
 *   upstream_list all a b c;       set_hashed_upstream $to all $arg_key;
 *
 * Those that make one text of another are rows of `functions`; Lua has them as ndk.set_var.NAME. */
#include "http/modules/set_misc.h"
#include "core/base64.h"
#include "core/time.h"
#include "http/escape.h"
#include "http/modules/rewrite.h"
#include "http/value.h"
#include "http/variable.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <zlib.h>

/* ------------------------------------------------------------- functions of one text */

static bl_str escape_uri(bl_pool *pool, bl_str s)
{
    return bl_escape_uri(pool, s, BL_ESCAPE_COMPONENT);
}

static bl_str unescape_uri(bl_pool *pool, bl_str s)
{
    bl_str copy = bl_pool_str(pool, s);

    for (size_t i = 0; i < copy.len; i++) {
        if (copy.p[i] == '+')
            copy.p[i] = ' ';
    }
    return bl_escape_undo(pool, copy);
}

static bl_str quote_sql(bl_pool *pool, bl_str s)
{
    char *to = bl_pool_bytes(pool, 2 * s.len + 2);

    return bl_str_of(to, bl_escape_sql(to, s));
}

/* PostgreSQL has E'…' for texts with backslashes. */
static bl_str quote_pgsql(bl_pool *pool, bl_str s)
{
    bl_str quoted = quote_sql(pool, s), parts[] = {BL_STR("E"), quoted};

    return bl_str_chr(quoted, '\\') < 0 ? quoted : bl_pool_concat(pool, parts, 2);
}

static const char hex_digits[] = "0123456789abcdef";

static char *put_json(char *at, unsigned char c)
{
    static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *found = c ? strchr(special, c) : NULL;

    if (found) {
        *at++ = '\\';
        *at++ = letter[found - special];
        return at;
    }
    if (c >= 0x20) {
        *at++ = (char)c;
        return at;
    }
    memcpy(at, "\\u00", 4);
    at[4] = hex_digits[c >> 4];
    at[5] = hex_digits[c & 15];
    return at + 6;
}

static bl_str quote_json(bl_pool *pool, bl_str s)
{
    char *to = bl_pool_bytes(pool, 6 * s.len + 3), *at = to;

    *at++ = '"';
    for (size_t i = 0; i < s.len; i++)
        at = put_json(at, (unsigned char)s.p[i]);
    *at++ = '"';
    return bl_str_of(to, (size_t)(at - to));
}

static const char base32[] = "0123456789abcdefghijklmnopqrstuv"; /* RFC 4648 section 7 */

static bl_str encode_base32(bl_pool *pool, bl_str s)
{
    char *to = bl_pool_bytes(pool, (s.len + 4) / 5 * 8 + 1), *at = to;
    uint64_t bits = 0;
    int have = 0;

    for (size_t i = 0; i < s.len; i++) {
        bits = bits << 8 | (unsigned char)s.p[i];
        for (have += 8; have >= 5; have -= 5)
            *at++ = base32[bits >> (have - 5) & 31];
    }
    if (have)
        *at++ = base32[bits << (5 - have) & 31];
    while ((at - to) % 8)
        *at++ = '=';
    return bl_str_of(to, (size_t)(at - to));
}

static bl_str decode_base32(bl_pool *pool, bl_str s)
{
    char *to = bl_pool_bytes(pool, s.len * 5 / 8 + 1), *at = to;
    uint64_t bits = 0;
    int have = 0;

    while (s.len && s.p[s.len - 1] == '=')
        s.len--;
    for (size_t i = 0; i < s.len; i++) {
        const char *found = memchr(base32, bl_lower(s.p[i]), 32);
        if (found == NULL)
            return BL_STR_NONE;
        bits = bits << 5 | (uint64_t)(found - base32);
        have += 5;
        if (have >= 8)
            *at++ = (char)(bits >> (have -= 8) & 255);
    }
    return bl_str_of(to, (size_t)(at - to));
}

static bl_str encode_base64(bl_pool *pool, bl_str s)
{
    char *to = bl_pool_bytes(pool, (s.len + 2) / 3 * 4 + 1);

    return bl_str_of(to, bl_base64_encode(to, s, true, false));
}

static bl_str decode_base64(bl_pool *pool, bl_str s)
{
    char *to = bl_pool_bytes(pool, s.len / 4 * 3 + 3);
    ssize_t len = bl_base64_decode(to, s, false, false);

    return len < 0 ? BL_STR_NONE : bl_str_of(to, (size_t)len);
}

static bl_str encode_hex(bl_pool *pool, bl_str s)
{
    char *to = bl_pool_bytes(pool, 2 * s.len + 1);

    for (size_t i = 0; i < s.len; i++) {
        to[2 * i] = hex_digits[(unsigned char)s.p[i] >> 4];
        to[2 * i + 1] = hex_digits[s.p[i] & 15];
    }
    return bl_str_of(to, 2 * s.len);
}

static bl_str decode_hex(bl_pool *pool, bl_str s)
{
    char *to = bl_pool_bytes(pool, s.len / 2 + 1);

    if (s.len % 2)
        return BL_STR_NONE;
    for (size_t i = 0; i < s.len / 2; i++) {
        int64_t byte = bl_str_to_hex(bl_str_of(s.p + 2 * i, 2));
        if (byte < 0)
            return BL_STR_NONE;
        to[i] = (char)byte;
    }
    return bl_str_of(to, s.len / 2);
}

static bl_str digest(bl_pool *pool, bl_str s, const EVP_MD *kind)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (EVP_Digest(s.p ? s.p : "", s.len, sum, &len, kind, NULL) != 1)
        return BL_STR_NONE;
    return encode_hex(pool, bl_str_of((char *)sum, len));
}

static bl_str md5(bl_pool *pool, bl_str s)
{
    return digest(pool, s, EVP_md5());
}

static bl_str sha1(bl_pool *pool, bl_str s)
{
    return digest(pool, s, EVP_sha1());
}

static bl_str format_time(bl_pool *pool, bl_str format, bool local)
{
    bl_str zero_ended = bl_pool_str(pool, format);
    char text[256];
    struct tm tm;

    if (local)
        localtime_r(&bl_clock_now.sec, &tm);
    else
        gmtime_r(&bl_clock_now.sec, &tm);
    return bl_pool_str(pool, bl_str_of(text, strftime(text, sizeof text, zero_ended.p, &tm)));
}

static bl_str gmt_time(bl_pool *pool, bl_str format)
{
    return format_time(pool, format, false);
}

static bl_str local_time(bl_pool *pool, bl_str format)
{
    return format_time(pool, format, true);
}

static bl_str local_today(bl_pool *pool, bl_str nothing BL_UNUSED)
{
    return format_time(pool, BL_STR("%Y-%m-%d"), true);
}

static int64_t random_below(int64_t n)
{
    uint64_t bits = 0;

    RAND_bytes((unsigned char *)&bits, sizeof bits);
    return (int64_t)(bits % (uint64_t)n);
}

enum {
    RANDOM_MAX = 64 /* characters */
};

static bl_str random_text(bl_pool *pool, bl_str length, const char *alphabet)
{
    int64_t len = bl_str_to_int(length), letters = (int64_t)strlen(alphabet);

    if (len < 1 || len > RANDOM_MAX)
        return BL_STR_NONE;
    char *to = bl_pool_bytes(pool, (size_t)len);
    for (int64_t i = 0; i < len; i++)
        to[i] = alphabet[random_below(letters)];
    return bl_str_of(to, (size_t)len);
}

static bl_str random_alphanum(bl_pool *pool, bl_str length)
{
    return random_text(pool, length,
                       "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
}

static bl_str random_lcalpha(bl_pool *pool, bl_str length)
{
    return random_text(pool, length, "abcdefghijklmnopqrstuvwxyz");
}

static const struct {
    bl_str name;
    bl_set_misc_fn run;
} functions[] = {
    {BL_STR_INIT("set_escape_uri"), escape_uri},
    {BL_STR_INIT("set_unescape_uri"), unescape_uri},
    {BL_STR_INIT("set_quote_sql_str"), quote_sql},
    {BL_STR_INIT("set_quote_pgsql_str"), quote_pgsql},
    {BL_STR_INIT("set_quote_json_str"), quote_json},
    {BL_STR_INIT("set_encode_base32"), encode_base32},
    {BL_STR_INIT("set_decode_base32"), decode_base32},
    {BL_STR_INIT("set_encode_base64"), encode_base64},
    {BL_STR_INIT("set_decode_base64"), decode_base64},
    {BL_STR_INIT("set_encode_hex"), encode_hex},
    {BL_STR_INIT("set_decode_hex"), decode_hex},
    {BL_STR_INIT("set_md5"), md5},
    {BL_STR_INIT("set_sha1"), sha1},
    {BL_STR_INIT("set_formatted_gmt_time"), gmt_time},
    {BL_STR_INIT("set_formatted_local_time"), local_time},
    {BL_STR_INIT("set_local_today"), local_today},
    {BL_STR_INIT("set_secure_random_alphanum"), random_alphanum},
    {BL_STR_INIT("set_secure_random_lcalpha"), random_lcalpha},
};

bl_set_misc_fn bl_set_misc_find(bl_str name)
{
    for (size_t i = 0; i < BL_COUNTOF(functions); i++) {
        if (bl_str_eq(functions[i].name, name))
            return functions[i].run;
    }
    return NULL;
}

/* ------------------------------------------------------------- steps */

typedef struct upstream_list {
    bl_str name;
    bl_str *names;
    int count;
} upstream_list;

typedef struct settings {
    bl_array *lists; /* upstream_list */
} settings;

/* A step: `run` or, for directives of several texts, `run_many` makes the value. */
typedef struct step {
    int variable;
    bl_set_misc_fn run;
    bl_str (*run_many)(bl_request *r, const struct step *s);
    const bl_value *args[2];
    const upstream_list *list;
} step;

static bl_step run_step(bl_request *r, void *data)
{
    const step *s = data;
    bl_str value;

    if (s->run_many) {
        value = s->run_many(r, s);
    } else {
        if (s->args[0])
            value = bl_value_eval(r, s->args[0]);
        else
            bl_var_get(r, s->variable, &value);
        value = s->run(r->pool, value);
    }
    bl_var_set(r, s->variable, value.p ? value : BL_STR(""));
    return BL_NEXT;
}

static bl_str if_empty(bl_request *r, const step *s)
{
    bl_str value;

    bl_var_get(r, s->variable, &value);
    return value.len ? value : bl_value_eval(r, s->args[0]);
}

/* The two numbers of a range, in order; false: not that. */
static bool range_of(bl_request *r, const step *s, int64_t *from, int64_t *to)
{
    *from = bl_str_to_int(bl_value_eval(r, s->args[0]));
    *to = bl_str_to_int(bl_value_eval(r, s->args[1]));
    if (*from > *to) {
        int64_t swap = *from;
        *from = *to;
        *to = swap;
    }
    return *from >= 0;
}

static bl_str number(bl_request *r, int64_t n)
{
    return bl_pool_printf(r->pool, "%lld", (long long)n);
}

static bl_str random_in_range(bl_request *r, const step *s)
{
    int64_t from, to;

    if (!range_of(r, s, &from, &to)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "set_random: bad range");
        return BL_STR("");
    }
    return number(r, from + random_below(to - from + 1));
}

/* From one number to the next, in this process; a number in the variable goes before. */
static bl_str rotate(bl_request *r, const step *s)
{
    int64_t from, to;
    bl_str value;

    if (!range_of(r, s, &from, &to)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "set_rotate: bad range");
        return BL_STR("");
    }
    bl_var_get(r, s->variable, &value);
    int64_t n = bl_str_to_int(value);
    return number(r, n < from || n >= to ? from : n + 1);
}

static bl_str hmac_sha1(bl_request *r, const step *s)
{
    bl_str key = bl_value_eval(r, s->args[0]), text = bl_value_eval(r, s->args[1]);
    unsigned char *sum = (unsigned char *)bl_pool_bytes(r->pool, EVP_MAX_MD_SIZE);
    unsigned len = 0;

    HMAC(EVP_sha1(), key.p ? key.p : "", (int)key.len, (const unsigned char *)text.p, text.len, sum,
         &len);
    return bl_str_of((char *)sum, len);
}

static bl_str hashed_upstream(bl_request *r, const step *s)
{
    bl_str text = bl_value_eval(r, s->args[0]);

    if (text.len == 0)
        return s->list->names[0];
    return s->list->names[crc32_z(0, (const Bytef *)text.p, text.len) % (unsigned)s->list->count];
}

/* ------------------------------------------------------------- directives */

static step *new_step(bl_conf *cf, const bl_conf_node *node)
{
    step *s = BL_NEW(cf->pool, step);

    s->variable = bl_rewrite_define(cf, node, 1);
    return s->variable < 0 ? NULL : s;
}

static bool read_args(bl_conf *cf, const bl_conf_node *node, step *s, int from)
{
    for (int i = from; i < node->count; i++) {
        s->args[i - from] = bl_value_compile(cf, node, i, bl_conf_arg(node, i));
        if (s->args[i - from] == NULL)
            return false;
    }
    return true;
}

static bool read_function(bl_conf *cf, const bl_directive *d, const bl_conf_node *node,
                          void *field BL_UNUSED)
{
    step *s = new_step(cf, node);

    if (s == NULL || !read_args(cf, node, s, 2))
        return false;
    if (d->args == (BL_TAKE1 | BL_REPEATS)) /* made from nothing */
        s->args[0] = bl_value_compile(cf, node, 1, BL_STR(""));
    s->run = bl_set_misc_find(bl_str_c(d->name));
    return bl_rewrite_add_op(cf, run_step, s);
}

static bool read_many(bl_conf *cf, const bl_conf_node *node,
                      bl_str (*run)(bl_request *r, const step *s))
{
    step *s = new_step(cf, node);

    if (s == NULL || !read_args(cf, node, s, 2))
        return false;
    s->run_many = run;
    return bl_rewrite_add_op(cf, run_step, s);
}

#define READ_MANY(name, run)                                                                       \
    static bool name(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,       \
                     void *field BL_UNUSED)                                                        \
    {                                                                                              \
        return read_many(cf, node, run);                                                           \
    }

READ_MANY(read_if_empty, if_empty)
READ_MANY(read_random, random_in_range)
READ_MANY(read_rotate, rotate)
READ_MANY(read_hmac_sha1, hmac_sha1)

static settings *settings_of(bl_conf *cf)
{
    return bl_settings_of(cf->settings, BL_MAIN, &bl_set_misc_module);
}

static const upstream_list *find_list(bl_conf *cf, bl_str name)
{
    BL_ARRAY_EACH (upstream_list, list, settings_of(cf)->lists) {
        if (bl_str_eq(list->name, name))
            return list;
    }
    return NULL;
}

static bool read_upstream_list(bl_conf *cf, const bl_directive *d BL_UNUSED,
                               const bl_conf_node *node, void *field BL_UNUSED)
{
    if (find_list(cf, bl_conf_arg(node, 1)))
        return bl_conf_error(cf, node, 1, "duplicate upstream list \"%.*s\"",
                             BL_STR_ARG(bl_conf_arg(node, 1)));
    upstream_list *list = bl_array_push(settings_of(cf)->lists);
    list->name = bl_conf_arg(node, 1);
    list->count = node->count - 2;
    list->names = BL_NEW_ARRAY(cf->pool, bl_str, (size_t)list->count);
    for (int i = 0; i < list->count; i++)
        list->names[i] = bl_conf_arg(node, i + 2);
    return true;
}

static bool read_hashed_upstream(bl_conf *cf, const bl_directive *d BL_UNUSED,
                                 const bl_conf_node *node, void *field BL_UNUSED)
{
    step *s = new_step(cf, node);

    if (s == NULL || !read_args(cf, node, s, 3))
        return false;
    const upstream_list *list = find_list(cf, bl_conf_arg(node, 2));
    if (list == NULL)
        return bl_conf_error(cf, node, 2, "upstream list \"%.*s\" not found",
                             BL_STR_ARG(bl_conf_arg(node, 2)));
    upstream_list *copy = BL_NEW(cf->pool, upstream_list); /* the array may move */
    *copy = *list;
    s->list = copy;
    s->run_many = hashed_upstream;
    return bl_rewrite_add_op(cf, run_step, s);
}

#define SET(name, args, reader)                                                                    \
    {                                                                                              \
        name, BL_IN_SERVER | BL_IN_SERVER_IF | BL_IN_LOCATION | BL_IN_LOCATION_IF,                 \
            (args) | BL_REPEATS, &bl_type_action, .set = reader                                    \
    }

static const bl_directive directives[] = {
    SET("set_escape_uri", BL_TAKE12, read_function),
    SET("set_unescape_uri", BL_TAKE12, read_function),
    SET("set_quote_sql_str", BL_TAKE12, read_function),
    SET("set_quote_pgsql_str", BL_TAKE12, read_function),
    SET("set_quote_json_str", BL_TAKE12, read_function),
    SET("set_encode_base32", BL_TAKE12, read_function),
    SET("set_decode_base32", BL_TAKE12, read_function),
    SET("set_encode_base64", BL_TAKE12, read_function),
    SET("set_decode_base64", BL_TAKE12, read_function),
    SET("set_encode_hex", BL_TAKE12, read_function),
    SET("set_decode_hex", BL_TAKE12, read_function),
    SET("set_md5", BL_TAKE12, read_function),
    SET("set_sha1", BL_TAKE12, read_function),
    SET("set_formatted_gmt_time", BL_TAKE2, read_function),
    SET("set_formatted_local_time", BL_TAKE2, read_function),
    SET("set_local_today", BL_TAKE1, read_function),
    SET("set_secure_random_alphanum", BL_TAKE2, read_function),
    SET("set_secure_random_lcalpha", BL_TAKE2, read_function),
    SET("set_if_empty", BL_TAKE2, read_if_empty),
    SET("set_random", BL_TAKE3, read_random),
    SET("set_rotate", BL_TAKE3, read_rotate),
    SET("set_hmac_sha1", BL_TAKE3, read_hmac_sha1),
    SET("set_hashed_upstream", BL_TAKE3, read_hashed_upstream),
    {"upstream_list", BL_IN_HTTP, BL_TAKE_2MORE | BL_REPEATS, &bl_type_action,
     .set = read_upstream_list},
    {0},
};

static bool create(bl_conf *cf, int level, void *own)
{
    if (level == BL_MAIN)
        ((settings *)own)->lists = bl_array_new(cf->pool, sizeof(upstream_list));
    return true;
}

bl_module bl_set_misc_module = {
    .name = "set_misc",
    .directives = directives,
    .size = {sizeof(settings)},
    .create = create,
};
