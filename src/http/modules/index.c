/* index: a URI that ends with a slash is redirected inside to the first of the names that exists in
 * its folder. */
#include "http/modules/index.h"
#include "http/core_module.h"
#include "http/open_file.h"
#include "http/phases.h"
#include "http/value.h"

#include <errno.h>

typedef struct settings {
    bl_array *names; /* bl_value * */
} settings;

static bl_step fail(bl_request *r, bl_str path, const bl_open_file_info *info)
{
    int status = info->err == EACCES || info->err == ELOOP || info->err == EMLINK ? 403
                 : info->err == ENOENT || info->err == ENOTDIR                    ? 404
                                                                                  : 500;

    if (status == 500)
        bl_log_write(BL_LOG_CRIT, r->log, info->err, "%s \"%.*s\" failed", info->failed,
                     BL_STR_ARG(path));
    else if (status == 403 || r->loc->core->log_not_found)
        bl_log_write(BL_LOG_ERR, r->log, info->err, "\"%.*s\" is %s", BL_STR_ARG(path),
                     status == 403 ? "forbidden" : "not found");
    return status;
}

/* None of the names is there: is the folder? */
static bl_step check_folder(bl_request *r, bl_str path)
{
    bl_open_file_info info;
    char *end = memrchr(path.p, '/', path.len);
    bl_str folder =
        end ? bl_pool_str(r->pool, bl_str_of(path.p, (size_t)(end - path.p) + 1)) : path;

    if (bl_open_file_get(r, folder, BL_OPEN_FILE_TEST, &info))
        return BL_NEXT;
    return fail(r, path, &info);
}

static bl_step found(bl_request *r, bl_str name)
{
    bl_str parts[] = {r->uri, name};

    return bl_request_redirect(r, bl_pool_concat(r->pool, parts, 2), r->args);
}

static bl_step serve(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_index_module);
    bl_str folder, path = BL_STR_NONE;
    size_t root_len;

    if (r->uri.len == 0 || r->uri.p[r->uri.len - 1] != '/')
        return BL_NEXT;
    if (!(r->method & (BL_M_GET | BL_M_HEAD | BL_M_POST)))
        return BL_NEXT;
    if (!bl_request_path(r, &folder, &root_len, 0))
        return 404;
    BL_ARRAY_EACH (bl_value *, value, s->names) {
        bl_open_file_info info;
        bl_str name = bl_value_eval(r, *value);
        if (name.len == 0)
            continue;
        if (name.p[0] == '/')
            return bl_request_redirect(r, name, r->args);
        bl_str parts[] = {folder, name};
        path = bl_pool_concat(r->pool, parts, 2);
        if (bl_open_file_get(r, path, BL_OPEN_FILE_TEST, &info))
            return found(r, name);
        if (info.err != ENOENT)
            return fail(r, path, &info);
    }
    return path.p ? check_folder(r, path) : BL_NEXT;
}

/* ------------------------------------------------------------- configuration */

static bool read_names(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field)
{
    for (int i = 1; i < node->count; i++) {
        bl_str name = bl_conf_arg(node, i);
        if (name.len == 0)
            return bl_conf_error(cf, node, i, "index \"\" in \"index\" directive is invalid");
        if (name.p[0] == '/' && i != node->count - 1)
            bl_conf_warn(cf, node, i,
                         "only the last index in \"index\" directive should be absolute");
    }
    return bl_type_values.read(cf, d, node, field);
}

static const bl_type type_names = {"file …", sizeof(bl_array *), read_names};

static const bl_directive directives[] = {
    {"index", BL_IN_HSL, BL_TAKE_1MORE | BL_REPEATS, &type_names, BL_LOCATION,
     offsetof(settings, names), "index.html"},
    {0},
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    bl_location_handler(cf, loc, BL_PHASE_CONTENT, BL_PLACE_INDEX, serve);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_index_module = {
    .name = "index",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
