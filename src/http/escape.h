/* Percent-encoding (RFC 3986 section 2.1) as the server's own texts need it. */
#ifndef BL_HTTP_ESCAPE_H
#define BL_HTTP_ESCAPE_H

#include "core/pool.h"

typedef enum bl_escape_kind {
    BL_ESCAPE_PATH,      /* a path: what can't stand in one as it is, '?' and '#' among it */
    BL_ESCAPE_ARGS,      /* text that becomes part of the arguments */
    BL_ESCAPE_COMPONENT, /* all but unreserved characters */
    BL_ESCAPE_COUNT
} bl_escape_kind;

/* `s` escaped: `s` itself when nothing in it needs that. */
bl_str bl_escape_uri(bl_pool *pool, bl_str s, bl_escape_kind kind);
/* What becomes part of a line of a head: a line that is folded (configurations have long values so)
 * goes on behind a space, and other CR, LF and NUL are %XX, so that nothing ends the line. `s`
 * itself when it has none of them. */
bl_str bl_escape_line(bl_pool *pool, bl_str s);
/* As a text of SQL (MySQL's rules), with its quotes. Room for 2 * s.len + 2; bytes written. */
size_t bl_escape_sql(char *to, bl_str s);
/* With & < > " as entities. */
bl_str bl_escape_html(bl_pool *pool, bl_str s);

/* Decodes every %XX, in a copy; what is no such sequence stays. */
bl_str bl_escape_undo(bl_pool *pool, bl_str s);
/* For the target of a redirect: decodes up to the first '?', and only what may stand in a header
 * field as it is. */
bl_str bl_escape_undo_redirect(bl_pool *pool, bl_str s);

#endif
