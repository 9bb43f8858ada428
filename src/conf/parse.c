#include "conf/parse.h"
#include "core/array.h"
#include "core/mem.h"

#include <stdio.h>

typedef struct parser {
    bl_lex lex;
    bl_pool *pool;
    const bl_conf_file *file;
    bl_diag *diag;
    bl_conf_node *parent; /* the open block */
    bl_conf_node **tail;  /* where the next directive of it is hung in */
    int depth;
    bl_conf_node **tails[BL_PARSE_DEPTH]; /* of the blocks around */
    bl_array words;                       /* bl_conf_word, of the directive being read */
    bool done;
} parser;

static bl_diag_place place_of(const parser *p, const bl_conf_word *word)
{
    return (bl_diag_place){p->file, word->line, word->column};
}

static bl_conf_word *first_word(const parser *p)
{
    return p->words.items;
}

static bl_conf_node *finish_directive(parser *p)
{
    bl_conf_node *node = BL_NEW(p->pool, bl_conf_node);

    node->parent = p->parent;
    node->file = p->file;
    node->count = (int)p->words.count;
    node->words = BL_NEW_ARRAY(p->pool, bl_conf_word, p->words.count);
    memcpy(node->words, p->words.items, p->words.count * sizeof(bl_conf_word));
    p->words.count = 0;
    *p->tail = node;
    p->tail = &node->next;
    return node;
}

static void forget_words(parser *p)
{
    p->words.count = 0;
}

static void unexpected(parser *p, const bl_lex_token *token)
{
    bl_diag_say(p->diag, BL_LOG_EMERG, place_of(p, &token->word), "unexpected \"%.*s\"",
                BL_STR_ARG(token->word.text));
}

/* The end of the text where something was still open. */
static void unexpected_end(parser *p, const bl_lex_token *token)
{
    bl_diag_place at = place_of(p, &token->word);

    p->done = true;
    if (p->file->command_line) {
        at.column = 0;
        bl_diag_say(p->diag, BL_LOG_EMERG, at, "unexpected end of parameter, expecting \";\"");
        return;
    }
    const bl_conf_word *from = p->words.count ? first_word(p) : NULL;
    if (token->kind == BL_LEX_UNCLOSED)
        bl_diag_hint(p->diag, "the quote that opens in line %d is not closed", token->word.line);
    else if (from)
        bl_diag_hint(p->diag, "the directive \"%.*s\" begins in line %d", BL_STR_ARG(from->text),
                     from->line);
    else
        bl_diag_hint(p->diag, "the block \"%.*s\" opens in line %d",
                     BL_STR_ARG(bl_conf_arg(p->parent, 0)), p->parent->words[0].line);
    at.line = p->lex.line;
    at.column = 0;
    bool inside = from || token->kind == BL_LEX_UNCLOSED;
    bl_diag_say(p->diag, BL_LOG_EMERG, at, "unexpected end of file, expecting %s",
                inside ? "\";\" or \"}\"" : "\"}\"");
}

static bool is_lua_block(bl_str name)
{
    bl_str suffix = BL_STR("_by_lua_block");

    return name.len > suffix.len &&
           memcmp(name.p + name.len - suffix.len, suffix.p, suffix.len) == 0;
}

static void lua_block(parser *p, bl_conf_node *node)
{
    node->lua_line = p->lex.line;
    bl_lex_lua_end end = bl_lex_lua(&p->lex, &node->lua);
    if (end.found)
        return;
    p->done = true;
    node->lua = BL_STR("");
    bl_diag_place at = bl_diag_node(node, 0);
    if (end.bracket >= 0) {
        bl_diag_say(p->diag, BL_LOG_EMERG, at,
                    "Lua code block missing the closing long bracket \"]%.*s]\", the inlined Lua "
                    "code may be too long",
                    end.bracket,
                    "================================================================");
        return;
    }
    bl_diag_say(p->diag, BL_LOG_EMERG, at,
                "unexpected end of file, expecting \"}\" to close the Lua code of \"%.*s\"",
                BL_STR_ARG(bl_conf_arg(node, 0)));
}

