/* What the tests of the configuration share: parsing a literal, and what was said about it. */
#ifndef BL_CONF_TEST_H
#define BL_CONF_TEST_H

#include "unit.h"
#include "conf/diag.h"
#include "conf/parse.h"

#include <stdio.h>

typedef struct said {
    char text[8192]; /* "level: message\n" of each, and the picture with `pictures` */
    bool pictures;
} said;

static inline void keep(bl_diag *diag, bl_log_level level, bl_str message, bl_str picture)
{
    said *s = diag->data;
    size_t len = strlen(s->text);

    snprintf(s->text + len, sizeof s->text - len, "%s: %.*s\n%.*s", bl_log_level_names[level],
             BL_STR_ARG(message), s->pictures ? (int)picture.len : 0, picture.p);
}

static inline void keep_messages(bl_diag *diag, bl_pool *pool, said *s)
{
    bl_diag_init(diag, pool);
    diag->emit = keep;
    diag->data = s;
}

static inline bl_conf_node *parse(bl_pool *pool, const char *text, said *s)
{
    bl_diag diag;
    bl_conf_file *file = BL_NEW(pool, bl_conf_file);

    file->path = BL_STR("f");
    file->text = bl_str_c(text);
    keep_messages(&diag, pool, s);
    return bl_conf_parse(pool, file, &diag);
}

/* The tree as text: words in <>, blocks in {}, Lua in []. */
static inline void show(const bl_conf_node *block, char *to, size_t size)
{
    for (const bl_conf_node *n = block->children; n; n = n->next) {
        for (int i = 0; i < n->count; i++)
            snprintf(to + strlen(to), size - strlen(to), "<%.*s>", BL_STR_ARG(n->words[i].text));
        if (n->lua.p)
            snprintf(to + strlen(to), size - strlen(to), "[%.*s]", BL_STR_ARG(n->lua));
        else if (n->block) {
            snprintf(to + strlen(to), size - strlen(to), "{");
            show(n, to, size);
            snprintf(to + strlen(to), size - strlen(to), "}");
        }
        snprintf(to + strlen(to), size - strlen(to), ";");
    }
}

static inline void check_parse(const char *text, const char *tree, const char *messages)
{
    bl_pool *pool = bl_pool_new();
    char shown[8192] = "";
    said s = {.text = ""};

    show(parse(pool, text, &s), shown, sizeof shown);
    ck_assert_str_eq(shown, tree);
    ck_assert_str_eq(s.text, messages);
    bl_pool_free(pool);
}

#endif
