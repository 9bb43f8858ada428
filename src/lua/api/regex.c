#define PCRE2_CODE_UNIT_WIDTH 8
#include "lua/api/regex.h"
#include "core/mem.h"
#include "lua/vm.h"

#include <pcre2.h>
#include <stdio.h>

struct bl_lua_regex {
    bl_lua_regex_view view;
    pcre2_code *code;
    pcre2_match_data *data;
    const unsigned char *names;
    uint32_t name_size;
    bool jit, dfa, utf;
};

enum {
    DFA_WORKSPACE = 1000
};

static pcre2_match_context *match_context;

void bl_lua_regex_limit(uint32_t limit)
{
    if (match_context == NULL)
        match_context = pcre2_match_context_create(NULL);
    if (match_context && limit)
        pcre2_set_match_limit(match_context, limit);
}

enum {
    JIT_STACK_MIN = 32 * 1024, /* what the engine has without one */
};

int bl_lua_regex_jit_stack(size_t size)
{
    static pcre2_jit_stack *stack;

    bl_lua_regex_limit(0);
    pcre2_jit_stack *larger =
        size >= JIT_STACK_MIN ? pcre2_jit_stack_create(JIT_STACK_MIN, size, NULL) : NULL;
    if (larger == NULL || match_context == NULL)
        return -1;
    pcre2_jit_stack_assign(match_context, NULL, larger);
    pcre2_jit_stack_free(stack);
    stack = larger;
    return 0;
}

static uint32_t options_of(uint32_t flags)
{
    static const struct {
        uint32_t flag, option;
    } all[] = {
        {BL_LUA_RE_ANCHORED, PCRE2_ANCHORED},
        {BL_LUA_RE_CASELESS, PCRE2_CASELESS},
        {BL_LUA_RE_MULTILINE, PCRE2_MULTILINE},
        {BL_LUA_RE_DOTALL, PCRE2_DOTALL},
        {BL_LUA_RE_EXTENDED, PCRE2_EXTENDED},
        {BL_LUA_RE_UTF, PCRE2_UTF},
        {BL_LUA_RE_NO_UTF_CHECK, PCRE2_UTF | PCRE2_NO_UTF_CHECK},
        {BL_LUA_RE_DUPNAMES, PCRE2_DUPNAMES},
        {BL_LUA_RE_JAVASCRIPT, PCRE2_ALT_BSUX | PCRE2_MATCH_UNSET_BACKREF},
    };
    uint32_t options = 0;

    for (size_t i = 0; i < BL_COUNTOF(all); i++) {
        if (flags & all[i].flag)
            options |= all[i].option;
    }
    return options;
}

static void say_why(int code, size_t at, const char *pattern, size_t len, char *error, size_t size)
{
    char text[160];

    pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
    if (at == len)
        snprintf(error, size, "pcre2_compile() failed: %s in \"%.*s\"", text, (int)len, pattern);
    else
        snprintf(error, size, "pcre2_compile() failed: %s in \"%.*s\" at \"%.*s\"", text, (int)len,
                 pattern, (int)(len - at), pattern + at);
}

bl_lua_regex_view *bl_lua_regex_new(const char *pattern, size_t len, uint32_t flags, char *error,
                                    size_t size)
{
    int code;
    PCRE2_SIZE at;
    uint32_t groups = 0, names = 0;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern, len, options_of(flags), &code, &at, NULL);

    if (compiled == NULL) {
        say_why(code, at, pattern, len, error, size);
        return NULL;
    }
    bl_lua_regex *re = bl_zalloc(sizeof *re);
    re->code = compiled;
    re->dfa = flags & BL_LUA_RE_DFA;
    re->utf = flags & (BL_LUA_RE_UTF | BL_LUA_RE_NO_UTF_CHECK);
    /* The direct entry of the JIT skips checks that matter for invalid UTF only. */
    re->jit = !re->dfa && pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE) == 0 &&
              !(flags & BL_LUA_RE_UTF);
    re->data = pcre2_match_data_create_from_pattern(compiled, NULL);
    pcre2_pattern_info(compiled, PCRE2_INFO_CAPTURECOUNT, &groups);
    pcre2_pattern_info(compiled, PCRE2_INFO_NAMECOUNT, &names);
    pcre2_pattern_info(compiled, PCRE2_INFO_NAMEENTRYSIZE, &re->name_size);
    pcre2_pattern_info(compiled, PCRE2_INFO_NAMETABLE, &re->names);
    re->view.groups = (int)groups;
    re->view.names = (int)names;
    re->view.at = bl_alloc(bl_size_mul(groups + 1u, 2 * sizeof(int)));
    return &re->view;
}

