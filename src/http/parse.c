#include "http/parse.h"
#include "http/header.h"

/* Classes of bytes. */
enum {
    TOKEN = 1 << 0,  /* RFC 9110 tchar */
    PLAIN = 1 << 1,  /* of a field name as everybody writes it: letters, digits, '-' */
    TARGET = 1 << 2, /* may stand in a request target */
    MARKED = 1 << 3, /* in a path: needs a closer look (% # . / + ?) */
};

#define ALPHA  (TOKEN | PLAIN | TARGET)
#define SYMBOL (TOKEN | TARGET)

static const uint8_t classes[256] = {
    ['0' ... '9'] = ALPHA,   ['A' ... 'Z'] = ALPHA,   ['a' ... 'z'] = ALPHA,
    ['-'] = ALPHA,           ['_'] = SYMBOL,          ['~'] = SYMBOL,
    ['!'] = SYMBOL,          ['$'] = SYMBOL,          ['&'] = SYMBOL,
    ['\''] = SYMBOL,         ['*'] = SYMBOL,          ['`'] = TOKEN | TARGET,
    ['|'] = TOKEN | TARGET,  ['^'] = TOKEN | TARGET,  ['+'] = SYMBOL | MARKED,
    ['.'] = SYMBOL | MARKED, ['%'] = SYMBOL | MARKED, ['#'] = TOKEN | TARGET | MARKED,
    ['/'] = TARGET | MARKED, ['('] = TARGET,          [')'] = TARGET,
    [','] = TARGET,          [';'] = TARGET,          ['='] = TARGET,
    [':'] = TARGET,          ['@'] = TARGET,          ['?'] = TARGET | MARKED,
    ['['] = TARGET,          [']'] = TARGET,          ['{'] = TARGET,
    ['}'] = TARGET,          ['<'] = TARGET,          ['>'] = TARGET,
    ['"'] = TARGET,          ['\\'] = TARGET,         [0x80 ... 0xff] = TARGET,
};

#define CLASS(c) classes[(unsigned char)(c)]

static inline bl_str behind(bl_str s, size_t n)
{
    return bl_str_of(s.p + n, s.len - n);
}

/* ------------------------------------------------------------- request line */

static bool is_alpha(char c)
{
    return ((unsigned)(c | 0x20) - 'a') < 26u;
}

static bool is_digit(char c)
{
    return ((unsigned)c - '0') < 10u;
}

/* "HTTP/" major "." minor */
static bl_parse_result parse_version(bl_str text, bl_parsed_line *out)
{
    if (BL_LIKELY(text.len == 8 && memcmp(text.p, "HTTP/1.1", 8) == 0)) {
        out->version = 1001;
        out->protocol = text;
        return BL_PARSE_OK;
    }
    if (text.len < 8 || memcmp(text.p, "HTTP/", 5) != 0)
        return BL_PARSE_BAD;
    bl_str number = behind(text, 5);
    ssize_t dot = bl_str_chr(number, '.');
    if (dot < 1 || dot > 3)
        return BL_PARSE_BAD;
    int64_t major = bl_str_to_int(bl_str_of(number.p, (size_t)dot));
    int64_t minor = bl_str_to_int(behind(number, (size_t)dot + 1));
    if (major < 0 || minor < 0 || minor > 999)
        return BL_PARSE_BAD;
    if (major != 1)
        return major > 1 ? BL_PARSE_BAD_VERSION : BL_PARSE_BAD;
    out->version = minor == 0 ? 1000 : 1001;
    out->protocol = text;
    return BL_PARSE_OK;
}

/* Cuts "path?args" and finds out whether the path is plain. Returns where the target ends: at the
 * first byte that can't stand in one. */
static const char *parse_origin_form(const char *at, const char *end, bl_parsed_line *out)
{
    const char *start = at;

    out->args = BL_STR_NONE;
    for (; at < end; at++) {
        unsigned class = CLASS(*at);
        if (BL_LIKELY((class & (TARGET | MARKED)) == TARGET))
            continue;
        if (*at == '?' || !(class & TARGET))
            break;
        if (*at == '+')
            out->plus = true;
        else if (*at == '%' || *at == '#')
            out->complex = true;
        else
            out->complex |= at > start && at[-1] == '/'; /* "//" and "/." */
    }
    out->path = bl_str_of(start, (size_t)(at - start));
    if (at == end || *at != '?')
        return at;
    const char *args = ++at;
    while (at < end && (CLASS(*at) & TARGET))
        at++;
    out->args = bl_str_of(args, (size_t)(at - args));
    ssize_t fragment = bl_str_chr(out->args, '#');
    if (fragment >= 0)
        out->args.len = (size_t)fragment;
    return at;
}

