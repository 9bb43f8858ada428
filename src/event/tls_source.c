#include "event/tls_source.h"
#include "conf/generation.h"
#include "core/mem.h"

#include <openssl/err.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    TEXT_MAX = 16 * 1024 * 1024,
};

typedef struct source {
    struct source *next;
    uint64_t generation; /* that has read it, by number */
    bool regular;        /* a file; else perhaps a FIFO, which gives its bytes once */
    dev_t device;
    ino_t inode;
    time_t modified;
    size_t len;
    char *text;
    char path[];
} source;

static source *sources;

static void drop(source **at)
{
    source *s = *at;

    *at = s->next;
    OPENSSL_cleanse(s->text, s->len);
    bl_free(s->text);
    bl_free(s);
}

void bl_tls_source_done(bool keep)
{
    while (!keep && sources)
        drop(&sources);
}

/* OpenSSL reads it, so that its errors are those that users know. */
static bool read_all(BIO *file, char **text, size_t *len)
{
    size_t size = 4096;
    int n;

    *text = bl_alloc(size);
    *len = 0;
    while ((n = BIO_read(file, *text + *len, (int)(size - *len))) > 0) {
        *len += (size_t)n;
        if (*len < size)
            continue;
        if (size >= TEXT_MAX)
            break;
        char *larger = bl_alloc(size * 2);
        memcpy(larger, *text, *len);
        OPENSSL_cleanse(*text, *len);
        bl_free(*text);
        *text = larger;
        size *= 2;
    }
    return *len < TEXT_MAX;
}

static bool is_current(const source *s, const bl_conf *cf)
{
    struct stat st;

    if (!s->regular)
        return s->generation == cf->generation->number;
    return stat(s->path, &st) == 0 && st.st_dev == s->device && st.st_ino == s->inode &&
           st.st_mtime == s->modified;
}

static source *find(bl_conf *cf, const char *path)
{
    source **at = &sources;

    while (*at && strcmp((*at)->path, path) != 0)
        at = &(*at)->next;
    if (*at && !is_current(*at, cf))
        drop(at);
    return *at;
}

static source *add(bl_conf *cf, const char *path)
{
    BIO *file = BIO_new_file(path, "r");
    size_t len = strlen(path) + 1;
    struct stat st;

    if (file == NULL || stat(path, &st) != 0) {
        BIO_free(file);
        return NULL;
    }
    source *s = bl_zalloc(sizeof *s + len);
    memcpy(s->path, path, len);
    s->device = st.st_dev;
    s->inode = st.st_ino;
    s->modified = st.st_mtime;
    s->generation = cf->generation->number;
    s->regular = S_ISREG(st.st_mode);
    s->next = sources;
    sources = s;
    if (!read_all(file, &s->text, &s->len))
        drop(&sources);
    BIO_free(file);
    return sources == s ? s : NULL;
}

BIO *bl_tls_source_open(bl_conf *cf, bl_str text)
{
    char path[4096];

    ERR_clear_error();
    if (bl_str_starts(text, BL_STR("data:")))
        return text.len > INT32_MAX ? NULL : BIO_new_mem_buf(text.p + 5, (int)(text.len - 5));
    if (text.len >= sizeof path)
        return NULL;
    memcpy(path, text.p, text.len);
    path[text.len] = '\0';
    if (cf == NULL)
        return BIO_new_file(path, "r");
    const source *s = find(cf, path);
    if (s == NULL)
        s = add(cf, path);
    return s ? BIO_new_mem_buf(s->text, (int)s->len) : NULL;
}
