#include "conf_test.h"

#include <stdlib.h>

START_TEST(words_and_blocks)
{
    check_parse("", "", "");
    check_parse("# only this", "", "");
    check_parse("a b  c;\n\td\r\n e;", "<a><b><c>;<d><e>;", "");
    check_parse("a{b c{}d;}e;", "<a>{<b><c>{};<d>;};<e>;", "");
    check_parse("\xef\xbb\xbf"
                "a;",
                "<a>;", "");
}
END_TEST

START_TEST(quotes)
{
    check_parse("a \"b ; { } # c\" 'd\"e' \"\";", "<a><b ; { } # c><d\"e><>;", "");
    check_parse("a \"two\nlines\";", "<a><two\nlines>;", "");
    check_parse("a b\"c d'e;", "<a><b\"c><d'e>;", "");
    check_parse("if ($a = \"b\") {}", "<if><($a><=><b><)>{};", "");
    check_parse("\"a\"{}", "<a>{};", "");
}
END_TEST

START_TEST(escapes)
{
    check_parse("a \\\"\\'\\\\ \"\\t\\r\\n\" \\d\\.\\w;", "<a><\"'\\><\t\r\n><\\d\\.\\w>;", "");
    check_parse("a b\\ c\\;d\\{e;", "<a><b\\ c\\;d\\{e>;", "");
    check_parse("a '\\'' \"\\\"\";", "<a><'><\">;", "");
    check_parse("a b\\", "", "emerg: unexpected end of file, expecting \";\" or \"}\" in f:1\n");
}
END_TEST

START_TEST(variables_and_braces)
{
    check_parse("a ${b}c$d x${e};", "<a><${b}c$d><x${e}>;", "");
    check_parse("a \"x{2}\";", "<a><x{2}>;", "");
    check_parse("a b#c;", "<a><b#c>;", "");
    check_parse("location ~ ^/a{2}$ { x; }", "<location><~><^/a>{<2}$>{<x>;};};",
                "emerg: unexpected end of file, expecting \"}\" in f:1\n");
}
END_TEST

START_TEST(places)
{
    bl_pool *pool = bl_pool_new();
    said s = {.text = ""};
    const bl_conf_node *root = parse(pool, "a;\n  b \"x\n\" c {\nd; }", &s);
    const bl_conf_node *b = root->children->next;

    ck_assert_int_eq(b->words[0].line, 2);
    ck_assert_int_eq(b->words[0].column, 3);
    ck_assert_int_eq(b->words[1].column, 5);
    ck_assert(b->words[1].quoted);
    ck_assert_int_eq(b->words[2].line, 3);
    ck_assert_int_eq(b->words[2].column, 3);
    ck_assert_int_eq(b->children->words[0].line, 4);
    ck_assert_ptr_eq(b->children->parent, b);
    bl_pool_free(pool);
}
END_TEST

START_TEST(errors_do_not_end_it)
{
    check_parse("a; } b;", "<a>;<b>;", "emerg: unexpected \"}\" in f:1\n");
    check_parse("a { b } c;", "<a>{};<c>;", "emerg: unexpected \"}\" in f:1\n");
    check_parse("; a;", "<a>;", "emerg: unexpected \";\" in f:1\n");
    check_parse("{ a; } b;", "<b>;", "emerg: unexpected \"{\" in f:1\n");
    check_parse("a \"b\"c d; e;", "<e>;", "emerg: unexpected \"c\" in f:1\n");
    check_parse("a \"b\"c { d; } e;", "<e>;", "emerg: unexpected \"c\" in f:1\n");
    check_parse("a { b \"c\"d } e;", "<a>{};<e>;", "emerg: unexpected \"d\" in f:1\n");
    check_parse("a }\nb }\nc;", "<c>;",
                "emerg: unexpected \"}\" in f:1\nemerg: unexpected \"}\" in f:2\n");
}
END_TEST

START_TEST(the_end_too_early)
{
    check_parse("a", "", "emerg: unexpected end of file, expecting \";\" or \"}\" in f:1\n");
    check_parse("a {\n b;\n", "<a>{<b>;};",
                "emerg: unexpected end of file, expecting \"}\" in f:3\n");
    check_parse("a \"b;\n", "", "emerg: unexpected end of file, expecting \";\" or \"}\" in f:2\n");
    check_parse("a { b \"c\"d", "<a>{};",
                "emerg: unexpected \"d\" in f:1\n"
                "emerg: unexpected end of file, expecting \"}\" in f:1\n");
}
END_TEST

