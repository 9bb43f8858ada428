/* Texts with variables, and log formats: what compiles is, part for part, what a plain reading
 * makes of it, and no value breaks a line of a log. The input: how a log escapes, the value of
 * every variable, the text. */
#include "conf/diag.h"
#include "fuzz.h"
#include "http/modules/log_format.h"
#include "http/variable.h"

static bl_str every_value;

static void ignore(bl_diag *diag, bl_log_level level, bl_str message, bl_str picture)
{
    (void)diag;
    (void)level;
    (void)message;
    (void)picture;
}

static bool get(bl_request *r, const bl_variable *v, bl_str member, bl_str *value)
{
    (void)r;
    (void)v;
    (void)member;
    *value = every_value;
    return true;
}

/* The text as it was written, from its parts. */
static size_t written_len(const bl_value *value)
{
    size_t len = 0;

    for (int i = 0; i < value->count; i++) {
        const bl_value_part *part = &value->parts[i];
        BL_ASSERT(part->text.len > 0 && fuzz_inside(part->text, value->text));
        len += part->text.len + (part->kind == BL_PART_TEXT ? 0 : 1);
    }
    return len;
}

static void check_line(bl_request *r, const bl_value *value, unsigned how)
{
    bl_log_format format = {.value = value, .escape = how % 3};
    bl_str line = bl_log_format_line(r, &format, true);

    BL_ASSERT(line.len > 0 && line.p[line.len - 1] == '\n');
    if (value->constant || format.escape == BL_LOG_FORMAT_NONE)
        return;
    for (int i = 0; i < value->count; i++)
        if (value->parts[i].kind == BL_PART_TEXT)
            return;
    for (size_t i = 0; i + 1 < line.len; i++) {
        BL_ASSERT((unsigned char)line.p[i] >= 0x20);
        if (line.p[i] == '\\')
            BL_ASSERT(i + 2 < line.len && (++i, true));
        else
            BL_ASSERT(line.p[i] != '"');
    }
}

static void check_value(bl_conf *cf, bl_request *r, const bl_value *value, unsigned how)
{
    size_t len = 0;

    BL_ASSERT(value->constant || written_len(value) <= value->text.len);
    for (int i = 0; i < value->count; i++) {
        const bl_value_part *part = &value->parts[i];
        if (part->kind == BL_PART_VAR)
            BL_ASSERT(bl_var_define(cf, part->text, get, NULL, NULL, BL_VAR_CHANGEABLE) != NULL);
        if (part->kind == BL_PART_CAPTURE)
            return; /* a log has none */
        len += part->kind == BL_PART_TEXT ? part->text.len : every_value.len;
    }
    BL_ASSERT(bl_var_check_all(cf));
    bl_str text = bl_value_eval(r, value);
    BL_ASSERT(text.len == (value->constant ? value->text.len : len));
    BL_ASSERT(bl_str_eq(text, bl_value_eval_z(r, value)));
    check_line(r, value, how);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const bl_log_targets quiet = {.level = BL_LOG_STDERR};
    bl_str in = bl_str_of((const char *)data, size);
    bl_pool *pool = bl_pool_new();
    unsigned how = fuzz_byte(&in);
    bl_diag diag;
    bl_http http = {0};
    bl_generation generation = {.pool = pool, .http = &http};
    bl_conf_file file = {.path = BL_STR("f"), .text = BL_STR("log_format x y;")};
    bl_conf_word word = {.line = 1, .column = 1};
    bl_conf_node node = {.file = &file, .words = &word, .count = 1};
    bl_conf cf = {.pool = pool, .generation = &generation, .diag = &diag, .node = &node};
    bl_log log = {.targets = &quiet};
    bl_request r = {.pool = pool, .http = &http, .log = &log};

    every_value = fuzz_text(&in, 32);
    bl_str text = fuzz_copy(in);
    bl_diag_init(&diag, pool);
    diag.emit = ignore;
    BL_ASSERT(bl_var_table_new(&cf, &http));
    const bl_value *value = bl_value_compile(&cf, &node, 0, text);
    BL_ASSERT(value != NULL || bl_str_chr(text, '$') >= 0);
    if (value)
        check_value(&cf, &r, value, how);
    free(text.p);
    bl_pool_free(pool);
    return 0;
}
