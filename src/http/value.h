/* A text with variables, compiled: "http://$host:$1/" becomes literal, variable, literal, capture,
 * literal. What directives that take variables store. */
#ifndef BL_HTTP_VALUE_H
#define BL_HTTP_VALUE_H

#include "http/request.h"

typedef struct bl_value_part {
    enum {
        BL_PART_TEXT,
        BL_PART_VAR,
        BL_PART_CAPTURE
    } kind;
    int index; /* of the variable, or the capture's number */
    bl_str text;
} bl_value_part;

struct bl_value {
    bl_str text; /* as written */
    bl_value_part *parts;
    int count;
    bool constant;
};

/* Compiles a word. NULL after an error was reported at `word` of `node`. */
bl_value *bl_value_compile(bl_conf *cf, const bl_conf_node *node, int word, bl_str text);
bl_value bl_value_text(bl_str text); /* a constant */

/* The text for this request, in its pool (or the constant itself; not zero-terminated unless the
 * `z` form). */
bl_str bl_value_eval(bl_request *r, const bl_value *value);
bl_str bl_value_eval_z(bl_request *r, const bl_value *value);
/* Number of captures ($1 …) that it uses; whether it mentions variables at all. */
bool bl_value_has_variables(const bl_value *value);

/* A condition as access_log if=, proxy_no_cache … have it: neither empty nor "0". */
static inline bool bl_str_is_true(bl_str s)
{
    return s.len != 0 && !(s.len == 1 && s.p[0] == '0');
}

/* bl_value *: one argument; and an array of predicates (bl_array * of bl_value *). Unset: -1. */
extern const bl_type bl_type_value;
extern const bl_type bl_type_values;
/* bl_value *: a size; what has no variables must be one. */
extern const bl_type bl_type_value_size;
/* True if any of the values is true for the request. */
bool bl_values_any(bl_request *r, const bl_array *values);

/* A regular expression of the configuration: its named groups are variables. */
typedef struct bl_regex_use {
    bl_regex *regex;
    int *group_of; /* pairs: variable index, group; `names` of them */
    int names;
} bl_regex_use;

bl_regex_use *bl_regex_use_new(bl_conf *cf, const bl_conf_node *node, int word, bl_str pattern,
                               int flags);
/* Matches; on success r->captures and the named variables are set. As bl_regex_match. */
int bl_regex_use_match(bl_request *r, const bl_regex_use *use, bl_str subject);

#endif
