/* gzip_static: serves FILE.gz in place of FILE to clients that take it (`always`: to all). */
#include "http/modules/gzip_static.h"
#include "http/core_module.h"
#include "http/mime.h"
#include "http/modules/gzip.h"
#include "http/open_file.h"
#include "http/phases.h"
#include "http/request.h"
#include "http/send_file.h"

#include <errno.h>

enum {
    STATIC_OFF,
    STATIC_ON,
    STATIC_ALWAYS,
};

typedef struct settings {
    int on;
} settings;

/* The path with ".gz" behind it. */
static bool compressed_path(bl_request *r, bl_str *path)
{
    size_t root_len;

    if (!bl_request_path(r, path, &root_len, sizeof ".gz"))
        return false;
    memcpy(path->p + path->len, ".gz", sizeof ".gz");
    path->len += 3;
    return true;
}

static bl_step answer(bl_request *r, bl_str path, const bl_open_file_info *info)
{
    bl_send_file_describe(r, info->size, info->mtime);
    r->out.content_type = bl_mime_of(r);
    r->out.accept_ranges = bl_request_is_main(r);
    bl_headers_add(&r->out.headers, r->pool, BL_STR("Content-Encoding"), BL_STR("gzip"));
    return bl_send_file(r, info->fd, 0, info->size, path);
}

static bl_step serve(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_gzip_static_module);
    bl_open_file_info info;
    bl_str path;

    if (!(r->method & (BL_M_GET | BL_M_HEAD)) || r->uri.len == 0 || r->uri.p[r->uri.len - 1] == '/')
        return BL_NEXT;
    bool takes = s->on == STATIC_ALWAYS || bl_gzip_is_ok(r);
    if (!takes && !bl_gzip_has_vary(r))
        return BL_NEXT;
    if (!compressed_path(r, &path))
        return 404;
    if (!bl_open_file_get(r, path, takes ? 0 : BL_OPEN_FILE_TEST, &info)) {
        if (info.err != ENOENT && info.err != ENOTDIR && info.err != ENAMETOOLONG)
            bl_open_file_status(r, path, &info);
        return BL_NEXT;
    }
    if (!S_ISREG(info.mode))
        return BL_NEXT;
    if (s->on == STATIC_ON)
        bl_gzip_add_vary(r);
    return takes ? answer(r, path, &info) : BL_NEXT;
}

static const bl_conf_word_value static_words[] = {
    {"off", STATIC_OFF}, {"on", STATIC_ON}, {"always", STATIC_ALWAYS}, {NULL, 0}};

static const bl_directive directives[] = {
    {"gzip_static", BL_IN_HSL, BL_TAKE1, &bl_type_enum, BL_LOCATION, offsetof(settings, on), "off",
     .arg = static_words},
    {0},
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_gzip_static_module);

    if (s->on != STATIC_OFF)
        bl_location_handler(cf, loc, BL_PHASE_CONTENT, BL_PLACE_GZIP_STATIC, serve);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_gzip_static_module = {
    .name = "gzip_static",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
