#include "event/dns.h"

enum {
    HEADER = 12,
    LABEL_MAX = 63,
    POINTER = 0xc0,
    IS_ANSWER = 0x8000,
    OPCODE = 0x7800,
    TRUNCATED = 0x0200,
    RECURSION = 0x0100,
    CLASS_IN = 1,
    ALIASES_MAX = 16,
};

typedef struct cursor {
    const uint8_t *start, *at, *end;
    bool bad;
} cursor;

/* ------------------------------------------------------------- queries */

static uint8_t *put16(uint8_t *to, unsigned n)
{
    to[0] = (uint8_t)(n >> 8);
    to[1] = (uint8_t)n;
    return to + 2;
}

/* A name as labels. NULL: not a name. */
static uint8_t *put_name(uint8_t *to, bl_str name)
{
    if (name.len && name.p[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len >= BL_DNS_NAME_MAX - 1)
        return NULL;
    while (name.len) {
        ssize_t dot = bl_str_chr(name, '.');
        size_t len = dot < 0 ? name.len : (size_t)dot;
        if (len == 0 || len > LABEL_MAX || (dot >= 0 && len + 1 == name.len))
            return NULL;
        *to++ = (uint8_t)len;
        memcpy(to, name.p, len);
        to += len;
        len += dot >= 0;
        name = bl_str_of(name.p + len, name.len - len);
    }
    *to++ = 0;
    return to;
}

size_t bl_dns_query(uint8_t *to, uint16_t id, bl_str name, uint16_t type)
{
    uint8_t *at = put16(to, id);

    at = put16(at, RECURSION);
    at = put16(at, 1);
    memset(at, 0, 6);
    at = put_name(at + 6, name);
    if (at == NULL)
        return 0;
    at = put16(at, type);
    at = put16(at, CLASS_IN);
    return (size_t)(at - to);
}

/* ------------------------------------------------------------- answers */

static unsigned get(cursor *c, int bytes)
{
    unsigned n = 0;

    if (c->end - c->at < bytes) {
        c->bad = true;
        return 0;
    }
    while (bytes-- > 0)
        n = n << 8 | *c->at++;
    return n;
}

/* Appends a label and a dot, lower-cased. Dots inside of it could pass for others: refused. */
static bool add_label(char *to, size_t *len, const uint8_t *label, size_t size)
{
    if (*len + size + 1 >= BL_DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (label[i] == '.' || label[i] == 0)
            return false;
        to[(*len)++] = bl_lower((char)label[i]);
    }
    to[(*len)++] = '.';
    return true;
}

/* A name, compressed or not (RFC 1035 section 4.1.4). Each pointer must lead further to the front
 * than the last, so there are no circles. */
static size_t get_name_text(cursor *c, char *to)
{
    const uint8_t *at = c->at, *limit = c->at;
    size_t len = 0;
    bool jumped = false;

    while (at < c->end) {
        unsigned size = *at++;
        if (size == 0) {
            c->at = jumped ? c->at : at;
            return len;
        }
        if ((size & POINTER) == POINTER) {
            if (at >= c->end)
                break;
            const uint8_t *target = c->start + ((size & ~(unsigned)POINTER) << 8 | *at++);
            c->at = jumped ? c->at : at;
            if (target >= limit)
                break;
            jumped = true;
            limit = at = target;
        } else if (size > LABEL_MAX || (size_t)(c->end - at) < size ||
                   !add_label(to, &len, at, size)) {
            break;
        } else {
            at += size;
        }
    }
    c->bad = true;
    return 0;
}

static bl_str get_name(cursor *c, bl_pool *pool)
{
    char text[BL_DNS_NAME_MAX];
    size_t len = get_name_text(c, text);

    return len ? bl_pool_str(pool, bl_str_of(text, len - 1)) : BL_STR("");
}

static bool get_address(cursor *data, void *to, ptrdiff_t size)
{
    if (data->end - data->at != size)
        return false;
    memcpy(to, data->at, (size_t)size);
    return true;
}

/* What a record holds; false: it is none of those that we know, or is not well formed. */
static bool get_data(cursor *data, bl_pool *pool, bl_dns_record *r)
{
    switch (r->type) {
    case BL_DNS_A:
        return get_address(data, &r->a, 4);
    case BL_DNS_AAAA:
        return get_address(data, &r->aaaa, 16);
    case BL_DNS_SRV:
        r->priority = (uint16_t)get(data, 2);
        r->weight = (uint16_t)get(data, 2);
        r->port = (uint16_t)get(data, 2);
        r->target = get_name(data, pool);
        return !data->bad;
    case BL_DNS_CNAME:
    case BL_DNS_PTR:
        r->target = get_name(data, pool);
        return !data->bad;
    default:
        return false;
    }
}

/* One record. False: the message ends here, or is broken. *use: it is worth keeping. */
static bool get_record(cursor *c, bl_pool *pool, bl_dns_record *r, bool *use)
{
    *r = (bl_dns_record){.owner = get_name(c, pool)};
    r->type = (uint16_t)get(c, 2);
    unsigned kind = get(c, 2);
    r->ttl = get(c, 4);
    if (r->ttl > INT32_MAX)
        r->ttl = 0;
    unsigned size = get(c, 2);
    if (c->bad || c->end - c->at < (ptrdiff_t)size)
        return false;
    cursor data = {.start = c->start, .at = c->at, .end = c->at + size};
    *use = kind == CLASS_IN && get_data(&data, pool, r);
    c->at += size;
    return true;
}

bool bl_dns_parse(bl_pool *pool, bl_str message, bl_dns_answer *out)
{
    const uint8_t *start = (const uint8_t *)message.p;
    cursor c = {.start = start, .at = start, .end = start + message.len};

    *out = (bl_dns_answer){.id = (uint16_t)get(&c, 2)};
    unsigned flags = get(&c, 2), questions = get(&c, 2), answers = get(&c, 2);
    get(&c, 4);
    if (c.bad || !(flags & IS_ANSWER) || (flags & OPCODE) || questions != 1)
        return false;
    out->code = flags & 15;
    out->truncated = flags & TRUNCATED;
    out->name = get_name(&c, pool);
    out->type = (uint16_t)get(&c, 2);
    if (get(&c, 2) != CLASS_IN || c.bad)
        return false;
    if (out->truncated)
        return true; /* all of it will come over TCP */
    answers = BL_MIN(answers, (unsigned)BL_DNS_RECORDS_MAX);
    out->records = BL_NEW_ARRAY(pool, bl_dns_record, answers);
    for (; answers > 0; answers--) {
        bool use = false;
        if (!get_record(&c, pool, &out->records[out->count], &use))
            return false;
        out->count += use;
    }
    return true;
}

/* ------------------------------------------------------------- aliases */

static uint32_t visit(const bl_dns_answer *answer, bl_str name, uint32_t *ttl,
                      void (*found)(void *data, const bl_dns_record *record), void *data)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < answer->count; i++) {
        const bl_dns_record *r = &answer->records[i];
        if (r->type != answer->type || !bl_str_ieq(r->owner, name))
            continue;
        *ttl = BL_MIN(*ttl, r->ttl);
        found(data, r);
        count++;
    }
    return count;
}

static const bl_dns_record *alias_of(const bl_dns_answer *answer, bl_str name)
{
    for (uint32_t i = 0; i < answer->count; i++) {
        const bl_dns_record *r = &answer->records[i];
        if (r->type == BL_DNS_CNAME && bl_str_ieq(r->owner, name))
            return r;
    }
    return NULL;
}

uint32_t bl_dns_follow(const bl_dns_answer *answer, bl_str name, bl_str *last, uint32_t *ttl,
                       void (*found)(void *data, const bl_dns_record *record), void *data)
{
    *last = name;
    for (int i = 0; i < ALIASES_MAX; i++) {
        uint32_t count = visit(answer, *last, ttl, found, data);
        if (count)
            return count;
        const bl_dns_record *alias = alias_of(answer, *last);
        if (alias == NULL)
            return 0;
        *ttl = BL_MIN(*ttl, alias->ttl);
        *last = alias->target;
    }
    *last = name; /* in a circle */
    return 0;
}
