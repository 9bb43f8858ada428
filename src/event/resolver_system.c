#include "event/resolver_system.h"
#include "core/time.h"
#include "os/slurp.h"

#include <stdlib.h>
#include <sys/stat.h>

enum {
    FILE_MAX = 4 * 1024 * 1024,
    SERVERS_MAX = 8,
    SEARCH_MAX = 16,
    NDOTS_MAX = 15,
    PORT = 53,
    LOOK_AGAIN_MS = 1000,
};

static const char *path_of(const char *variable, const char *usual)
{
    const char *path = getenv(variable);

    return path ? path : usual;
}

/* ------------------------------------------------------------- lines of words */

static bool next_line(bl_str *text, bl_str *line)
{
    if (text->len == 0)
        return false;
    ssize_t lf = bl_str_chr(*text, '\n');
    size_t len = lf < 0 ? text->len : (size_t)lf;
    *line = bl_str_of(text->p, len);
    len += lf >= 0;
    *text = bl_str_of(text->p + len, text->len - len);
    return true;
}

static bool is_blank(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r';
}

static bool next_word(bl_str *line, bl_str *word)
{
    size_t i = 0, from;

    while (i < line->len && is_blank(line->p[i]))
        i++;
    if (i == line->len || line->p[i] == '#' || line->p[i] == ';')
        return false;
    for (from = i; i < line->len && !is_blank(line->p[i]);)
        i++;
    *word = bl_str_of(line->p + from, i - from);
    *line = bl_str_of(line->p + i, line->len - i);
    return true;
}

/* ------------------------------------------------------------- resolv.conf */

static void add_server(bl_str word, bl_resolver_system_conf *to)
{
    bl_addr addr;

    if (to->servers.count >= SERVERS_MAX || !bl_addr_parse_ip(word, &addr))
        return;
    bl_addr_set_port(&addr.sa, PORT);
    *(bl_addr *)bl_array_push(&to->servers) = addr;
}

static void add_search(bl_pool *pool, bl_str word, bl_resolver_system_conf *to)
{
    while (word.len && word.p[word.len - 1] == '.')
        word.len--;
    if (word.len && to->search.count < SEARCH_MAX)
        *(bl_str *)bl_array_push(&to->search) = bl_pool_str(pool, word);
}

static void use_option(bl_str word, bl_resolver_system_conf *to)
{
    if (!bl_str_starts(word, BL_STR("ndots:")))
        return;
    int64_t n = bl_str_to_int(bl_str_of(word.p + 6, word.len - 6));
    if (n >= 0)
        to->ndots = (int)BL_MIN(n, NDOTS_MAX);
}

static void use_line(bl_pool *pool, bl_str line, bl_resolver_system_conf *to)
{
    bl_str key, word;

    if (!next_word(&line, &key))
        return;
    bool search = bl_str_eq(key, BL_STR("search")) || bl_str_eq(key, BL_STR("domain"));
    if (search)
        to->search.count = 0; /* the last line counts */
    while (next_word(&line, &word)) {
        if (search)
            add_search(pool, word, to);
        else if (bl_str_eq(key, BL_STR("nameserver")))
            add_server(word, to);
        else if (bl_str_eq(key, BL_STR("options")))
            use_option(word, to);
    }
}

void bl_resolver_system_parse(bl_pool *pool, bl_str text, bl_resolver_system_conf *to)
{
    bl_str line;

    bl_array_init(&to->servers, pool, sizeof(bl_addr));
    bl_array_init(&to->search, pool, sizeof(bl_str));
    to->ndots = 1;
    while (next_line(&text, &line))
        use_line(pool, line, to);
    if (to->servers.count == 0)
        add_server(BL_STR("127.0.0.1"), to);
}

void bl_resolver_system_read(bl_pool *pool, bl_resolver_system_conf *to)
{
    bl_str text = BL_STR_NONE;

    if (bl_slurp(pool, path_of("BL_RESOLV_CONF", "/etc/resolv.conf"), FILE_MAX, &text) != 0)
        text = BL_STR_NONE;
    bl_resolver_system_parse(pool, text, to);
}

/* ------------------------------------------------------------- hosts */

typedef struct host {
    uint32_t hash;
    bl_str name;
    bl_addr addr;
} host;

static struct {
    bl_pool *pool;
    bl_array hosts;   /* host */
    bl_array answers; /* bl_addr */
    struct timespec changed;
    off_t size;
    uint64_t look_again;
} file;

static void add_host(bl_str name, const bl_addr *addr)
{
    host *h = bl_array_push(&file.hosts);
    char *lower = bl_pool_bytes(file.pool, name.len);

    bl_str_lower(lower, name);
    h->name = bl_str_of(lower, name.len);
    h->hash = bl_hash(lower, name.len);
    h->addr = *addr;
}

static void parse_hosts(bl_str text)
{
    bl_str line, word;
    bl_addr addr;

    while (next_line(&text, &line)) {
        if (!next_word(&line, &word) || !bl_addr_parse_ip(word, &addr))
            continue;
        while (next_word(&line, &word))
            add_host(word, &addr);
    }
}

static void read_hosts(const char *path)
{
    bl_str text;

    if (file.pool)
        bl_pool_free(file.pool);
    file.pool = bl_pool_new();
    bl_array_init(&file.hosts, file.pool, sizeof(host));
    bl_array_init(&file.answers, file.pool, sizeof(bl_addr));
    if (bl_slurp(file.pool, path, FILE_MAX, &text) == 0)
        parse_hosts(text);
}

/* A look at the file's date, at most once a second. */
static void refresh(void)
{
    const char *path = path_of("BL_HOSTS", "/etc/hosts");
    struct stat now = {0};

    if (file.pool && bl_now_ms() < file.look_again)
        return;
    file.look_again = bl_now_ms() + LOOK_AGAIN_MS;
    bool there = stat(path, &now) == 0;
    if (file.pool &&
        (!there || (now.st_mtim.tv_sec == file.changed.tv_sec &&
                    now.st_mtim.tv_nsec == file.changed.tv_nsec && now.st_size == file.size)))
        return;
    file.changed = now.st_mtim;
    file.size = now.st_size;
    read_hosts(path);
}

uint32_t bl_resolver_system_hosts(bl_str name, const bl_addr **addrs)
{
    uint32_t hash = bl_hash(name.p, name.len);

    refresh();
    file.answers.count = 0;
    BL_ARRAY_EACH (host, h, &file.hosts) {
        if (h->hash == hash && bl_str_eq(h->name, name))
            *(bl_addr *)bl_array_push(&file.answers) = h->addr;
    }
    *addrs = bl_array_items(&file.answers);
    return file.answers.count;
}
