/* The syntax of HTTP/1 (RFC 9112) and of URIs (RFC 3986), as functions over bytes: no I/O, no
 * allocation beyond what the caller hands in. What is ambiguous is refused, not guessed: that is
 * what request smuggling lives on. */
#ifndef BL_HTTP_PARSE_H
#define BL_HTTP_PARSE_H

#include "core/scan.h"
#include "http/header.h"

/* A request line, cut up. */
typedef struct bl_parsed_line {
    bl_str method;
    bl_str target;       /* as sent */
    bl_str protocol;     /* p NULL: HTTP/0.9 */
    int version;         /* 9, 1000, 1001, or what was sent: major * 1000 + minor */
    bl_str scheme, host; /* of an absolute-form target; host with its port */
    bl_str path;         /* target without scheme, host, arguments; "" in "http://host?x" */
    bl_str args;         /* behind the first '?'; p NULL: none */
    bool complex;        /* path has %XX, //, /. or # and must go through bl_parse_path */
    bool plus;           /* … or a '+' (matters when it is escaped again) */
    bool authority;      /* CONNECT host:port: `host` is that, no path */
} bl_parsed_line;

typedef enum bl_parse_result {
    BL_PARSE_OK = 0,
    BL_PARSE_BAD,         /* 400 */
    BL_PARSE_BAD_METHOD,  /* 400: the method is no token */
    BL_PARSE_BAD_VERSION, /* 505 */
} bl_parse_result;

/* `line` without its CRLF or LF. */
bl_parse_result bl_parse_request_line(bl_str line, bl_parsed_line *out);

/* Decodes %XX, removes dot segments and (if `merge`) doubled slashes, cuts off a fragment. Writes
 * at most path.len bytes at `to` and sets *out. `args` gets what stands behind a "?" only if the
 * path still holds one. False: malformed, or it climbs above the root. */
bool bl_parse_path(bl_str path, bool merge, char *to, bl_str *out, bl_str *args);

/* A header field line, without its line end. */
typedef struct bl_parsed_field {
    bl_str name, value;
    uint32_t hash;   /* as bl_header_hash */
    bool odd;        /* the name has a character other than letters, digits, '-' */
    bool underscore; /* … but only '_' */
} bl_parsed_field;

/* Cuts a name with something else than letters, digits and '-'. False: with what can't be in any
 * name, or there is no colon. */
bool bl_parse_odd_name(bl_str line, bl_parsed_field *out);

/* False: malformed (no colon, space in the name, a folded line). Inline: a browser sends a dozen.
 */
static inline bool bl_parse_field(bl_str line, bl_parsed_field *out)
{
    const char *end = line.p + line.len, *at = bl_scan_word(line.p, end);

    out->name = bl_str_of(line.p, (size_t)(at - line.p));
    out->odd = out->underscore = false;
    if (BL_UNLIKELY(at == end || *at != ':' || at == line.p)) {
        if (!bl_parse_odd_name(line, out))
            return false;
        at = line.p + out->name.len;
    }
    out->hash = bl_header_hash(out->name);
    for (at++; at < end && (*at == ' ' || *at == '\t'); at++)
        ;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    out->value = bl_str_of(at, (size_t)(end - at));
    return true;
}

/* The first '\n' of at..end, or NULL. *bad: a NUL, or a CR that is not right before the LF, stands
 * in front of it. */
static inline const char *bl_parse_line_end(const char *at, const char *end, bool *bad)
{
    *bad = false;
    while ((at = bl_scan_line(at, end)) < end) {
        if (BL_LIKELY(*at == '\r' && at + 1 < end && at[1] == '\n'))
            return at + 1;
        if (*at == '\n')
            return at;
        if (*at == '\r' && at + 1 == end)
            return NULL;
        *bad = true;
        at++;
    }
    return NULL;
}

/* Checks and normalises a Host value: `host` gets it lower-cased, without port and final dot, in
 * place or in `to` (value.len bytes). *port: 0 when absent. False: not a host. */
bool bl_parse_host(bl_str value, char *to, bl_str *host, int *port);

/* Chunked transfer coding (RFC 9112 section 7.1), fed piecewise. */
typedef struct bl_chunked {
    uint8_t state;
    int64_t left;   /* bytes of the current chunk to come */
    uint32_t extra; /* bytes of the chunk's extensions, of the trailers: limited */
} bl_chunked;

typedef enum bl_chunked_result {
    BL_CHUNKED_DATA, /* `piece` is data; call again */
    BL_CHUNKED_MORE, /* all of `in` was used; more must come */
    BL_CHUNKED_END,  /* the body is whole; `in` begins behind it */
    BL_CHUNKED_BAD,
} bl_chunked_result;

/* Takes from the front of *in. */
bl_chunked_result bl_chunked_parse(bl_chunked *c, bl_str *in, bl_str *piece);
/* Fewest bytes that must still come before the body can be whole: for reading no more than needed.
 */
int64_t bl_chunked_least(const bl_chunked *c);

/* The value of argument `name` in `args` ("a=1&b=2"); false: absent. */
bool bl_parse_arg(bl_str args, bl_str name, bl_str *value);
/* A cookie's value in one Cookie field. */
bool bl_parse_cookie(bl_str cookies, bl_str name, bl_str *value);
/* True if `token` stands in a comma-separated list, without case. */
bool bl_parse_has_token(bl_str list, bl_str token);

#endif
