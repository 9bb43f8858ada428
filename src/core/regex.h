/* Regular expressions: PCRE2, compiled once, by its JIT where there is one. */
#ifndef BL_CORE_REGEX_H
#define BL_CORE_REGEX_H

#include "core/pool.h"

typedef struct bl_regex bl_regex;

enum {
    BL_REGEX_CASELESS = 1 << 0,
    BL_REGEX_MAX_CAPTURES = 32, /* groups that bl_regex_match reports, the whole match among them */
};

/* Where groups matched: from[0]..to[0] is the whole; -1: the group took no part. */
typedef struct bl_captures {
    bl_str subject;
    int count; /* groups reported */
    int from[BL_REGEX_MAX_CAPTURES], to[BL_REGEX_MAX_CAPTURES];
} bl_captures;

/* NULL when the pattern is bad; *error then says why and at which byte. Lives as long as the pool.
 */
bl_regex *bl_regex_new(bl_pool *pool, bl_str pattern, int flags, bl_str *error);
bl_str bl_regex_pattern(const bl_regex *regex);
int bl_regex_groups(const bl_regex *regex);
/* Calls `each` for every named group with its number. */
void bl_regex_names(const bl_regex *regex, void (*each)(void *data, bl_str name, int group),
                    void *data);

/* 1: matches, 0: does not, -1: gave up (match limit). `captures` may be NULL. */
int bl_regex_match(const bl_regex *regex, bl_str subject, bl_captures *captures);

#endif
