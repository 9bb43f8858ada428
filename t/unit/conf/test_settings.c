/* Directive tables: checks, values, inheritance, defaults, and what is said when it is wrong. */
#include "conf_test.h"
#include "conf/conf.h"
#include "conf/generation.h"
#include "conf/names.h"

typedef struct own {
    int flag, choice, bits;
    int64_t number, size, time;
    bl_str text;
    bl_array *texts;
    bl_bufs_setting bufs;
} own;

static bl_module thing;
static bool block(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field);

static const bl_conf_word_value colours[] = {{"red", 1}, {"green", 2}, {"blue", 4}, {NULL, 0}};

static bool odd(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node, void *field)
{
    return *(int64_t *)field % 2 == 1 || bl_conf_invalid(cf, node, 1);
}

#define ROW(name, args, type, member, ...)                                                         \
    {                                                                                              \
        name, BL_IN_HSL, args, &type, BL_LOCATION, offsetof(own, member), __VA_ARGS__              \
    }

static const bl_directive rows[] = {
    ROW("flag", BL_TAKE1, bl_type_flag, flag, "on"),
    ROW("choice", BL_TAKE1, bl_type_enum, choice, "green", colours),
    ROW("bits", BL_TAKE_1MORE, bl_type_bits, bits, "red blue", colours),
    ROW("number", BL_TAKE1, bl_type_num, number, "7", .check = odd),
    ROW("size", BL_TAKE1, bl_type_size, size, NULL),
    ROW("time", BL_TAKE1, bl_type_msec, time, "1m"),
    ROW("text", BL_TAKE1, bl_type_str, text, ""),
    ROW("texts", BL_TAKE_1MORE | BL_REPEATS, bl_type_strs, texts, NULL),
    ROW("bufs", BL_TAKE2, bl_type_bufs, bufs, "4 8k"),
    {"inner", BL_IN_HTTP, BL_TAKE0 | BL_TAKE_BLOCK | BL_REPEATS, &bl_type_action, .set = block},
    {"code_by_lua_block", BL_IN_HTTP, BL_TAKE0 | BL_TAKE_LUA, &bl_type_action},
    {"faraway", BL_IN_STREAM, BL_TAKE1, &bl_type_action},
    {0},
};

static bl_module thing = {.name = "thing", .directives = rows, .size = {0, 0, sizeof(own)}};
static bl_module *const modules[] = {&thing, NULL};
static bl_module_list list = {.modules = modules};

static struct {
    bl_pool *pool;
    bl_diag diag;
    bl_conf cf;
    bl_settings top, inner;
    said said;
} t;

static bool block(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                  void *field BL_UNUSED)
{
    t.inner.of[BL_LOCATION] = bl_settings_create(cf, &list, BL_LOCATION);
    return bl_conf_apply(cf, node, &list, BL_IN_SERVER, &t.inner, NULL);
}

/* Applies `text` as the inside of http{}; returns the outer settings, merged when all is well. */
static own *apply(const char *text)
{
    bl_modules_number(&list);
    t.pool = bl_pool_new();
    t.said = (said){.text = ""};
    keep_messages(&t.diag, t.pool, &t.said);
    bl_conf_file *file = BL_NEW(t.pool, bl_conf_file);
    file->path = BL_STR("f");
    file->text = bl_str_c(text);
    bl_conf_node *root = bl_conf_parse(t.pool, file, &t.diag);
    t.cf = (bl_conf){.pool = t.pool, .diag = &t.diag};
    t.top.of[BL_LOCATION] = bl_settings_create(&t.cf, &list, BL_LOCATION);
    bool ok = bl_conf_apply(&t.cf, root, &list, BL_IN_HTTP, &t.top, NULL);
    ck_assert_int_eq(ok, t.cf.errors == 0);
    if (ok) {
        ck_assert(bl_settings_merge(&t.cf, &list, BL_LOCATION, NULL, t.top.of[BL_LOCATION]));
        if (t.inner.of[BL_LOCATION])
            ck_assert(bl_settings_merge(&t.cf, &list, BL_LOCATION, t.top.of[BL_LOCATION],
                                        t.inner.of[BL_LOCATION]));
    }
    return t.top.of[BL_LOCATION][0];
}

static own *inner(void)
{
    return t.inner.of[BL_LOCATION][0];
}

#define SAYS(conf, expected)                                                                       \
    do {                                                                                           \
        apply(conf);                                                                               \
        ck_assert_str_eq(t.said.text, expected);                                                   \
        bl_pool_free(t.pool);                                                                      \
    } while (0)

START_TEST(defaults)
{
    own *o = apply("");

    ck_assert_int_eq(o->flag, 1);
    ck_assert_int_eq(o->choice, 2);
    ck_assert_int_eq(o->bits, 5);
    ck_assert_int_eq(o->number, 7);
    ck_assert_int_eq(o->size, 0);
    ck_assert_int_eq(o->time, 60000);
    ck_assert_uint_eq(o->text.len, 0);
    ck_assert_ptr_null(o->texts);
    ck_assert_int_eq(o->bufs.count, 4);
    ck_assert_int_eq(o->bufs.size, 8192);
    bl_pool_free(t.pool);
}
END_TEST

START_TEST(values)
{
    own *o = apply("flag OFF; choice blue; bits green red; number 9; size 2k; time 1s500ms;"
                   "text \"a b\"; texts a b; texts c; bufs 2 1m; code_by_lua_block { x }");

    ck_assert_str_eq(t.said.text, "");
    ck_assert_int_eq(o->flag, 0);
    ck_assert_int_eq(o->choice, 4);
    ck_assert_int_eq(o->bits, 3);
    ck_assert_int_eq(o->number, 9);
    ck_assert_int_eq(o->size, 2048);
    ck_assert_int_eq(o->time, 1500);
    ck_assert(bl_str_eq(o->text, BL_STR("a b")));
    ck_assert_int_eq(o->text.p[3], '\0');
    ck_assert_uint_eq(o->texts->count, 3);
    ck_assert(bl_str_eq(*(bl_str *)bl_array_at(o->texts, 2), BL_STR("c")));
    ck_assert_int_eq(o->bufs.size, 1048576);
    bl_pool_free(t.pool);
}
END_TEST