/* scheme "://" host [":" port] [path] */
static const char *parse_absolute_form(const char *at, const char *end, bl_parsed_line *out)
{
    const char *start = at;

    while (at < end && (is_alpha(*at) ||
                        (at > start && (is_digit(*at) || *at == '+' || *at == '-' || *at == '.'))))
        at++;
    if (at == start || end - at < 4 || memcmp(at, "://", 3) != 0)
        return NULL;
    out->scheme = bl_str_of(start, (size_t)(at - start));
    const char *host = at += 3;
    while (at < end && *at != '/' && *at != '?' && *at != '#' && (CLASS(*at) & TARGET)) {
        if (*at++ == '@')
            return NULL; /* no user information in http (RFC 9110 section 4.2.4) */
    }
    if (at == host)
        return NULL;
    out->host = bl_str_of(host, (size_t)(at - host));
    return parse_origin_form(at, end, out);
}

/* The forms of RFC 9112 section 3.2. Returns the target's end; NULL: it has none of them. */
static const char *parse_target(const char *at, const char *end, bl_parsed_line *out)
{
    const char *start = at;

    if (at == end)
        return NULL;
    if (BL_LIKELY(*at == '/')) {
        at = parse_origin_form(at, end, out);
    } else if (bl_str_eq(out->method, BL_STR("CONNECT"))) {
        while (at < end && (CLASS(*at) & TARGET))
            at++;
        out->authority = true;
        out->host = bl_str_of(start, (size_t)(at - start));
    } else if (*at == '*' && bl_str_eq(out->method, BL_STR("OPTIONS"))) {
        out->path = bl_str_of(at++, 1);
    } else if ((at = parse_absolute_form(at, end, out)) == NULL) {
        return NULL;
    }
    out->target = bl_str_of(start, (size_t)(at - start));
    return at;
}

/* Upper-case letters, and '-' or '_' between them. */
static const char *parse_method(const char *at, const char *end)
{
    const char *start = at;

    if (BL_LIKELY(end - at > 4 && memcmp(at, "GET ", 4) == 0))
        return at + 3;
    while (at < end && ((*at >= 'A' && *at <= 'Z') || ((*at == '_' || *at == '-') && at > start)))
        at++;
    return at;
}

static const char *skip_spaces(const char *at, const char *end)
{
    while (at < end && *at == ' ')
        at++;
    return at;
}

bl_parse_result bl_parse_request_line(bl_str line, bl_parsed_line *out)
{
    const char *end = line.p + line.len, *at = parse_method(line.p, end);

    memset(out, 0, sizeof *out);
    out->method = bl_str_of(line.p, (size_t)(at - line.p));
    if (at == line.p || at == end || *at != ' ')
        return BL_PARSE_BAD_METHOD;
    at = parse_target(skip_spaces(at, end), end, out);
    if (at == NULL)
        return BL_PARSE_BAD;
    if (at == end) {
        out->version = 9;
        return bl_str_eq(out->method, BL_STR("GET")) ? BL_PARSE_OK : BL_PARSE_BAD;
    }
    if (*at != ' ')
        return BL_PARSE_BAD;
    at = skip_spaces(at, end);
    while (end > at && end[-1] == ' ')
        end--;
    return parse_version(bl_str_of(at, (size_t)(end - at)), out);
}

