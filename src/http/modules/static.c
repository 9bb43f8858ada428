/* The file that a URI stands for: the last content handler of every location that has no content
 * handler of its own.
 *
 * Small files come from memory, with one stat() (small_files.h); all others are opened and sent. */
#include "http/modules/static.h"
#include "http/core_module.h"
#include "http/escape.h"
#include "http/mime.h"
#include "http/modules/small_files.h"
#include "http/phases.h"
#include "http/send_file.h"

/* A folder without its slash. */
static bl_step redirect_to_slash(bl_request *r)
{
    bl_str parts[] = {bl_escape_uri(r->pool, r->uri, BL_ESCAPE_PATH), BL_STR("/"), BL_STR("?"),
                      r->args};

    r->out.location = bl_pool_concat(r->pool, parts, r->args.len ? 4 : 2);
    return 301;
}

static void describe(bl_request *r, off_t size, time_t mtime)
{
    bl_send_file_describe(r, size, mtime);
    r->out.content_type = bl_mime_of(r);
    r->out.accept_ranges = bl_request_is_main(r);
}

static bl_step send_small(bl_request *r, bl_small_file *f, const struct stat *st)
{
    bl_chain chain;

    describe(r, st->st_size, st->st_mtime);
    bl_buf *b = bl_small_file_body(r->pool, f);
    b->eof = 1;
    bl_chain_init(&chain);
    bl_chain_push(&chain, b);
    return bl_output_body(r, &chain) == BL_ERROR ? BL_CLOSE : BL_DONE;
}

static bl_step send_opened(bl_request *r, bl_str path, const bl_open_file_info *info)
{
    if (r->method == BL_M_POST)
        return 405;
    if (!S_ISREG(info->mode)) {
        bl_log_write(BL_LOG_CRIT, r->log, 0, "\"%.*s\" is not a regular file", BL_STR_ARG(path));
        return 404;
    }
    r->log->action = "sending response to client";
    if (info->size <= BL_SMALL_FILE_MAX && info->size < r->loc->core->directio &&
        bl_open_file_is_plain(r)) {
        bl_small_file *f = bl_small_file_read(path, info->fd, r->loc->core->aio != NULL);
        if (f && bl_small_file_size(f) == info->size) {
            struct stat st = {.st_size = info->size, .st_mtime = info->mtime};
            return send_small(r, f, &st);
        }
    }
    describe(r, info->size, info->mtime);
    return bl_send_file(r, info->fd, 0, info->size, path);
}

static bl_step serve(bl_request *r)
{
    bl_open_file_info info;
    struct stat st;
    bl_str path;
    size_t root_len;

    if (BL_UNLIKELY(!(r->method & (BL_M_GET | BL_M_HEAD | BL_M_POST))))
        return 405;
    if (r->uri.len == 0 || r->uri.p[r->uri.len - 1] == '/')
        return BL_NEXT;
    if (!bl_request_path(r, &path, &root_len, 0))
        return 404;
    if (bl_open_file_is_plain(r) && r->method != BL_M_POST && stat(path.p, &st) == 0) {
        bl_small_file *f = bl_small_file_find(path, &st);
        if (f)
            return send_small(r, f, &st);
    }
    if (!bl_open_file_get(r, path, 0, &info))
        return bl_open_file_status(r, path, &info);
    if (S_ISDIR(info.mode))
        return redirect_to_slash(r);
    return send_opened(r, path, &info);
}

static bool compile(bl_conf *cf, bl_location *loc)
{
    bl_location_handler(cf, loc, BL_PHASE_CONTENT, BL_PLACE_STATIC, serve);
    return true;
}

static const bl_http_module http = {.compile = compile};

static const bl_directive directives[] = {{0}};

bl_module bl_static_module = {
    .name = "static",
    .directives = directives,
    .http = &http,
};
