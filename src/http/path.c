/* The file that a URI stands for: root or alias, then the URI. */
#include "http/core_module.h"
#include "http/request.h"
#include "http/value.h"

/* Whether the part of the URI that the location's name covers is replaced (alias) or kept (root).
 */
static size_t covered_by_alias(const bl_request *r)
{
    const bl_location *loc = r->loc;

    if (!loc->core->root.alias || loc->kind == BL_LOC_REGEX)
        return 0;
    return BL_MIN(loc->name.len, r->uri.len);
}

static bool is_alias_of_regex(const bl_request *r)
{
    const bl_location *loc = r->loc;

    while (loc->kind == BL_LOC_IF || loc->kind == BL_LOC_LIMIT_EXCEPT)
        loc = loc->parent;
    return r->loc->core->root.alias && loc->kind == BL_LOC_REGEX;
}

bool bl_request_path(bl_request *r, bl_str *path, size_t *root_len, size_t reserve)
{
    const bl_root_setting *root = &r->loc->core->root;
    bl_str base = root->path, rest = r->uri;

    if (!root->value->constant) {
        base = bl_value_eval(r, root->value);
        if (base.len == 0 || base.p[0] != '/') {
            bl_str parts[] = {r->http->generation->prefix, base};
            base = bl_pool_concat(r->pool, parts, 2);
        }
        if (!root->alias && base.len > 1 && base.p[base.len - 1] == '/')
            base.len--;
    }
    if (is_alias_of_regex(r)) {
        rest = BL_STR_NONE;
    } else {
        size_t covered = covered_by_alias(r);
        rest = bl_str_of(rest.p + covered, rest.len - covered);
    }
    char *text = bl_pool_bytes(r->pool, base.len + rest.len + reserve + 1);
    char *at = bl_str_put(text, base);
    if (rest.len)
        at = bl_str_put(at, rest);
    *at = '\0';
    *path = bl_str_of(text, (size_t)(at - text));
    *root_len = base.len;
    if (memchr(text, '\0', path->len) != NULL) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "a zero byte in the URI \"%.*s\"", BL_STR_ARG(r->uri));
        return false;
    }
    return true;
}