START_TEST(inheritance)
{
    apply("number 3; texts a; text outer; inner { text own; size 1; bufs 1 1; flag off; }");
    ck_assert_int_eq(inner()->number, 3);
    ck_assert_int_eq(inner()->size, 1);
    ck_assert_int_eq(inner()->flag, 0);
    ck_assert_int_eq(inner()->bufs.size, 1);
    ck_assert_int_eq(inner()->time, 60000);
    ck_assert(bl_str_eq(inner()->text, BL_STR("own")));
    ck_assert_uint_eq(inner()->texts->count, 1);
    bl_pool_free(t.pool);
}
END_TEST

START_TEST(wrong_form)
{
    SAYS("flag;", "emerg: invalid number of arguments in \"flag\" directive in f:1\n");
    SAYS("flag on {}", "emerg: directive \"flag\" is not terminated by \";\" in f:1\n");
    SAYS("inner;", "emerg: directive \"inner\" has no opening \"{\" in f:1\n");
    SAYS("code_by_lua_block 'x';",
         "emerg: directive \"code_by_lua_block\" has no opening \"{\" in f:1\n");
    SAYS("flag on; texts a; flag on;", "emerg: \"flag\" directive is duplicate in f:1\n");
    SAYS("inner {} inner {}", "");
    SAYS("faraway 1;", "emerg: \"faraway\" directive is not allowed here in f:1\n");
    SAYS("xyzzy 1;", "emerg: unknown directive \"xyzzy\" in f:1\n");
}
END_TEST

START_TEST(wrong_values)
{
    SAYS("flag maybe;",
         "emerg: invalid value \"maybe\" in \"flag\" directive, it must be \"on\" or "
         "\"off\" in f:1\n");
    SAYS("number x;", "emerg: invalid number \"x\" in \"number\" directive in f:1\n");
    SAYS("number 4;", "emerg: invalid value \"4\" in \"number\" directive in f:1\n");
    SAYS("size 1x;", "emerg: invalid value \"1x\" in \"size\" directive in f:1\n");
    SAYS("choice pink;", "emerg: invalid value \"pink\" in \"choice\" directive in f:1\n");
    SAYS("bits red red;", "warn: duplicate value \"red\" in f:1\n");
    SAYS("bufs 0 1k;", "emerg: invalid value \"0\" in \"bufs\" directive in f:1\n");
}
END_TEST

START_TEST(all_errors)
{
    SAYS("flag x;\nfoo;\ninner { size y; }\nchoice red;\nnumber 2;",
         "emerg: invalid value \"x\" in \"flag\" directive, it must be \"on\" or \"off\" in f:1\n"
         "emerg: unknown directive \"foo\" in f:2\n"
         "emerg: invalid value \"y\" in \"size\" directive in f:3\n"
         "emerg: invalid value \"2\" in \"number\" directive in f:5\n");
}
END_TEST

/* The hint is the last line of the picture. */
static void check_hint(const char *text, const char *hint)
{
    apply("");
    bl_pool_free(t.pool);
    t.pool = bl_pool_new();
    bl_conf_file file = {.path = BL_STR("f"), .text = bl_str_c(text)};
    t.said = (said){.text = "", .pictures = true};
    keep_messages(&t.diag, t.pool, &t.said);
    t.cf = (bl_conf){.pool = t.pool, .diag = &t.diag};
    t.top.of[BL_LOCATION] = bl_settings_create(&t.cf, &list, BL_LOCATION);
    bl_conf_apply(&t.cf, bl_conf_parse(t.pool, &file, &t.diag), &list, BL_IN_HTTP, &t.top, NULL);
    ck_assert_msg(strstr(t.said.text, hint) != NULL, "%s", t.said.text);
    bl_pool_free(t.pool);
}

START_TEST(hints)
{
    check_hint("flg on;", "did you mean \"flag\"?\n");
    check_hint("chioce red;", "did you mean \"choice\"?\n");
    check_hint("farawy 1;", "did you mean \"faraway\"? It is a directive of stream\n");
    check_hint("faraway 1;", "\"faraway\" is a directive of stream\n");
    check_hint("flag on\nsize 1;", "is a \";\" missing at the end of line 1?\n");
    check_hint("flag on;\n\nflag on;", "the first stands in f:1\n");
    check_hint("choice pink;", "possible values: \"red\", \"green\", \"blue\"\n");
}
END_TEST

START_TEST(distance)
{
    ck_assert_int_eq(bl_names_distance(BL_STR("abc"), BL_STR("abc"), 3), 0);
    ck_assert_int_eq(bl_names_distance(BL_STR("abc"), BL_STR("acb"), 3), 1);
    ck_assert_int_eq(bl_names_distance(BL_STR("abc"), BL_STR("abxc"), 3), 1);
    ck_assert_int_eq(bl_names_distance(BL_STR("kitten"), BL_STR("sitting"), 3), 3);
    ck_assert_int_eq(bl_names_distance(BL_STR("kitten"), BL_STR("sitting"), 2), 3);
    ck_assert_int_eq(bl_names_distance(BL_STR(""), BL_STR("ab"), 3), 2);
}
END_TEST

UNIT_MAIN("settings", defaults, values, inheritance, wrong_form, wrong_values, all_errors, hints,
          distance)