void bl_lua_regex_free(bl_lua_regex_view *view)
{
    bl_lua_regex *re = (bl_lua_regex *)view;

    pcre2_code_free(re->code);
    pcre2_match_data_free(re->data);
    bl_free(re->view.at);
    bl_free(re);
}

const char *bl_lua_regex_name(const bl_lua_regex_view *view, int i, int *group)
{
    const bl_lua_regex *re = (const bl_lua_regex *)view;
    const unsigned char *entry = re->names + (size_t)i * re->name_size;

    *group = entry[0] << 8 | entry[1];
    return (const char *)entry + 2;
}

static int run_dfa(bl_lua_regex *re, const char *subject, size_t len, size_t start)
{
    int workspace[DFA_WORKSPACE];
    int rc = pcre2_dfa_match(re->code, (PCRE2_SPTR)subject, len, start, 0, re->data, match_context,
                             workspace, DFA_WORKSPACE);

    return rc == 0 || rc > 1 ? 1 : rc; /* the longest of the matches is the first */
}

int bl_lua_regex_match(bl_lua_regex_view *view, const char *subject, size_t len, size_t start)
{
    bl_lua_regex *re = (bl_lua_regex *)view;
    int rc;

    if (start > len)
        return 0;
    if (BL_LIKELY(re->jit))
        rc = pcre2_jit_match(re->code, (PCRE2_SPTR)subject, len, start, 0, re->data, match_context);
    else if (re->dfa)
        rc = run_dfa(re, subject, len, start);
    else
        rc = pcre2_match(re->code, (PCRE2_SPTR)subject, len, start, 0, re->data, match_context);
    if (rc < 0)
        return rc == PCRE2_ERROR_NOMATCH ? 0 : rc;

    const PCRE2_SIZE *places = pcre2_get_ovector_pointer(re->data);
    for (int i = 0; i < 2 * rc; i++)
        re->view.at[i] = (int)places[i]; /* PCRE2_UNSET becomes -1 */
    return rc;
}

/* ------------------------------------------------------------- replacing */

typedef struct part {
    int group; /* -1: text */
    size_t from, len;
} part;

struct bl_lua_template {
    char *text;
    int count;
    part parts[];
};

/* A "$…" at `at`: how many bytes it takes and which group it names (-2: "$$"). 0: invalid. */
static size_t variable_at(const char *at, const char *end, int *group)
{
    const char *p = at + 1;
    bool braces = p < end && *p == '{';
    int n = 0;

    if (p < end && *p == '$') {
        *group = -2;
        return 2;
    }
    p += braces;
    const char *digits = p;
    while (p < end && *p >= '0' && *p <= '9' && n < 100000)
        n = n * 10 + (*p++ - '0');
    if (p == digits || (braces && (p == end || *p != '}')))
        return 0;
    *group = n;
    return (size_t)(p - at) + braces;
}

bl_lua_template *bl_lua_template_new(const char *text, size_t len)
{
    bl_lua_template *t = bl_alloc(sizeof *t + (2 * len + 1) * sizeof(part));
    const char *at, *end;

    t->text = bl_alloc(len + 1);
    memcpy(t->text, text, len);
    t->count = 0;
    at = t->text;
    end = at + len;
    while (at < end) {
        const char *dollar = memchr(at, '$', (size_t)(end - at));
        size_t plain = (size_t)((dollar ? dollar : end) - at);
        int group;
        if (plain)
            t->parts[t->count++] = (part){-1, (size_t)(at - t->text), plain};
        if (dollar == NULL)
            break;
        size_t taken = variable_at(dollar, end, &group);
        if (taken == 0) {
            bl_lua_template_free(t);
            return NULL;
        }
        t->parts[t->count++] =
            group == -2 ? (part){-1, (size_t)(dollar - t->text), 1} : (part){group, 0, 0};
        at = dollar + taken;
    }
    return t;
}

