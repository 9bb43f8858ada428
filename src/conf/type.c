/* The types of values: each reads the arguments of its directive into a field. */
#include "conf/conf.h"

/* A buffer of more is a slip of the pen. */
#define MEMORY_MAX (1ll << 50)

static bool read_flag(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    bl_str value = bl_conf_arg(node, 1);

    if (bl_str_ieq(value, BL_STR("on")))
        *(int *)field = 1;
    else if (bl_str_ieq(value, BL_STR("off")))
        *(int *)field = 0;
    else
        return bl_conf_error(cf, node, 1,
                             "invalid value \"%.*s\" in \"%.*s\" directive, it must be \"on\" or "
                             "\"off\"",
                             BL_STR_ARG(value), BL_STR_ARG(bl_conf_arg(node, 0)));
    return true;
}

/* Stores a number that is not negative; all integers of the tables are read through here. */
static bool store(bl_conf *cf, const bl_conf_node *node, int64_t value, void *field)
{
    if (value < 0)
        return bl_conf_invalid(cf, node, 1);
    *(int64_t *)field = value;
    return true;
}

static bool read_num(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field)
{
    int64_t value = bl_str_to_int(bl_conf_arg(node, 1));

    if (value < 0)
        return bl_conf_error(cf, node, 1, "invalid number \"%.*s\" in \"%.*s\" directive",
                             BL_STR_ARG(bl_conf_arg(node, 1)), BL_STR_ARG(bl_conf_arg(node, 0)));
    return store(cf, node, value, field);
}

static bool read_size(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    int64_t size = bl_conf_size(bl_conf_arg(node, 1));

    return store(cf, node, size <= MEMORY_MAX ? size : -1, field);
}

static bool read_off(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field)
{
    return store(cf, node, bl_conf_off(bl_conf_arg(node, 1)), field);
}

static bool read_msec(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    return store(cf, node, bl_conf_msec(bl_conf_arg(node, 1)), field);
}

static bool read_sec(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field)
{
    return store(cf, node, bl_conf_sec(bl_conf_arg(node, 1)), field);
}

static bool read_str(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field)
{
    *(bl_str *)field = bl_pool_str(cf->pool, bl_conf_arg(node, 1));
    return true;
}

static const bl_conf_word_value *find_word(const bl_directive *d, bl_str word)
{
    for (const bl_conf_word_value *v = d->arg; v->word; v++) {
        if (bl_str_ieq(word, bl_str_c(v->word)))
            return v;
    }
    return NULL;
}

static bool not_a_choice(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, int word)
{
    bl_str list = BL_STR("");

    for (const bl_conf_word_value *v = d->arg; v->word; v++)
        list = bl_pool_printf(cf->pool, "%.*s%s\"%s\"", BL_STR_ARG(list), list.len ? ", " : "",
                              v->word);
    bl_conf_hint(cf, "possible values: %.*s", BL_STR_ARG(list));
    return bl_conf_invalid(cf, node, word);
}

static bool read_enum(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field)
{
    const bl_conf_word_value *v = find_word(d, bl_conf_arg(node, 1));

    if (v == NULL)
        return not_a_choice(cf, d, node, 1);
    *(int *)field = v->value;
    return true;
}

static bool read_bits(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field)
{
    int bits = 0;

    for (int i = 1; i < node->count; i++) {
        const bl_conf_word_value *v = find_word(d, bl_conf_arg(node, i));
        if (v == NULL)
            return not_a_choice(cf, d, node, i);
        if (v->value && (bits & v->value) == v->value)
            bl_conf_warn(cf, node, i, "duplicate value \"%s\"", v->word);
        bits |= v->value;
    }
    *(int *)field = bits;
    return true;
}

static bool read_strs(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    bl_array **strs = field;

    if (*strs == BL_UNSET_PTR)
        *strs = bl_array_new(cf->pool, sizeof(bl_str));
    for (int i = 1; i < node->count; i++)
        *(bl_str *)bl_array_push(*strs) = bl_pool_str(cf->pool, bl_conf_arg(node, i));
    return true;
}

static bool read_bufs(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    bl_bufs_setting *bufs = field;
    int64_t count = bl_str_to_int(bl_conf_arg(node, 1));
    int64_t size = bl_conf_size(bl_conf_arg(node, 2));

    if (count <= 0)
        return bl_conf_invalid(cf, node, 1);
    if (size <= 0 || size > MEMORY_MAX)
        return bl_conf_invalid(cf, node, 2);
    *bufs = (bl_bufs_setting){count, size};
    return true;
}

const bl_type bl_type_flag = {"on | off", sizeof(int), read_flag};
const bl_type bl_type_num = {"number", sizeof(int64_t), read_num};
const bl_type bl_type_size = {"size", sizeof(int64_t), read_size};
const bl_type bl_type_off = {"size", sizeof(int64_t), read_off};
const bl_type bl_type_msec = {"time", sizeof(int64_t), read_msec};
const bl_type bl_type_sec = {"time", sizeof(int64_t), read_sec};
const bl_type bl_type_str = {"string", sizeof(bl_str), read_str};
const bl_type bl_type_enum = {"word", sizeof(int), read_enum};
const bl_type bl_type_bits = {"word ...", sizeof(int), read_bits};
const bl_type bl_type_strs = {"string ...", sizeof(bl_array *), read_strs};
const bl_type bl_type_bufs = {"number size", sizeof(bl_bufs_setting), read_bufs};
const bl_type bl_type_action = {"", 0, NULL};
