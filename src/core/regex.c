#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/regex.h"

#include <pcre2.h>

struct bl_regex {
    pcre2_code *code;
    bl_str pattern;
    int groups;
    bool compiled; /* to machine code, and the subject need not be checked to be UTF-8 */
};

/* One block of match data for the process: matches do not nest. */
static pcre2_match_data *match_data;

static void regex_free(void *data)
{
    bl_regex *regex = data;

    pcre2_code_free(regex->code);
}

bl_regex *bl_regex_new(bl_pool *pool, bl_str pattern, int flags, bl_str *error)
{
    int code_of_error;
    PCRE2_SIZE at;
    uint32_t options = flags & BL_REGEX_CASELESS ? PCRE2_CASELESS : 0, groups = 0;

    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern.p, pattern.len, options, &code_of_error, &at, NULL);
    if (code == NULL) {
        char text[160];
        pcre2_get_error_message(code_of_error, (PCRE2_UCHAR *)text, sizeof text);
        *error = bl_pool_printf(pool, "%s at offset %zu", text, (size_t)at);
        return NULL;
    }
    bool compiled = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
    pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options);

    bl_regex *regex = BL_NEW(pool, bl_regex);
    regex->code = code;
    regex->pattern = bl_pool_str(pool, pattern);
    regex->groups = (int)groups;
    regex->compiled = compiled && !(options & PCRE2_UTF);
    bl_pool_cleanup(pool, regex_free, regex);
    return regex;
}

bl_str bl_regex_pattern(const bl_regex *regex)
{
    return regex->pattern;
}

int bl_regex_groups(const bl_regex *regex)
{
    return regex->groups;
}

void bl_regex_names(const bl_regex *regex, void (*each)(void *data, bl_str name, int group),
                    void *data)
{
    uint32_t count = 0, size = 0;
    PCRE2_SPTR table;

    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMECOUNT, &count);
    if (count == 0)
        return;
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(regex->code, PCRE2_INFO_NAMETABLE, &table);
    for (uint32_t i = 0; i < count; i++, table += size)
        each(data, bl_str_c((const char *)table + 2), table[0] << 8 | table[1]);
}

int bl_regex_match(const bl_regex *regex, bl_str subject, bl_captures *captures)
{
    if (match_data == NULL)
        match_data = pcre2_match_data_create(BL_REGEX_MAX_CAPTURES, NULL);
    BL_ASSERT(match_data != NULL);

    PCRE2_SPTR text = (PCRE2_SPTR)(subject.p ? subject.p : "");
    int rc = regex->compiled
                 ? pcre2_jit_match(regex->code, text, subject.len, 0, 0, match_data, NULL)
                 : pcre2_match(regex->code, text, subject.len, 0, 0, match_data, NULL);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    if (rc < 0)
        return -1;
    if (captures == NULL)
        return 1;

    const PCRE2_SIZE *places = pcre2_get_ovector_pointer(match_data);
    captures->subject = subject;
    captures->count = rc == 0 ? BL_REGEX_MAX_CAPTURES : rc;
    for (int i = 0; i < captures->count; i++) {
        bool took_part = places[2 * i] != PCRE2_UNSET;
        captures->from[i] = took_part ? (int)places[2 * i] : -1;
        captures->to[i] = took_part ? (int)places[2 * i + 1] : -1;
    }
    return 1;
}