static void enter(parser *p, bl_conf_node *block)
{
    if (p->depth == BL_PARSE_DEPTH) {
        bl_diag_say(p->diag, BL_LOG_EMERG, bl_diag_node(block, 0),
                    "blocks are nested deeper than %d levels", BL_PARSE_DEPTH);
        p->done = true;
        return;
    }
    block->block = true;
    p->tails[p->depth++] = p->tail;
    p->parent = block;
    p->tail = &block->children;
}

/* A `{` that belongs to no directive: its block is parsed, and hung in nowhere. */
static void enter_nameless(parser *p, const bl_lex_token *token)
{
    bl_conf_node *node = BL_NEW(p->pool, bl_conf_node);

    node->parent = p->parent;
    node->file = p->file;
    node->count = 1;
    node->words = BL_NEW(p->pool, bl_conf_word);
    *node->words = token->word;
    enter(p, node);
}

static void open_block(parser *p, const bl_lex_token *token)
{
    if (p->words.count == 0) {
        unexpected(p, token);
        enter_nameless(p, token);
        return;
    }
    bl_conf_node **tail = p->tail;
    bl_conf_node *node = finish_directive(p);
    if (p->file->command_line) {
        p->done = true;
        *tail = NULL;
        bl_diag_say(p->diag, BL_LOG_EMERG, bl_diag_node(node, 0),
                    "block directives are not supported in -g option");
    } else if (is_lua_block(bl_conf_arg(node, 0))) {
        node->block = true;
        lua_block(p, node);
    } else {
        enter(p, node);
    }
}

static void close_block(parser *p, const bl_lex_token *token)
{
    bool loose = p->words.count > 0;

    if (loose || p->depth == 0) {
        if (loose)
            bl_diag_hint(p->diag, "\"%.*s\" in line %d has no \";\" at its end",
                         BL_STR_ARG(first_word(p)->text), first_word(p)->line);
        unexpected(p, token);
        forget_words(p);
    }
    if (p->depth == 0)
        return;
    p->tail = p->tails[--p->depth];
    p->parent = p->parent->parent;
}

static void recover(parser *p)
{
    bl_lex_token token;

    forget_words(p);
    do {
        token = bl_lex_next(&p->lex);
    } while (token.kind == BL_LEX_WORD || token.kind == BL_LEX_GLUED ||
             token.kind == BL_LEX_TOO_LONG);
    if (token.kind == BL_LEX_OPEN)
        enter_nameless(p, &token);
    else if (token.kind == BL_LEX_CLOSE)
        close_block(p, &token);
    else if (token.kind == BL_LEX_UNCLOSED || (token.kind == BL_LEX_END && p->depth > 0))
        unexpected_end(p, &token);
    else if (token.kind == BL_LEX_END)
        p->done = true;
}

static void too_long(parser *p, const bl_conf_word *word)
{
    bl_diag_say(p->diag, BL_LOG_EMERG, place_of(p, word), "too long parameter \"%.10s...\" started",
                word->text.p);
}

static void take(parser *p, const bl_lex_token *token)
{
    switch (token->kind) {
    case BL_LEX_WORD:
        *(bl_conf_word *)bl_array_push(&p->words) = token->word;
        break;
    case BL_LEX_SEMICOLON:
        if (p->words.count)
            finish_directive(p);
        else
            unexpected(p, token);
        break;
    case BL_LEX_OPEN:
        open_block(p, token);
        break;
    case BL_LEX_CLOSE:
        close_block(p, token);
        break;
    case BL_LEX_GLUED:
        unexpected(p, token);
        recover(p);
        break;
    case BL_LEX_TOO_LONG:
        too_long(p, &token->word);
        recover(p);
        break;
    case BL_LEX_UNCLOSED:
    case BL_LEX_END:
        p->done = true;
        if (p->words.count || p->depth || token->kind == BL_LEX_UNCLOSED)
            unexpected_end(p, token);
        break;
    }
}

bl_conf_node *bl_conf_parse(bl_pool *pool, const bl_conf_file *file, bl_diag *diag)
{
    bl_conf_node *root = BL_NEW(pool, bl_conf_node);
    parser p = {.pool = pool, .file = file, .diag = diag, .parent = root, .tail = &root->children};

    root->file = file;
    root->block = true;
    bl_lex_init(&p.lex, pool, file->text);
    bl_array_init(&p.words, pool, sizeof(bl_conf_word));
    while (!p.done) {
        bl_lex_token token = bl_lex_next(&p.lex);
        take(&p, &token);
    }
    return root;
}
