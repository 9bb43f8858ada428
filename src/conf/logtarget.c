/* error_log: reads where a log goes to and from which level on.
 *
 *   error_log FILE | stderr | syslog:… | memory:SIZE   [LEVEL]
 *
 * Several in one block all apply. The memory target keeps the newest lines in a ring, for a
 * debugger to look at. */
#include "conf/syslog.h"
#include "core/time.h"

static int syslog_severity(bl_log_level level)
{
    return level <= BL_LOG_EMERG ? 0 : (int)level - 1;
}

static void write_syslog(bl_log_target *target, bl_log_level level, bl_str line)
{
    bl_syslog *to = target->data;
    bl_str text = bl_str_of(line.p, line.len - (line.len > 0 && line.p[line.len - 1] == '\n'));
    int err = bl_syslog_send(to, syslog_severity(level), text);

    if (err == 0 || to->failed == bl_clock_now.sec)
        return;
    to->failed = bl_clock_now.sec; /* set first: the complaint may come here again */
    bl_log_write(BL_LOG_ALERT, &bl_log_process, err, "sending to syslog failed");
}

typedef struct ring {
    size_t size, at;
    char *bytes;
} ring;

static void write_ring(bl_log_target *target, bl_log_level level BL_UNUSED, bl_str line)
{
    ring *r = target->data;

    while (line.len) {
        size_t n = BL_MIN(line.len, r->size - r->at);
        memcpy(r->bytes + r->at, line.p, n);
        r->at = (r->at + n) % r->size;
        line = bl_str_of(line.p + n, line.len - n);
    }
}

static bool read_syslog(bl_conf *cf, const bl_conf_node *node, bl_log_target *target)
{
    target->write = write_syslog;
    target->data = bl_conf_syslog(cf, node, 1);
    return target->data != NULL;
}

static bool read_memory(bl_conf *cf, const bl_conf_node *node, bl_log_target *target)
{
    bl_str where = bl_conf_arg(node, 1);
    bl_str text = bl_str_of(where.p + strlen("memory:"), where.len - strlen("memory:"));
    int64_t size = bl_conf_size(text);
    ring *r = BL_NEW(cf->pool, ring);

    if (size < BL_LOG_MAX)
        return bl_conf_error(cf, node, 1, "invalid buffer size \"%.*s\"", BL_STR_ARG(text));
    r->size = (size_t)size;
    r->bytes = bl_pool_zalloc(cf->pool, r->size);
    target->write = write_ring;
    target->data = r;
    return true;
}

static bool read_target(bl_conf *cf, const bl_conf_node *node, bl_log_target *target)
{
    bl_str where = bl_conf_arg(node, 1);

    if (where.len == 0)
        return bl_conf_invalid(cf, node, 1);
    if (bl_str_starts(where, BL_STR("syslog:")))
        return read_syslog(cf, node, target);
    if (bl_str_starts(where, BL_STR("memory:")))
        return read_memory(cf, node, target);
    if (bl_str_eq(where, BL_STR("stderr")))
        where = BL_STR("");
    target->file = bl_conf_open_file(cf, where);
    return true;
}

/* The words behind the target; debug_http and its kin mean debug. */
static bool read_level(bl_conf *cf, const bl_conf_node *node, bl_log_level *level)
{
    *level = node->count > 2 ? BL_LOG_STDERR : BL_LOG_ERR;
    for (int i = 2; i < node->count; i++) {
        bl_str word = bl_conf_arg(node, i);
        int one = bl_str_starts(word, BL_STR("debug_")) ? BL_LOG_DEBUG : bl_log_level_of(word);
        if (one < 0)
            return bl_conf_error(cf, node, i, "invalid log level \"%.*s\"", BL_STR_ARG(word));
        if (*level != BL_LOG_STDERR && *level != (bl_log_level)one)
            return bl_conf_error(cf, node, i, "duplicate log level \"%.*s\"", BL_STR_ARG(word));
        *level = (bl_log_level)one;
    }
    return true;
}

bool bl_conf_log_target(bl_conf *cf, const bl_conf_node *node, bl_log_targets **targets)
{
    bl_log_target *target = BL_NEW(cf->pool, bl_log_target), **tail;

    if (!read_target(cf, node, target) || !read_level(cf, node, &target->level))
        return false;
    if (*targets == NULL || *targets == BL_UNSET_PTR)
        *targets = BL_NEW(cf->pool, bl_log_targets);
    for (tail = &(*targets)->first; *tail;)
        tail = &(*tail)->next;
    *tail = target;
    (*targets)->level = BL_MAX((*targets)->level, target->level);
    return true;
}
