#include "conf/lex.h"

void bl_lex_init(bl_lex *lex, bl_pool *pool, bl_str text)
{
    *lex = (bl_lex){.text = text, .line = 1, .pool = pool};
    if (bl_str_starts(text, BL_STR("\xef\xbb\xbf")))
        lex->at = lex->line_start = 3;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool more(const bl_lex *lex)
{
    return lex->at < lex->text.len;
}

static char peek(const bl_lex *lex, size_t ahead)
{
    return lex->at + ahead < lex->text.len ? lex->text.p[lex->at + ahead] : '\0';
}

static void step(bl_lex *lex)
{
    if (lex->text.p[lex->at++] == '\n') {
        lex->line++;
        lex->line_start = lex->at;
    }
}

static void skip_blanks(bl_lex *lex)
{
    while (more(lex)) {
        if (peek(lex, 0) == '#') {
            while (more(lex) && peek(lex, 0) != '\n')
                lex->at++;
        } else if (blank(peek(lex, 0))) {
            step(lex);
        } else {
            return;
        }
    }
}

/* What `\c` stands for; '\0': itself, backslash and all. */
static char escaped(char c)
{
    switch (c) {
    case '"':
    case '\'':
    case '\\':
        return c;
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'n':
        return '\n';
    default:
        return '\0';
    }
}

static bl_str unescape(bl_pool *pool, bl_str raw)
{
    char *to = bl_pool_bytes(pool, raw.len + 1), *at = to;

    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.p[i] == '\\' && i + 1 < raw.len ? escaped(raw.p[i + 1]) : '\0';
        *at++ = c ? c : raw.p[i];
        i += c != '\0';
    }
    *at = '\0';
    return bl_str_of(to, (size_t)(at - to));
}

/* Moves to the first byte behind the word. False: the text ended before. */
static bool scan_quoted(bl_lex *lex, char quote, bool *escapes)
{
    while (more(lex) && peek(lex, 0) != quote) {
        if (peek(lex, 0) == '\\') {
            *escapes = true;
            lex->at++;
            if (!more(lex))
                return false;
        }
        step(lex);
    }
    return more(lex);
}

static void scan_plain(bl_lex *lex, bool *escapes)
{
    while (more(lex)) {
        char c = peek(lex, 0);
        if (blank(c) || c == ';' || c == '{')
            return;
        if (c == '$' && peek(lex, 1) == '{')
            lex->at++;
        if (c == '\\') {
            *escapes = true;
            lex->at++;
            if (!more(lex))
                return;
        }
        step(lex);
    }
}

static bl_lex_token place(const bl_lex *lex, bl_lex_kind kind)
{
    return (bl_lex_token){
        .kind = kind,
        .word = {.line = lex->line, .column = (int)(lex->at - lex->line_start) + 1},
    };
}

static bool ends_word(const bl_lex *lex)
{
    char c = peek(lex, 0);

    return !more(lex) || blank(c) || c == ';' || c == '{' || c == ')';
}

static bl_lex_token word(bl_lex *lex)
{
    bl_lex_token token = place(lex, BL_LEX_WORD);
    char quote = peek(lex, 0);
    bool escapes = false;

    token.word.quoted = quote == '"' || quote == '\'';
    lex->at += token.word.quoted;
    size_t start = lex->at;
    if (token.word.quoted) {
        if (!scan_quoted(lex, quote, &escapes))
            token.kind = BL_LEX_UNCLOSED;
    } else {
        scan_plain(lex, &escapes);
    }
    bl_str raw = bl_str_of(lex->text.p + start, lex->at - start);
    if (raw.len > BL_LEX_WORD_MAX)
        token.kind = BL_LEX_TOO_LONG;
    token.word.text = escapes ? unescape(lex->pool, raw) : raw;
    if (token.word.quoted && more(lex)) {
        lex->at++;
        lex->glued = !ends_word(lex);
    }
    return token;
}

/* A token of one byte. */
static bl_lex_token single(bl_lex *lex, bl_lex_kind kind)
{
    bl_lex_token token = place(lex, kind);

    token.word.text = bl_str_of(lex->text.p + lex->at, 1);
    lex->at++;
    return token;
}

bl_lex_token bl_lex_next(bl_lex *lex)
{
    if (lex->glued) {
        lex->glued = false;
        return single(lex, BL_LEX_GLUED);
    }
    skip_blanks(lex);
    if (!more(lex))
        return place(lex, BL_LEX_END);
    switch (peek(lex, 0)) {
    case ';':
        return single(lex, BL_LEX_SEMICOLON);
    case '{':
        return single(lex, BL_LEX_OPEN);
    case '}':
        return single(lex, BL_LEX_CLOSE);
    default:
        return word(lex);
    }
}

/* ---- Lua ---- */

/* `[`, any number of `=`, `[`: their number; -1 when `at` holds no long bracket. */
static int long_bracket(const bl_lex *lex)
{
    size_t n = 1;

    if (peek(lex, 0) != '[')
        return -1;
    while (peek(lex, n) == '=')
        n++;
    return peek(lex, n) == '[' ? (int)n - 1 : -1;
}

/* Passes a long bracket of that level, from its first `[` on. */
static bool skip_long(bl_lex *lex, int level)
{
    lex->at += (size_t)level + 2;
    for (; more(lex); step(lex)) {
        if (peek(lex, 0) != ']')
            continue;
        int n = 1;
        while (peek(lex, (size_t)n) == '=')
            n++;
        if (n - 1 == level && peek(lex, (size_t)n) == ']') {
            lex->at += (size_t)n + 1;
            return true;
        }
    }
    return false;
}

/* A string that is not closed ends with its line: Lua itself will complain, at the right place. */
static void skip_lua_string(bl_lex *lex)
{
    char quote = peek(lex, 0);

    for (lex->at++; more(lex); step(lex)) {
        char c = peek(lex, 0);
        if (c == '\\' && peek(lex, 1) == 'z') {
            for (lex->at += 2; more(lex) && blank(peek(lex, 0));)
                step(lex);
            lex->at--;
        } else if (c == '\\' && lex->at + 1 < lex->text.len) {
            lex->at++;
        } else if (c == '\n') {
            return;
        } else if (c == quote) {
            lex->at++;
            return;
        }
    }
}

static void skip_line(bl_lex *lex)
{
    while (more(lex) && peek(lex, 0) != '\n')
        lex->at++;
}

/* Passes a comment, string, long bracket or single byte. Returns the level of a long bracket that
 * is not closed, else -1. */
static int skip_lua_item(bl_lex *lex)
{
    char c = peek(lex, 0);
    bool comment = c == '-' && peek(lex, 1) == '-';

    lex->at += comment ? 2 : 0;
    int level = long_bracket(lex);
    if (level >= 0)
        return skip_long(lex, level) ? -1 : level;
    if (comment)
        skip_line(lex);
    else if (c == '"' || c == '\'')
        skip_lua_string(lex);
    else
        step(lex);
    return -1;
}

bl_lex_lua_end bl_lex_lua(bl_lex *lex, bl_str *code)
{
    size_t start = lex->at;
    int depth = 1;

    while (more(lex)) {
        char c = peek(lex, 0);
        depth += (c == '{') - (c == '}');
        if (depth == 0) {
            *code = bl_str_of(lex->text.p + start, lex->at - start);
            lex->at++;
            return (bl_lex_lua_end){.found = true, .bracket = -1};
        }
        int open = skip_lua_item(lex);
        if (open >= 0)
            return (bl_lex_lua_end){.found = false, .bracket = open};
    }
    return (bl_lex_lua_end){.found = false, .bracket = -1};
}
