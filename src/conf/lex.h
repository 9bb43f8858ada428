/* Words of the configuration language, over bytes in memory. Pure: no I/O, no meaning.
 *
 *   listen 80;              WORD WORD ;
 *   if ($a = "b") {         WORD WORD WORD WORD WORD {      the last word is `)`
 *
 * A word in quotes ("..." or '...') may hold anything; one without ends at a blank, `;` or `{`, so
 * a `}` inside it is an ordinary byte, and so is the `{` of `${name}`. A backslash takes the
 * meaning from the byte behind it; \" \' \\ \t \r \n are replaced, all others are kept as they
 * stand (regular expressions need them). `#` begins a comment where a word could begin.
 *
 * The end of a *_by_lua_block is found by bl_lex_lua, which knows Lua's strings, long brackets and
 * comments. */
#ifndef BL_CONF_LEX_H
#define BL_CONF_LEX_H

#include "conf/tree.h"

enum {
    BL_LEX_WORD_MAX = 1024 * 1024, /* bytes of a word in the file */
};

typedef enum bl_lex_kind {
    BL_LEX_WORD,
    BL_LEX_SEMICOLON,
    BL_LEX_OPEN,
    BL_LEX_CLOSE,
    BL_LEX_END,      /* of the text */
    BL_LEX_UNCLOSED, /* of the text, inside a quoted word that began at `word` */
    BL_LEX_TOO_LONG, /* the word that began at `word` */
    BL_LEX_GLUED,    /* something stands right behind a closing quote: word.text, one byte */
} bl_lex_kind;

typedef struct bl_lex {
    bl_str text;
    size_t at;         /* next byte */
    size_t line_start; /* offset of the current line's first byte */
    int line;          /* from 1 */
    bl_pool *pool;     /* for words that hold escapes */
    bool glued;        /* a closing quote was just passed, and more follows at once */
} bl_lex;

typedef struct bl_lex_token {
    bl_lex_kind kind;
    bl_conf_word word; /* place of every kind; text of WORD */
} bl_lex_token;

/* A byte order mark at the front is passed over. */
void bl_lex_init(bl_lex *lex, bl_pool *pool, bl_str text);
bl_lex_token bl_lex_next(bl_lex *lex);

typedef struct bl_lex_lua_end {
    bool found;
    int bracket; /* not found: the `=` signs of the long bracket that stayed open, or -1 */
} bl_lex_lua_end;

/* Called right behind the `{`: `code` becomes the text up to the matching `}`, which is consumed.
 */
bl_lex_lua_end bl_lex_lua(bl_lex *lex, bl_str *code);

#endif