START_TEST(lua)
{
    check_parse("x_by_lua_block { f{1, {2}} } b;", "<x_by_lua_block>[ f{1, {2}} ];<b>;", "");
    check_parse("x_by_lua_block $a{}", "<x_by_lua_block><$a>[];", "");
    check_parse("x_by_lua_block { '}' \"\\\"}\" '\\\\' }",
                "<x_by_lua_block>[ '}' \"\\\"}\" '\\\\' ];", "");
    check_parse("x_by_lua_block { [[}]] [==[ ]] } ]==] }",
                "<x_by_lua_block>[ [[}]] [==[ ]] } ]==] ];", "");
    check_parse("x_by_lua_block { -- } '\n --[[ }\n ]] --[=[ ]] } ]=] }",
                "<x_by_lua_block>[ -- } '\n --[[ }\n ]] --[=[ ]] } ]=] ];", "");
    check_parse("x_by_lua_block { a[b[1]] --[= }\n }", "<x_by_lua_block>[ a[b[1]] --[= }\n ];", "");
    check_parse("x_by_lua_block { '\\z  \n  }' }", "<x_by_lua_block>[ '\\z  \n  }' ];", "");
    check_parse("x_by_lua_block { 'open\n } b;", "<x_by_lua_block>[ 'open\n ];<b>;", "");
}
END_TEST

START_TEST(lua_unclosed)
{
    check_parse("x_by_lua_block { [==[ } ]]", "<x_by_lua_block>[];",
                "emerg: Lua code block missing the closing long bracket \"]==]\", the inlined Lua "
                "code may be too long in f:1\n");
    check_parse("a {\nx_by_lua_block { {} ", "<a>{<x_by_lua_block>[];};",
                "emerg: unexpected end of file, expecting \"}\" to close the Lua code of "
                "\"x_by_lua_block\" in f:2\n");
}
END_TEST

START_TEST(lua_line)
{
    bl_pool *pool = bl_pool_new();
    said s = {.text = ""};
    const bl_conf_node *root = parse(pool, "\nx_by_lua_block\n{\n f()\n}\nb;", &s);

    ck_assert_int_eq(root->children->lua_line, 3);
    ck_assert_int_eq(root->children->next->words[0].line, 6);
    bl_pool_free(pool);
}
END_TEST

START_TEST(limits)
{
    bl_pool *pool = bl_pool_new();
    size_t size = BL_LEX_WORD_MAX + 16;
    char *text = malloc(size + 1), deep[200] = "";
    said s = {.text = ""};

    memset(text, 'x', size);
    memcpy(text + size - 4, "; b;", 5);
    const bl_conf_node *root = parse(pool, text, &s);
    ck_assert_str_eq(s.text, "emerg: too long parameter \"xxxxxxxxxx...\" started in f:1\n");
    ck_assert(bl_str_eq(bl_conf_arg(root->children, 0), BL_STR("b")));
    free(text);

    for (int i = 0; i <= BL_PARSE_DEPTH; i++)
        strcat(deep, "a{");
    s.text[0] = '\0';
    parse(pool, deep, &s);
    ck_assert_str_eq(s.text, "emerg: blocks are nested deeper than 64 levels in f:1\n");
    bl_pool_free(pool);
}
END_TEST

START_TEST(pictures)
{
    bl_pool *pool = bl_pool_new();
    said s = {.text = "", .pictures = true};

    parse(pool, "a;\n\t\"\xc3\xa4\"b;\n", &s);
    ck_assert_str_eq(s.text, "emerg: unexpected \"b\" in f:2\n"
                             "    2 | \t\"\xc3\xa4\"b;\n"
                             "      | \t   ^\n");
    s.text[0] = '\0';
    parse(pool, "b { a }", &s);
    ck_assert_str_eq(s.text, "emerg: unexpected \"}\" in f:1\n"
                             "    1 | b { a }\n"
                             "      |       ^\n"
                             "\"a\" in line 1 has no \";\" at its end\n");
    bl_pool_free(pool);
}
END_TEST

UNIT_MAIN("parse", words_and_blocks, quotes, escapes, variables_and_braces, places,
          errors_do_not_end_it, the_end_too_early, lua, lua_unclosed, lua_line, limits, pictures)
