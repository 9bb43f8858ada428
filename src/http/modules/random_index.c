/* random_index: a URI that ends with a slash gets one of its folder's files, by chance. */
#include "http/modules/random_index.h"
#include "http/core_module.h"
#include "http/open_file.h"
#include "http/phases.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

typedef struct settings {
    int on;
} settings;

static bool is_file(int folder, const struct dirent *entry)
{
    struct stat st;

    if (entry->d_name[0] == '.')
        return false;
    return entry->d_type == DT_REG ||
           ((entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN) &&
            fstatat(folder, entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode));
}

/* Each of n files with a chance of 1/n, without knowing n beforehand: the k-th takes the place of
 * what was chosen before with a chance of 1/k. */
static bl_str choose(bl_request *r, DIR *dir)
{
    const struct dirent *entry;
    bl_str chosen = BL_STR_NONE;
    long seen = 0;

    while ((entry = readdir(dir)) != NULL) {
        if (is_file(dirfd(dir), entry) && random() % ++seen == 0)
            chosen = bl_pool_str(r->pool, bl_str_c(entry->d_name));
    }
    return chosen;
}

static bl_step serve(bl_request *r)
{
    bl_str path;
    size_t root_len;

    if (r->uri.len == 0 || r->uri.p[r->uri.len - 1] != '/' ||
        !(r->method & (BL_M_GET | BL_M_HEAD | BL_M_POST)))
        return BL_NEXT;
    if (!bl_request_path(r, &path, &root_len, 0))
        return 404;
    DIR *dir = opendir(path.p);
    if (dir == NULL) {
        bl_open_file_info info = {.err = errno, .failed = "opendir()"};
        return bl_open_file_status(r, path, &info);
    }
    bl_str name = choose(r, dir);
    closedir(dir);
    if (name.len == 0)
        return BL_NEXT;
    bl_str parts[] = {r->uri, name};
    return bl_request_redirect(r, bl_pool_concat(r->pool, parts, 2), r->args);
}

static const bl_directive directives[] = {
    {"random_index", BL_IN_LOCATION, BL_TAKE_FLAG, &bl_type_flag, BL_LOCATION,
     offsetof(settings, on), "off"},
    {0},
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_random_index_module);

    if (s->on)
        bl_location_handler(cf, loc, BL_PHASE_CONTENT, BL_PLACE_INDEX - 1, serve);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_random_index_module = {
    .name = "random_index",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .http = &http,
};