/* ------------------------------------------------------------- path */

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A %XX at `at`, or -1. */
static int percent(const char *at, const char *end)
{
    if (end - at < 3)
        return -1;
    int high = hex_digit(at[1]), low = hex_digit(at[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* A segment ends at *w. Takes "." and ".." away again: *dropped. False: above the root. */
static bool end_segment(const char *start, char **w, bool *dropped)
{
    char *segment = *w;

    while (segment > start && segment[-1] != '/')
        segment--;
    size_t len = (size_t)(*w - segment);
    *dropped =
        (len == 1 && segment[0] == '.') || (len == 2 && segment[0] == '.' && segment[1] == '.');
    if (!*dropped)
        return true;
    if (len == 2) {
        segment--; /* the slash in front of it */
        if (segment <= start)
            return false;
        while (segment[-1] != '/')
            segment--;
    }
    *w = segment;
    return true;
}

bool bl_parse_path(bl_str path, bool merge, char *to, bl_str *out, bl_str *args)
{
    if (path.len == 0 || path.p[0] != '/')
        return false;
    const char *at = path.p, *end = path.p + path.len;
    char *w = to;
    bool dropped = false;

    while (at < end) {
        int c = (unsigned char)*at;
        if (c == '#')
            break;
        if (c == '?') {
            *args = bl_str_of(at + 1, (size_t)(end - at - 1));
            break;
        }
        if (c == '%' && (c = percent(at, end)) <= 0)
            return false;
        at += *at == '%' ? 3 : 1;
        if (c == '/' && w > to) {
            if (!end_segment(to, &w, &dropped))
                return false;
            if (dropped || (merge && w[-1] == '/'))
                continue;
        }
        *w++ = (char)c;
    }
    if (!end_segment(to, &w, &dropped))
        return false;
    *out = bl_str_of(to, (size_t)(w - to));
    return true;
}

/* ------------------------------------------------------------- field lines */

bool bl_parse_odd_name(bl_str line, bl_parsed_field *out)
{
    ssize_t colon = bl_str_chr(line, ':');

    if (colon <= 0)
        return false;
    out->name.len = (size_t)colon;
    out->odd = out->underscore = true;
    for (size_t i = 0; i < out->name.len; i++) {
        unsigned char c = (unsigned char)line.p[i];
        if (c <= ' ' || c == 0x7f)
            return false;
        out->underscore &= (CLASS(c) & PLAIN) || c == '_';
    }
    return true;
}

/* ------------------------------------------------------------- host */

static bool parse_host_port(bl_str text, int *port)
{
    *port = 0;
    if (text.len == 0)
        return true;
    if (text.p[0] != ':')
        return false;
    text = behind(text, 1);
    if (text.len == 0)
        return true;
    unsigned n = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.p[i] - '0';
        if (digit > 9 || n > 65535)
            return false;
        n = n * 10 + digit;
    }
    *port = (int)n;
    return n >= 1 && n <= 65535;
}

enum {
    DOT = 0x80, /* marks dots in the table below */
};

/* Bytes of a host name, lower-cased; 0: can't stand in one. */
static const unsigned char host_bytes[256] = {
    ['-'] = '-', ['.'] = '.' | DOT, ['_'] = '_', ['~'] = '~', ['!'] = '!', ['$'] = '$',
    ['&'] = '&', ['\''] = '\'',     ['*'] = '*', ['+'] = '+', ['%'] = '%', ['('] = '(',
    [')'] = ')', [','] = ',',       [';'] = ';', ['='] = '=',
#define SAME(c)  [c] = c
#define LOWER(c) [(c)-32] = c, [c] = c
    SAME('0'),   SAME('1'),         SAME('2'),   SAME('3'),   SAME('4'),   SAME('5'),
    SAME('6'),   SAME('7'),         SAME('8'),   SAME('9'),   LOWER('a'),  LOWER('b'),
    LOWER('c'),  LOWER('d'),        LOWER('e'),  LOWER('f'),  LOWER('g'),  LOWER('h'),
    LOWER('i'),  LOWER('j'),        LOWER('k'),  LOWER('l'),  LOWER('m'),  LOWER('n'),
    LOWER('o'),  LOWER('p'),        LOWER('q'),  LOWER('r'),  LOWER('s'),  LOWER('t'),
    LOWER('u'),  LOWER('v'),        LOWER('w'),  LOWER('x'),  LOWER('y'),  LOWER('z'),
#undef SAME
#undef LOWER
};

/* "[" IPv6address or IPvFuture "]" (RFC 3986 section 3.2.2), as far as a name could be told apart.
 */
static bool take_ip_literal(bl_str value, char *to, size_t *len)
{
    size_t i = 1;

    for (; i < value.len && value.p[i] != ']'; i++) {
        unsigned char c =
            (unsigned char)value.p[i] == ':' ? ':' : host_bytes[(unsigned char)value.p[i]];
        c &= 0x7f;
        if (c == 0 || (c == '.' && to[i - 1] == '.'))
            return false;
        to[i] = (char)c;
    }
    if (i < 2 || i == value.len)
        return false;
    to[0] = '[';
    to[i] = ']';
    *len = i + 1;
    return true;
}

/* A name, lower-cased, up to the colon of a port. False: a byte that can't stand in one, or "..".
 */
static bool take_name(bl_str value, char *to, size_t *len)
{
    const unsigned char *in = (const unsigned char *)value.p, *end = in + value.len, *at = in;
    unsigned char c, all = 0;

    for (; at < end && (c = host_bytes[*at]) != 0; at++) {
        all |= c;
        *to++ = (char)(c & 0x7f);
    }
    *len = (size_t)(at - in);
    if (at < end && *at != ':')
        return false;
    return !(all & DOT) || bl_str_find(bl_str_of(value.p, *len), BL_STR("..")) < 0;
}

/* Length of a name that is as it should be, in lower case, with single dots; it ends with the value
 * or at a colon. 0: it needs a closer look. */
static size_t tidy_name_len(bl_str value)
{
    static const bool tidy[256] = {['a' ... 'z'] = true, ['0' ... '9'] = true, ['-'] = true};
    const char *at = value.p, *end = at + value.len;

    for (;; at++) {
        while (at < end && tidy[(unsigned char)*at])
            at++;
        if (at == end || *at != '.')
            break;
        if (at == value.p || at[-1] == '.')
            return 0;
    }
    return at == end || *at == ':' ? (size_t)(at - value.p) : 0;
}

bool bl_parse_host(bl_str value, char *to, bl_str *host, int *port)
{
    size_t len = tidy_name_len(value);

    if (BL_LIKELY(len != 0)) {
        to = value.p;
    } else if (value.len && value.p[0] == '[') {
        if (!take_ip_literal(value, to, &len))
            return false;
    } else {
        if (!take_name(value, to, &len))
            return false;
    }
    *port = 0;
    if (len != value.len && !parse_host_port(behind(value, len), port))
        return false;
    if (len && to[len - 1] == '.')
        len--;
    *host = bl_str_of(to, len);
    return len != 0;
}

/* ------------------------------------------------------------- chunked */

enum {
    SIZE_FIRST = 0, /* the first digit of a size must come */
    SIZE,
    SIZE_BWS, /* blanks behind the size: an extension or the line's end must come */
    SIZE_EXT, /* chunk extension: skipped. Only CR LF ends it: a lone LF, others take for a part */
    SIZE_LF,  /* CR seen */
    DATA,
    DATA_CR,
    DATA_LF,
    LINE_FIRST, /* first byte of a trailer line, or of the end */
    LINE,
    LINE_LF,
    LAST_LF,
    EXTRA_MAX = 16 * 1024, /* bytes of the extensions of a chunk; of all trailers */
};

/* One byte of what is not data. Returns false when it can't stand there. */
static bool chunked_step(bl_chunked *c, char ch)
{
    int digit;

    switch (c->state) {
    case SIZE_FIRST:
    case SIZE:
        if ((digit = hex_digit(ch)) >= 0) {
            if (c->left > (INT64_MAX >> 5))
                return false;
            if (c->state == SIZE_FIRST)
                c->left = c->extra = 0;
            c->left = c->left << 4 | digit;
            c->state = SIZE;
            return true;
        }
        if (c->state == SIZE_FIRST)
            return false;
        /* fall through */
    case SIZE_BWS:
        if (ch == '\r')
            c->state = SIZE_LF;
        else if (ch == '\n')
            c->state = c->left ? DATA : LINE_FIRST;
        else if (ch == ';')
            c->state = SIZE_EXT;
        else if (ch == ' ' || ch == '\t')
            c->state = SIZE_BWS;
        else
            return false;
        return ++c->extra <= EXTRA_MAX;
    case SIZE_EXT:
        if (ch == '\r')
            c->state = SIZE_LF;
        else if ((unsigned char)ch < ' ' && ch != '\t')
            return false;
        return ++c->extra <= EXTRA_MAX;
    case SIZE_LF:
        c->state = c->left ? DATA : LINE_FIRST;
        return ch == '\n';
    case DATA_CR:
        c->state = ch == '\n' ? SIZE_FIRST : DATA_LF;
        return ch == '\r' || ch == '\n';
    case DATA_LF:
        c->state = SIZE_FIRST;
        return ch == '\n';
    case LINE_FIRST:
    case LINE:
        if (ch == '\r')
            c->state = c->state == LINE_FIRST ? LAST_LF : LINE_LF;
        else if (ch == '\n')
            c->state = c->state == LINE_FIRST ? LAST_LF + 1 : LINE_FIRST;
        else
            c->state = LINE;
        return ch != '\0' && ++c->extra <= EXTRA_MAX;
    case LINE_LF:
        c->state = LINE_FIRST;
        return ch == '\n';
    case LAST_LF:
        c->state = LAST_LF + 1;
        return ch == '\n';
    default:
        return false;
    }
}

bl_chunked_result bl_chunked_parse(bl_chunked *c, bl_str *in, bl_str *piece)
{
    while (in->len) {
        if (c->state == DATA) {
            size_t n = (size_t)BL_MIN((int64_t)in->len, c->left);
            *piece = bl_str_of(in->p, n);
            *in = behind(*in, n);
            c->left -= (int64_t)n;
            if (c->left == 0)
                c->state = DATA_CR;
            return BL_CHUNKED_DATA;
        }
        char ch = *in->p;
        *in = behind(*in, 1);
        if (!chunked_step(c, ch))
            return BL_CHUNKED_BAD;
        if (c->state > LAST_LF)
            return BL_CHUNKED_END;
    }
    return BL_CHUNKED_MORE;
}

int64_t bl_chunked_least(const bl_chunked *c)
{
    switch (c->state) {
    case SIZE_FIRST:
        return 5; /* 0 CRLF CRLF */
    case SIZE:
    case SIZE_BWS:
    case SIZE_EXT:
        return c->left ? c->left + 9 : 4;
    case SIZE_LF:
        return c->left ? c->left + 8 : 3;
    case DATA:
        return c->left + 7;
    case DATA_CR:
        return 7;
    case DATA_LF:
        return 6;
    case LINE_FIRST:
        return 2;
    case LINE:
        return 4;
    case LINE_LF:
        return 3;
    default:
        return 1;
    }
}

/* ------------------------------------------------------------- lists */

bool bl_parse_arg(bl_str args, bl_str name, bl_str *value)
{
    while (args.len) {
        ssize_t amp = bl_str_chr(args, '&');
        bl_str one = amp < 0 ? args : bl_str_of(args.p, (size_t)amp);
        if (one.len > name.len && one.p[name.len] == '=' &&
            bl_str_ieq(bl_str_of(one.p, name.len), name)) {
            *value = behind(one, name.len + 1);
            return true;
        }
        args = amp < 0 ? BL_STR_NONE : behind(args, (size_t)amp + 1);
    }
    return false;
}

bool bl_parse_cookie(bl_str cookies, bl_str name, bl_str *value)
{
    while (cookies.len) {
        ssize_t semicolon = bl_str_chr(cookies, ';');
        bl_str one = semicolon < 0 ? cookies : bl_str_of(cookies.p, (size_t)semicolon);
        cookies = semicolon < 0 ? BL_STR_NONE : behind(cookies, (size_t)semicolon + 1);
        one = bl_str_trim(one);
        ssize_t equals = bl_str_chr(one, '=');
        if (equals < 0)
            continue;
        if (bl_str_ieq(bl_str_trim(bl_str_of(one.p, (size_t)equals)), name)) {
            *value = bl_str_trim(behind(one, (size_t)equals + 1));
            return true;
        }
    }
    return false;
}

bool bl_parse_has_token(bl_str list, bl_str token)
{
    const char *at = list.p, *end = at + list.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        if (at < stop && bl_lower(*at) == bl_lower(token.p[0]) &&
            bl_str_ieq(bl_str_trim(bl_str_of(at, (size_t)(stop - at))), token))
            return true;
        at = stop + 1;
    }
    return false;
}
