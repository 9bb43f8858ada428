/* How a location is found.
 *
 * Prefix and exact locations of one level stand in a radix tree over their bytes; a walk down along
 * the URI passes every prefix of it that is a location, and the last one passed is the longest.
 * Regex locations follow in the order written, unless the prefix said ^~. Nested locations are a
 * tree and a list of their own in the location around them, searched before the regexes around it.
 *
 *         ""
 *         └─ "/"  ─ loc "/"
 *             ├─ "api/" ─ loc "/api/"
 *             │    └─ "v2" ─ loc "/api/v2"
 *             └─ "img" ─ loc "/img"
 */
#include "http/location.h"
#include "http/core_module.h"
#include "http/escape.h"
#include "http/request.h"
#include "http/server.h"
#include "http/value.h"

#include <stdlib.h>

typedef struct node {
    bl_str edge;        /* bytes from the parent to here */
    bl_location *exact; /* location = … ending here */
    bl_location *prefix;
    struct node **children; /* sorted by the first byte of their edges */
    int count;
    uint8_t *index; /* first byte → 1 + child; only where there are many children */
} node;

struct bl_matcher {
    node *root;
    bl_location **regexes; /* in the order written */
    int regex_count;
    bl_location *all; /* "location /", if it is alone: whatever begins with a slash is in it */
};
typedef struct bl_matcher matcher;

enum {
    INDEX_FROM = 4
};

/* ------------------------------------------------------------- building */

static node *node_new(bl_pool *pool, bl_str edge)
{
    node *n = BL_NEW(pool, node);

    n->edge = edge;
    return n;
}

static size_t common_prefix(bl_str a, bl_str b)
{
    size_t n = 0, most = BL_MIN(a.len, b.len);

    while (n < most && a.p[n] == b.p[n])
        n++;
    return n;
}

static void add_child(bl_pool *pool, node *parent, node *child)
{
    node **children = BL_NEW_ARRAY(pool, node *, (size_t)parent->count + 1);
    int at = 0;

    while (at < parent->count &&
           (unsigned char)parent->children[at]->edge.p[0] < (unsigned char)child->edge.p[0])
        at++;
    if (at)
        memcpy(children, parent->children, sizeof *children * (size_t)at);
    children[at] = child;
    if (parent->count > at)
        memcpy(children + at + 1, parent->children + at,
               sizeof *children * (size_t)(parent->count - at));
    parent->children = children;
    parent->count++;
}

static int child_at(const node *n, unsigned char first)
{
    if (n->index)
        return n->index[first] - 1;
    for (int i = 0; i < n->count; i++) {
        if ((unsigned char)n->children[i]->edge.p[0] == first)
            return i;
    }
    return -1;
}

static node *split(bl_pool *pool, node *parent, int at, size_t len)
{
    node *below = parent->children[at];
    node *middle = node_new(pool, bl_str_of(below->edge.p, len));

    below->edge = bl_str_of(below->edge.p + len, below->edge.len - len);
    parent->children[at] = middle;
    add_child(pool, middle, below);
    return middle;
}

/* The node that stands for `name`, made if need be. */
static node *node_for(bl_pool *pool, node *n, bl_str name)
{
    while (name.len) {
        int at = child_at(n, (unsigned char)name.p[0]);
        if (at < 0) {
            node *leaf = node_new(pool, name);
            add_child(pool, n, leaf);
            return leaf;
        }
        size_t len = common_prefix(n->children[at]->edge, name);
        n = len < n->children[at]->edge.len ? split(pool, n, at, len) : n->children[at];
        name = bl_str_of(name.p + len, name.len - len);
    }
    return n;
}

static void index_nodes(bl_pool *pool, node *n)
{
    if (n->count >= INDEX_FROM) {
        n->index = bl_pool_zalloc(pool, 256);
        for (int i = 0; i < n->count; i++)
            n->index[(unsigned char)n->children[i]->edge.p[0]] = (uint8_t)BL_MIN(i + 1, 255);
    }
    for (int i = 0; i < n->count; i++)
        index_nodes(pool, n->children[i]);
}

static bool add_location(bl_conf *cf, matcher *m, bl_location *loc)
{
    if (loc->kind == BL_LOC_REGEX) {
        m->regexes[m->regex_count++] = loc;
        return true;
    }
    node *n = node_for(cf->pool, m->root, loc->name);
    bl_location **place = loc->kind == BL_LOC_EXACT ? &n->exact : &n->prefix;
    if (*place)
        return bl_conf_error(cf, loc->node, 0, "duplicate location \"%.*s\"",
                             BL_STR_ARG(loc->name));
    *place = loc;
    return true;
}

bl_matcher *bl_matcher_build(bl_conf *cf, bl_array *children)
{
    if (children->count == 0)
        return NULL;

    matcher *m = BL_NEW(cf->pool, matcher);
    m->root = node_new(cf->pool, BL_STR_NONE);
    m->regexes = BL_NEW_ARRAY(cf->pool, bl_location *, children->count);
    BL_ARRAY_EACH (bl_location *, loc, children) {
        if ((*loc)->kind == BL_LOC_PREFIX || (*loc)->kind == BL_LOC_EXACT ||
            (*loc)->kind == BL_LOC_REGEX)
            add_location(cf, m, *loc);
    }
    index_nodes(cf->pool, m->root);
    bl_location *first = *(bl_location **)children->items;
    if (children->count == 1 && first->kind == BL_LOC_PREFIX && bl_str_eq(first->name, BL_STR("/")))
        m->all = first;
    return m;
}

