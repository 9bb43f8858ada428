#include "lua/api/socket_match.h"
#include "core/mem.h"

bl_socket_match *bl_socket_match_new(bl_str pattern)
{
    size_t table = bl_size_mul(pattern.len + 1, sizeof(size_t));
    bl_socket_match *m = bl_alloc(sizeof *m + table + pattern.len);
    size_t border = 0;

    m->len = pattern.len;
    m->back = (size_t *)(m + 1);
    m->pattern = (char *)m->back + table;
    memcpy(m->pattern, pattern.p, pattern.len);
    m->back[0] = m->back[1] = 0;
    for (size_t n = 2; n <= m->len; n++) {
        while (border && m->pattern[border] != m->pattern[n - 1])
            border = m->back[border];
        border += m->pattern[border] == m->pattern[n - 1];
        m->back[n] = border;
    }
    return m;
}

static size_t next_state(const bl_socket_match *m, size_t state, char c)
{
    while (state && m->pattern[state] != c)
        state = m->back[state];
    return state + (m->pattern[state] == c);
}

/* Bytes from p on that can't begin the pattern. */
static size_t skip(const bl_socket_match *m, const char *p, size_t n)
{
    const char *first = memchr(p, m->pattern[0], n);

    return first ? (size_t)(first - p) : n;
}

size_t bl_socket_match_run(const bl_socket_match *m, size_t *state, const char *p, size_t n,
                           size_t before, size_t room)
{
    size_t i = 0, s = *state;

    while (i < n && s < m->len) {
        size_t settled = before + i - s;
        if (settled >= room)
            break;
        if (s == 0) {
            size_t far = skip(m, p + i, BL_MIN(n - i, room - settled));
            i += far;
            if (far)
                continue;
        }
        s = next_state(m, s, p[i++]);
    }
    *state = s;
    return i;
}
