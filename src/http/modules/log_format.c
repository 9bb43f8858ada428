#include "http/modules/log_format.h"
#include "http/variable.h"

enum {
    PARTS_ON_STACK = 48,
};

/* ------------------------------------------------------------- escaping */

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static bool is_plain_json(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\';
}

static size_t text_size(bl_str s)
{
    size_t size = s.len;

    for (size_t i = 0; i < s.len; i++)
        size += is_plain((unsigned char)s.p[i]) ? 0 : 3;
    return size;
}

static size_t json_size(bl_str s)
{
    size_t size = s.len;

    for (size_t i = 0; i < s.len; i++)
        size += is_plain_json((unsigned char)s.p[i]) ? 0 : 5;
    return size;
}

static char *put_text(char *to, bl_str s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_plain(c)) {
            *to++ = (char)c;
            continue;
        }
        *to++ = '\\';
        *to++ = 'x';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    return to;
}

static char short_json_escape(unsigned char c)
{
    switch (c) {
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '"':
    case '\\':
        return (char)c;
    default:
        return '\0';
    }
}

static char *put_json(char *to, bl_str s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char after = short_json_escape(c);
        if (is_plain_json(c)) {
            *to++ = (char)c;
        } else if (after) {
            *to++ = '\\';
            *to++ = after;
        } else {
            to = bl_str_put(to, BL_STR("\\u00"));
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        }
    }
    return to;
}

/* ------------------------------------------------------------- lines */

static bl_str value_of(bl_request *r, const bl_log_format *f, const bl_value_part *part,
                       bool *escape)
{
    bl_str value;

    *escape = false;
    if (part->kind == BL_PART_TEXT)
        return part->text;
    if (!bl_var_get(r, part->index, &value))
        return f->escape == BL_LOG_FORMAT_TEXT ? BL_STR("-") : BL_STR("");
    *escape = f->escape != BL_LOG_FORMAT_NONE;
    return value;
}

static char *put(char *to, const bl_log_format *f, bl_str value, bool escape)
{
    if (!escape)
        return value.len ? bl_str_put(to, value) : to;
    return f->escape == BL_LOG_FORMAT_JSON ? put_json(to, value) : put_text(to, value);
}

bl_str bl_log_format_line(bl_request *r, const bl_log_format *f, bool newline)
{
    bl_str values[PARTS_ON_STACK], *all = values, constant = f->value->text;
    bool escapes[PARTS_ON_STACK], *escape = escapes;
    bl_value_part only = {.kind = BL_PART_TEXT, .text = constant};
    const bl_value_part *parts = f->value->constant ? &only : f->value->parts;
    int count = f->value->constant ? 1 : f->value->count;
    size_t size = 1;

    if (count > PARTS_ON_STACK) {
        all = BL_NEW_ARRAY(r->pool, bl_str, (size_t)count);
        escape = BL_NEW_ARRAY(r->pool, bool, (size_t)count);
    }
    for (int i = 0; i < count; i++) {
        all[i] = value_of(r, f, &parts[i], &escape[i]);
        size += !escape[i]                        ? all[i].len
                : f->escape == BL_LOG_FORMAT_JSON ? json_size(all[i])
                                                  : text_size(all[i]);
    }
    char *line = bl_pool_bytes(r->pool, size), *to = line;
    for (int i = 0; i < count; i++)
        to = put(to, f, all[i], escape[i]);
    if (newline)
        *to++ = '\n';
    return bl_str_of(line, (size_t)(to - line));
}

/* ------------------------------------------------------------- configuration */

static bool read_escape(bl_conf *cf, const bl_conf_node *node, bl_log_format *f)
{
    bl_str how = bl_conf_arg(node, 2);

    if (bl_str_eq(how, BL_STR("escape=json")))
        f->escape = BL_LOG_FORMAT_JSON;
    else if (bl_str_eq(how, BL_STR("escape=none")))
        f->escape = BL_LOG_FORMAT_NONE;
    else if (!bl_str_eq(how, BL_STR("escape=default")))
        return bl_conf_error(cf, node, 2, "unknown log format escaping \"%.*s\"",
                             BL_STR_ARG(bl_str_of(how.p + 7, how.len - 7)));
    return true;
}

static bool check_parts(bl_conf *cf, const bl_conf_node *node, const bl_value *value)
{
    for (int i = 0; i < value->count; i++) {
        if (value->parts[i].kind == BL_PART_CAPTURE)
            return bl_conf_error(cf, node, 2, "unknown \"%.*s\" variable",
                                 BL_STR_ARG(value->parts[i].text));
    }
    return true;
}

bl_log_format *bl_log_format_read(bl_conf *cf, const bl_conf_node *node)
{
    bl_log_format *f = BL_NEW(cf->pool, bl_log_format);
    int first = 2;
    bl_str *texts = BL_NEW_ARRAY(cf->pool, bl_str, (size_t)node->count);
    size_t count = 0;

    f->name = bl_conf_arg(node, 1);
    if (bl_str_starts(bl_conf_arg(node, 2), BL_STR("escape="))) {
        if (!read_escape(cf, node, f))
            return NULL;
        first = 3;
    }
    for (int i = first; i < node->count; i++)
        texts[count++] = bl_conf_arg(node, i);
    bl_value *value = bl_value_compile(cf, node, 2, bl_pool_concat(cf->pool, texts, count));
    if (value == NULL || !check_parts(cf, node, value))
        return NULL;
    f->value = value;
    return f;
}

bl_log_format *bl_log_format_combined(bl_conf *cf, const bl_conf_node *node)
{
    bl_log_format *f = BL_NEW(cf->pool, bl_log_format);

    f->name = BL_STR("combined");
    f->value = bl_value_compile(cf, node, 0,
                                BL_STR("$remote_addr - $remote_user [$time_local] \"$request\" "
                                       "$status $body_bytes_sent \"$http_referer\" "
                                       "\"$http_user_agent\""));
    return f->value ? f : NULL;
}