/* ------------------------------------------------------------- looking up */

typedef struct found {
    bl_location *loc;
    bool exact;
    bool slash; /* the URI lacks only the final slash of this auto_redirect location */
} found;

/* The location "/x/" at a node to which "/x" is redirected, or NULL. */
static bl_location *slash_location(const node *n)
{
    if (n->exact && n->exact->auto_redirect)
        return n->exact;
    return n->prefix && n->prefix->auto_redirect ? n->prefix : NULL;
}

/* Down along the URI; keeps the longest prefix passed, and an exact location at its very end. */
static found find_in_tree(const node *n, bl_str uri)
{
    found best = {0};

    for (;;) {
        if (uri.len == 0 && n->exact)
            return (found){.loc = n->exact, .exact = true};
        if (n->prefix) {
            best.loc = n->prefix;
            if (uri.len == 0 && n->prefix->kind == BL_LOC_PREFIX)
                best.exact = false;
        }
        int at = uri.len ? child_at(n, (unsigned char)uri.p[0]) : -1;
        if (uri.len == 0)
            at = child_at(n, '/');
        if (at < 0)
            return best;
        const node *child = n->children[at];
        if (uri.len == 0) {
            if (child->edge.len == 1 && slash_location(child))
                best = (found){.loc = slash_location(child), .slash = true};
            return best;
        }
        size_t len = common_prefix(child->edge, uri);
        if (len < child->edge.len) {
            if (len == uri.len && len + 1 == child->edge.len && child->edge.p[len] == '/' &&
                slash_location(child))
                best = (found){.loc = slash_location(child), .slash = true};
            return best;
        }
        uri = bl_str_of(uri.p + len, uri.len - len);
        n = child;
    }
}

static bl_location *find_regex(bl_request *r, const matcher *m, bool *failed)
{
    for (int i = 0; i < m->regex_count; i++) {
        int rc = bl_regex_use_match(r, m->regexes[i]->regex_use, r->uri);
        if (rc > 0)
            return m->regexes[i];
        if (rc < 0)
            *failed = true;
    }
    return NULL;
}

/* Searches one level and, inside what it finds, the nested ones. Sets r->loc. True: nothing around
 * may change that (an exact match, a regex, a redirect). */
static bool find_level(bl_request *r, const matcher *m, bool *slash, bool *failed)
{
    bool no_regex = false;

    if (m == NULL)
        return false;
    if (m->all && m->all->nested == NULL && r->uri.len && r->uri.p[0] == '/') {
        r->loc = m->all;
        return false;
    }
    found f = find_in_tree(m->root, r->uri);
    if (f.loc) {
        r->loc = f.loc;
        no_regex = f.loc->no_regex;
        if (f.slash) {
            *slash = true;
            return true;
        }
        if (f.exact)
            return true;
        if (find_level(r, f.loc->nested, slash, failed))
            return true;
    }
    if (no_regex || m->regex_count == 0)
        return false;
    bl_location *loc = find_regex(r, m, failed);
    if (loc == NULL)
        return false;
    r->loc = loc;
    find_level(r, loc->nested, slash, failed);
    return true;
}

void bl_location_enter(bl_request *r, bl_location *loc)
{
    r->loc = loc;
    if (loc->limit_except_loc && !(r->method & loc->limit_except))
        r->loc = loc->limit_except_loc;
    if (bl_request_is_main(r))
        r->conn->log.targets = r->loc->core->error_log;
}

/* A URI that lacks only the slash of its location. */
static bl_step redirect_to_slash(bl_request *r)
{
    bl_str parts[] = {bl_escape_uri(r->pool, r->loc->name, BL_ESCAPE_PATH), BL_STR("?"), r->args};

    r->out.location = bl_pool_concat(r->pool, parts, r->args.len ? 3 : 1);
    return 301;
}

bl_step bl_location_find(bl_request *r)
{
    bool slash = false, failed = false;

    r->content = NULL;
    r->rewritten = false;
    r->loc = r->server->loc;
    find_level(r, r->server->matcher, &slash, &failed);
    if (failed)
        return 500;
    if (!r->internal && r->loc->core->internal)
        return 404;
    bl_location_enter(r, r->loc);
    if (slash)
        return redirect_to_slash(r);
    int64_t most = r->loc->core->client_max_body_size;
    if (r->body.length > 0 && most > 0 && r->body.length > most && !r->body.discarded &&
        bl_request_is_main(r)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "client intended to send too large body: %lld bytes",
                     (long long)r->body.length);
        r->body.expected = r->expect_100 = false;
        r->lingering = true;
        return 413;
    }
    r->at = r->loc->program;
    while (r->at->phase <= BL_PHASE_FIND_LOCATION) /* no location matches: the server itself */
        r->at++;
    return BL_JUMP;
}

bl_location *bl_location_named(bl_server *server, bl_str name)
{
    BL_ARRAY_EACH (bl_location *, loc, &server->named) {
        if (bl_str_eq((*loc)->name, name))
            return *loc;
    }
    return NULL;
}
