/* ngx.re: what lualib/resty/core/regex.lua calls through the FFI. PCRE2, compiled once for each
 * pattern and set of options, always by its JIT where the platform has one. */
#ifndef BL_LUA_API_REGEX_H
#define BL_LUA_API_REGEX_H

#include "http/http.h"

#include <lua.h>

typedef struct bl_lua_regex bl_lua_regex;

/* Declared again in regex.lua: keep the two alike. */
enum {
    BL_LUA_RE_ANCHORED = 1,
    BL_LUA_RE_CASELESS = 2,
    BL_LUA_RE_MULTILINE = 4,
    BL_LUA_RE_DOTALL = 8,
    BL_LUA_RE_EXTENDED = 16,
    BL_LUA_RE_UTF = 32,
    BL_LUA_RE_NO_UTF_CHECK = 64,
    BL_LUA_RE_DUPNAMES = 128,
    BL_LUA_RE_JAVASCRIPT = 256,
    BL_LUA_RE_DFA = 512,
};

/* What Lua sees of it: the places of the last match stand in `at`, pairs of from (0-based) and
 * behind-the-end, -1 for groups that took no part. */
typedef struct bl_lua_regex_view {
    int *at;
    int groups; /* without the whole match */
    int names;  /* named groups */
} bl_lua_regex_view;

/* NULL: `error` (of `size` bytes) says why. Freed by bl_lua_regex_free. */
bl_lua_regex_view *bl_lua_regex_new(const char *pattern, size_t len, uint32_t flags, char *error,
                                    size_t size);
void bl_lua_regex_free(bl_lua_regex_view *regex);
/* Number of pairs that were set (at least 1), 0: no match, below 0: PCRE2's error. */
int bl_lua_regex_match(bl_lua_regex_view *regex, const char *subject, size_t len, size_t start);
/* The name and number of the i-th named group. */
const char *bl_lua_regex_name(const bl_lua_regex_view *regex, int i, int *group);

/* A replacement text with $0 $1 ${1} $$, cut up. NULL: an invalid variable in it. */
typedef struct bl_lua_template bl_lua_template;
bl_lua_template *bl_lua_template_new(const char *text, size_t len);
void bl_lua_template_free(bl_lua_template *t);

/* Replaces at most `max` matches (0: all). The text is good until the next call. Returns the number
 * of replacements, or PCRE2's error. */
int bl_lua_regex_replace(bl_lua_regex_view *regex, const bl_lua_template *t, const char *subject,
                         size_t len, int max, const char **text, size_t *text_len);

/* lua_regex_cache_max_entries and lua_regex_match_limit. */
extern bl_module bl_lua_regex_module;
/* Opens the family: ngx.re, empty; regex.lua fills it. */
void bl_lua_open_regex(lua_State *L);
/* How many patterns are kept. */
int bl_lua_regex_cache_max(void);

/* lua_regex_match_limit for all matches from now on; 0: PCRE2's own. */
void bl_lua_regex_limit(uint32_t limit);
/* For the FFI: bytes of stack for compiled patterns from now on. -1: too few, or no memory. */
int bl_lua_regex_jit_stack(size_t size);

#endif