void bl_lua_template_free(bl_lua_template *t)
{
    bl_free(t->text);
    bl_free(t);
}

/* The text being made; kept from call to call. */
static struct {
    char *p;
    size_t len, size;
} out;

enum {
    KEEP_SIZE = 1 << 20
};

static void add(const char *p, size_t len)
{
    if (out.size - out.len < len) {
        size_t size = BL_MAX(out.size * 2, out.len + len);
        out.p = bl_realloc(out.p, BL_MAX(size, 4096u));
        out.size = BL_MAX(size, 4096u);
    }
    if (len)
        memcpy(out.p + out.len, p, len);
    out.len += len;
}

static void add_replacement(const bl_lua_regex *re, const bl_lua_template *t, const char *subject,
                            int set)
{
    const int *at = re->view.at;

    for (int i = 0; i < t->count; i++) {
        const part *p = &t->parts[i];
        if (p->group < 0)
            add(t->text + p->from, p->len);
        else if (p->group < set && at[2 * p->group] >= 0)
            add(subject + at[2 * p->group], (size_t)(at[2 * p->group + 1] - at[2 * p->group]));
    }
}

/* Bytes of the character at `at`: one, or those of a UTF-8 sequence. */
static size_t character_len(const bl_lua_regex *re, const char *at, size_t left)
{
    size_t n = 1;

    while (re->utf && n < left && ((unsigned char)at[n] & 0xc0) == 0x80)
        n++;
    return n;
}

int bl_lua_regex_replace(bl_lua_regex_view *view, const bl_lua_template *t, const char *subject,
                         size_t len, int max, const char **text, size_t *text_len)
{
    bl_lua_regex *re = (bl_lua_regex *)view;
    size_t at = 0, copied = 0;
    int count = 0;

    if (out.size > KEEP_SIZE) {
        bl_free(out.p);
        out.p = NULL;
        out.size = 0;
    }
    out.len = 0;
    while (at <= len && (max == 0 || count < max)) {
        int set = bl_lua_regex_match(view, subject, len, at);
        if (set < 0)
            return set;
        if (set == 0)
            break;
        size_t from = (size_t)view->at[0], to = (size_t)view->at[1];
        add(subject + copied, from - copied);
        add_replacement(re, t, subject, set);
        count++;
        copied = to;
        at = to;
        if (from == to) {
            if (to >= len)
                break;
            at = to + character_len(re, subject + to, len - to);
        }
    }
    add(subject + copied, len - copied);
    *text = out.p;
    *text_len = out.len;
    return count;
}

/* ------------------------------------------------------------- settings */

typedef struct settings {
    int64_t cache_max, match_limit;
} settings;

static const bl_directive directives[] = {
    {"lua_regex_cache_max_entries", BL_IN_HTTP, BL_TAKE1, &bl_type_num, BL_MAIN,
     offsetof(settings, cache_max), "1024"},
    {"lua_regex_match_limit", BL_IN_HTTP, BL_TAKE1, &bl_type_num, BL_MAIN,
     offsetof(settings, match_limit), "0"},
    {0},
};

bl_module bl_lua_regex_module = {
    .name = "lua_regex",
    .directives = directives,
    .size = {sizeof(settings)},
};

static const settings *settings_now(void)
{
    const bl_http *http = bl_lua_now.vm->generation->http;

    return http->settings.of[BL_MAIN][bl_lua_regex_module.index];
}

int bl_lua_regex_cache_max(void)
{
    return (int)settings_now()->cache_max;
}

void bl_lua_open_regex(lua_State *L)
{
    bl_lua_regex_limit((uint32_t)settings_now()->match_limit);
    lua_newtable(L);
    lua_setfield(L, -2, "re");
}
