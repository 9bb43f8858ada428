#include "http/modules/dav_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DEPTH_MAX = 64, /* of folders in folders */
    COPY_SIZE = 65536,
};

/* Calls `act` with the path of each entry of a folder; the first error ends it. */
static int each_entry(const char *path, int (*act)(const char *entry, void *data), void *data)
{
    char entry[PATH_MAX];
    DIR *folder = opendir(path);
    int err = 0;

    if (folder == NULL)
        return errno;
    for (struct dirent *d; err == 0 && (d = readdir(folder)) != NULL;) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        if (snprintf(entry, sizeof entry, "%s/%s", path, d->d_name) >= (int)sizeof entry)
            err = ENAMETOOLONG;
        else
            err = act(entry, data);
    }
    closedir(folder);
    return err;
}

/* ------------------------------------------------------------- removing */

static int remove_tree(const char *path, void *data)
{
    int depth = *(int *)data + 1;
    struct stat st;

    if (lstat(path, &st) != 0)
        return errno;
    if (!S_ISDIR(st.st_mode))
        return unlink(path) == 0 ? 0 : errno;
    if (depth > DEPTH_MAX)
        return ELOOP;
    int err = each_entry(path, remove_tree, &depth);
    if (err)
        return err;
    return rmdir(path) == 0 ? 0 : errno;
}

int bl_dav_remove(const char *path)
{
    int depth = 0;

    return remove_tree(path, &depth);
}

/* ------------------------------------------------------------- copying */

typedef struct copying {
    const char *from, *to;
    int depth;
    bool deep;
} copying;

static int copy_bytes(int from, int to)
{
    static char bytes[COPY_SIZE];

    for (;;) {
        ssize_t n = read(from, bytes, sizeof bytes);
        if (n <= 0)
            return n == 0 ? 0 : errno;
        for (ssize_t at = 0; at < n;) {
            ssize_t written = write(to, bytes + at, (size_t)(n - at));
            if (written < 0)
                return errno;
            at += written;
        }
    }
}

static int copy_file(const char *from, const char *to, const struct stat *st)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), err = 0;

    if (in < 0)
        return errno;
    unlink(to);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, st->st_mode & 0777);
    if (out < 0)
        err = errno;
    else
        err = copy_bytes(in, out);
    if (err == 0) {
        struct timespec times[] = {st->st_atim, st->st_mtim};
        futimens(out, times);
    }
    close(in);
    if (out >= 0 && close(out) != 0 && err == 0)
        err = errno;
    return err;
}

static int copy_tree(const char *from, const char *to, int depth, bool deep);

static int copy_entry(const char *entry, void *data)
{
    const copying *c = data;
    char to[PATH_MAX];

    if (snprintf(to, sizeof to, "%s%s", c->to, entry + strlen(c->from)) >= (int)sizeof to)
        return ENAMETOOLONG;
    return copy_tree(entry, to, c->depth + 1, c->deep);
}

static int copy_tree(const char *from, const char *to, int depth, bool deep)
{
    copying c = {from, to, depth, deep};
    struct stat st;

    if (stat(from, &st) != 0)
        return errno;
    if (!S_ISDIR(st.st_mode))
        return S_ISREG(st.st_mode) ? copy_file(from, to, &st) : 0;
    if (mkdir(to, st.st_mode & 0777) != 0 && errno != EEXIST)
        return errno;
    if (!deep)
        return 0;
    return depth > DEPTH_MAX ? ELOOP : each_entry(from, copy_entry, &c);
}

int bl_dav_copy(const char *from, const char *to, bool deep)
{
    return copy_tree(from, to, 0, deep);
}

/* ------------------------------------------------------------- the rest */

int bl_dav_move(const char *from, const char *to)
{
    if (rename(from, to) == 0)
        return 0;
    if (errno != EXDEV)
        return errno;
    int err = bl_dav_copy(from, to, true);
    return err ? err : bl_dav_remove(from);
}

/* The path without links, as far as it exists; what does not is behind it as it stands. False: it
 * is too long, or none of it can be found. */
static bool resolve(const char *path, char to[PATH_MAX])
{
    char front[PATH_MAX];
    size_t len = strlen(path), end = len;

    if (len >= sizeof front)
        return false;
    memcpy(front, path, len + 1);
    while (realpath(front, to) == NULL) {
        while (end > 0 && front[end - 1] == '/')
            end--;
        while (end > 0 && front[end - 1] != '/')
            end--;
        if (end == 0)
            return false;
        front[end] = '\0';
    }
    size_t known = strlen(to);
    if (end < len && known > 0 && to[known - 1] != '/')
        to[known++] = '/';
    if (known + (len - end) >= PATH_MAX)
        return false;
    memcpy(to + known, path + end, len - end + 1);
    known += len - end;
    while (known > 1 && to[known - 1] == '/')
        to[--known] = '\0';
    return true;
}

static bool is_in(const char *folder, const char *path)
{
    size_t len = strlen(folder);

    return strncmp(folder, path, len) == 0 &&
           (path[len] == '\0' || path[len] == '/' || folder[len - 1] == '/');
}

bool bl_dav_overlap(const char *from, const char *to)
{
    char real_from[PATH_MAX], real_to[PATH_MAX];

    if (!resolve(from, real_from) || !resolve(to, real_to))
        return false; /* what follows will fail and say why */
    return is_in(real_from, real_to) || is_in(real_to, real_from);
}

int bl_dav_make_way(char *path, mode_t mode)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int err = mkdir(path, mode) != 0 && errno != EEXIST ? errno : 0;
        *slash = '/';
        if (err)
            return err;
    }
    return 0;
}
