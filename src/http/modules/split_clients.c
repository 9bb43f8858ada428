/* split_clients: a variable whose values are spread over clients by percentages. The hash of a text
 * falls somewhere into 0 … 2^32-1, which the parts divide in the order written. */
#include "http/modules/split_clients.h"
#include "http/value.h"
#include "http/variable.h"

typedef struct part {
    uint32_t below; /* hashes below this; the last part of "*" takes all */
    bool rest;
    bl_value *value;
} part;

typedef struct split {
    bl_value *source;
    bl_array parts;
} split;

enum {
    WHOLE = 10000, /* hundredths of a percent */
};

uint32_t bl_split_clients_hash(bl_str s)
{
    const uint32_t m = 0x5bd1e995;
    const unsigned char *p = (const unsigned char *)s.p;
    uint32_t h = (uint32_t)s.len;
    size_t len = s.len;

    for (; len >= 4; p += 4, len -= 4) {
        uint32_t k = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        h = h * m ^ k * m;
    }
    if (len == 3)
        h ^= (uint32_t)p[2] << 16;
    if (len >= 2)
        h ^= (uint32_t)p[1] << 8;
    if (len >= 1)
        h = (h ^ p[0]) * m;
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}

static bool get(bl_request *r, const bl_variable *v, bl_str name BL_UNUSED, bl_str *value)
{
    const split *s = v->data;
    uint32_t hash = bl_split_clients_hash(bl_value_eval(r, s->source));

    *value = BL_STR("");
    BL_ARRAY_EACH (part, p, &s->parts) {
        if (!p->rest && hash >= p->below)
            continue;
        *value = bl_value_eval(r, p->value);
        break;
    }
    return true;
}

/* ------------------------------------------------------------- configuration */

/* "51.25%" in hundredths of a percent; -1: no such. */
static int64_t parse_percent(bl_str text)
{
    if (text.len < 2 || text.p[text.len - 1] != '%')
        return -1;
    text.len--;
    ssize_t dot = bl_str_chr(text, '.');
    int64_t whole = bl_str_to_int(dot < 0 ? text : bl_str_of(text.p, (size_t)dot)), fraction = 0;
    if (dot >= 0) {
        bl_str digits = bl_str_of(text.p + dot + 1, text.len - (size_t)dot - 1);
        fraction = digits.len > 2 ? -1 : bl_str_to_int(digits);
        if (digits.len == 1)
            fraction *= 10;
    }
    return whole < 0 || whole > 100 || fraction < 0 ? -1 : whole * 100 + fraction;
}

static bool read_part(bl_conf *cf, split *s, const bl_conf_node *node, int64_t *sum)
{
    part *p = bl_array_push(&s->parts);
    bl_str share = bl_conf_arg(node, 0);

    if (node->count != 2)
        return bl_conf_error(cf, node, 0, "invalid number of parameters");
    p->value = bl_value_compile(cf, node, 1, bl_conf_arg(node, 1));
    if (p->value == NULL)
        return false;
    if (bl_str_eq(share, BL_STR("*"))) {
        p->rest = true;
        return true;
    }
    int64_t percent = parse_percent(share);
    if (percent <= 0)
        return bl_conf_error(cf, node, 0, "invalid percent value \"%.*s\"", BL_STR_ARG(share));
    *sum += percent;
    if (*sum > WHOLE)
        return bl_conf_error(cf, node, 0, "percent total is greater than 100%%");
    p->below = (uint32_t)((uint64_t)UINT32_MAX * (uint64_t)*sum / WHOLE);
    return true;
}

static bool read_split(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                       void *field BL_UNUSED)
{
    split *s = BL_NEW(cf->pool, split);
    bl_str name = bl_conf_arg(node, 2);
    int64_t sum = 0;
    bool ok = true;

    if (name.len < 2 || name.p[0] != '$')
        return bl_conf_error(cf, node, 2, "invalid variable name \"%.*s\"", BL_STR_ARG(name));
    s->source = bl_value_compile(cf, node, 1, bl_conf_arg(node, 1));
    if (s->source == NULL)
        return false;
    bl_array_init(&s->parts, cf->pool, sizeof(part));
    for (const bl_conf_node *n = node->children; n; n = n->next)
        ok = read_part(cf, s, n, &sum) && ok;
    return bl_var_define(cf, bl_str_of(name.p + 1, name.len - 1), get, NULL, s,
                         BL_VAR_CHANGEABLE) &&
           ok;
}

static const bl_directive directives[] = {
    {"split_clients", BL_IN_HTTP, BL_TAKE2 | BL_TAKE_BLOCK | BL_REPEATS, &bl_type_action,
     .set = read_split},
    {0},
};

bl_module bl_split_clients_module = {.name = "split_clients", .directives = directives};
