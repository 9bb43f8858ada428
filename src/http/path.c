/* The file that a URI stands for: root or alias, then the URI. */
#include "http/core_module.h"
#include "http/request.h"
#include "http/value.h"

/* The part of the URI behind the path that root or alias gives. */
static bl_str rest_of_uri(const bl_request *r, const bl_root_setting *root)
{
    size_t covered = 0;

    if (root->alias && root->covers != BL_ALIAS_ALL)
        covered = BL_MIN(root->covers, r->uri.len);
    else if (root->alias && !r->add_uri_to_alias)
        return BL_STR_NONE;
    return bl_str_of(r->uri.p + covered, r->uri.len - covered);
}

/* "location /img { alias /data/img/; }" and a URI of /img../secret: what is behind the location's
 * name would lead out of the folder. */
static bool climbs_out(const bl_root_setting *root, bl_str base, bl_str rest)
{
    return root->alias && base.len && base.p[base.len - 1] == '/' &&
           bl_str_starts(rest, BL_STR("..")) && (rest.len == 2 || rest.p[2] == '/');
}

bool bl_request_path(bl_request *r, bl_str *path, size_t *root_len, size_t reserve)
{
    const bl_root_setting *root = &r->loc->core->root;
    bl_str base = root->path, rest = rest_of_uri(r, root);

    if (!root->value->constant) {
        base = bl_value_eval(r, root->value);
        if (base.len == 0 || base.p[0] != '/') {
            bl_str parts[] = {r->http->generation->prefix, base};
            base = bl_pool_concat(r->pool, parts, 2);
        }
        if (!root->alias && base.len > 1 && base.p[base.len - 1] == '/')
            base.len--;
    }
    if (BL_UNLIKELY(climbs_out(root, base, rest))) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "the URI \"%.*s\" leads out of the alias \"%.*s\"",
                     BL_STR_ARG(r->uri), BL_STR_ARG(base));
        return false;
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
