/* The configuration's parser: any bytes give a tree and messages, and places lie inside the text.
 */
#include "conf/parse.h"

static void ignore(bl_diag *diag, bl_log_level level, bl_str message, bl_str picture)
{
    (void)diag;
    (void)level;
    (void)message;
    (void)picture;
}

static void walk(const bl_conf_node *block, size_t size)
{
    for (const bl_conf_node *node = block->children; node; node = node->next) {
        BL_ASSERT(node->parent == block && node->count > 0);
        for (int i = 0; i < node->count; i++) {
            BL_ASSERT(node->words[i].line >= 1 && (size_t)node->words[i].line <= size + 1);
            BL_ASSERT(node->words[i].column >= 1 && (size_t)node->words[i].column <= size + 1);
        }
        walk(node, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_pool *pool = bl_pool_new();
    bl_conf_file file = {.path = BL_STR("f"), .text = bl_str_of((const char *)data, size)};
    bl_diag diag;

    file.command_line = size > 0 && data[0] == '-';
    bl_diag_init(&diag, pool);
    diag.emit = ignore;
    walk(bl_conf_parse(pool, &file, &diag), size);
    bl_pool_free(pool);
    return 0;
}
