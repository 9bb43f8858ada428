/* The head of a request to an upstream.
 *
 * What a location says about fields (proxy_set_header, and what goes without saying) is compiled to
 * a program: runs of constant text, and fields with variables. Behind them come the client's
 * fields, but for those that the program has replaced: known ones are told by a bit, others by
 * name. */
#include "http/escape.h"
#include "http/modules/proxy.h"

enum {
    OPS_ON_STACK = 32
};

/* Constant text, or a field that is left out when its value is empty. */
typedef struct op {
    bl_str text; /* "Name: value\r\n", or "Name: " */
    bl_value *value;
    bool folded; /* the value has lines, as they are sent: $ssl_client_cert */
} op;

struct bl_proxy_program {
    op *ops;
    int count;
    uint64_t replaced; /* known fields of the client that are not passed on */
    bl_array others;   /* bl_header: names and hashes of others */
    bool own_length;   /* Content-Length or Transfer-Encoding is one of the fields */
    bl_str version;    /* " HTTP/1.1\r\n" */
};

/* ------------------------------------------------------------- proxy_set_header */

static bool read_field(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                       void *field)
{
    bl_array **fields = field;

    if (*fields == BL_UNSET_PTR)
        *fields = bl_array_new(cf->pool, sizeof(bl_proxy_field));
    bl_proxy_field *f = bl_array_push(*fields);
    f->name = bl_pool_str(cf->pool, bl_conf_arg(node, 1));
    f->value = bl_value_compile(cf, node, 2, bl_pool_str(cf->pool, bl_conf_arg(node, 2)));
    return f->value != NULL;
}

const bl_type bl_type_proxy_fields = {"field value", sizeof(bl_array *), read_field};

/* ------------------------------------------------------------- compiling */

typedef struct compiler {
    bl_conf *cf;
    const bl_proxy_location *conf;
    bl_proxy_program *program;
    bl_array ops; /* op */
} compiler;

static void replace(compiler *c, bl_str name)
{
    uint32_t hash = bl_header_hash(name);
    bl_header_id id = bl_header_identify(name, hash);

    if (id == BL_H_OTHER)
        *(bl_header *)bl_array_push(&c->program->others) = (bl_header){.name = name, .hash = hash};
    else
        c->program->replaced |= 1ull << id;
    if (id == BL_H_CONTENT_LENGTH || id == BL_H_TRANSFER_ENCODING)
        c->program->own_length = true;
}

static void add_text(compiler *c, bl_str name, bl_str value)
{
    op *last = c->ops.count ? (op *)c->ops.items + (c->ops.count - 1) : NULL;

    if (value.len == 0)
        return;
    if (last == NULL || last->value) {
        last = bl_array_push(&c->ops);
        last->text = BL_STR("");
    }
    last->text = bl_pool_printf(c->cf->pool, "%.*s%.*s: %.*s\r\n", BL_STR_ARG(last->text),
                                BL_STR_ARG(name), BL_STR_ARG(value));
}

/* $proxy_host of a constant URL is known by now. */
static bool is_proxy_host(const bl_value *v)
{
    return bl_str_eq(v->text, BL_STR("$proxy_host"));
}

static void add_field(compiler *c, bl_str name, bl_value *value)
{
    const bl_proxy_target *target = c->conf->target;

    replace(c, name);
    if (value->constant) {
        add_text(c, name, bl_escape_line(c->cf->pool, value->text));
    } else if (is_proxy_host(value) && target->url == NULL) {
        add_text(c, name, target->host_port);
    } else {
        op *o = bl_array_push(&c->ops);
        o->text = bl_pool_printf(c->cf->pool, "%.*s: ", BL_STR_ARG(name));
        o->value = value;
        o->folded = bl_str_eq(value->text, BL_STR("$ssl_client_cert"));
    }
}

static bool is_replaced(const compiler *c, bl_header_id id)
{
    return c->program->replaced >> id & 1;
}

/* What is said, and what is not passed on, when the configuration is silent. */
static bool add_defaults(compiler *c)
{
    static const bl_header_id dropped[] = {
        BL_H_CONNECTION,     BL_H_KEEP_ALIVE,       BL_H_TE, BL_H_EXPECT, BL_H_UPGRADE,
        BL_H_CONTENT_LENGTH, BL_H_TRANSFER_ENCODING};

    if (!is_replaced(c, BL_H_HOST)) {
        bl_value *host = bl_value_compile(c->cf, c->conf->target->node, 0, BL_STR("$proxy_host"));
        if (host == NULL)
            return false;
        add_field(c, BL_STR("Host"), host);
    }
    if (!is_replaced(c, BL_H_CONNECTION) && c->conf->http_version < 1001)
        add_text(c, BL_STR("Connection"), BL_STR("close"));
    for (size_t i = 0; i < BL_COUNTOF(dropped); i++)
        c->program->replaced |= 1ull << dropped[i];
    return true;
}

bool bl_proxy_compile(bl_conf *cf, bl_proxy_location *conf)
{
    compiler c = {.cf = cf, .conf = conf, .program = BL_NEW(cf->pool, bl_proxy_program)};

    bl_array_init(&c.ops, cf->pool, sizeof(op));
    bl_array_init(&c.program->others, cf->pool, sizeof(bl_header));
    BL_ARRAY_EACH (bl_proxy_field, f, conf->set_headers) {
        add_field(&c, f->name, f->value);
    }
    if (!add_defaults(&c))
        return false;
    c.program->ops = c.ops.items;
    c.program->count = (int)c.ops.count;
    c.program->version =
        conf->http_version >= 1001 ? BL_STR(" HTTP/1.1\r\n") : BL_STR(" HTTP/1.0\r\n");
    conf->program = c.program;
    return true;
}

/* ------------------------------------------------------------- building */

/* What goes into the head, found out before the room for it is taken. */
typedef struct draft {
    bl_upstream *u;
    const bl_proxy_program *program;
    bl_str method;
    bl_str values_on_stack[OPS_ON_STACK];
    bl_str *values;
    int64_t length; /* Content-Length; -1: none */
    bool chunked;
    size_t size;
} draft;

static void draft_body(draft *d, const bl_proxy *proxy)
{
    bl_upstream *u = d->u;
    bl_request *r = u->r;

    d->length = -1;
    if (BL_UNLIKELY(proxy->conf->set_body != NULL)) {
        bl_str text = bl_value_eval(r, proxy->conf->set_body);
        bl_chain *body = BL_NEW(r->pool, bl_chain);
        bl_chain_init(body);
        if (text.len)
            bl_chain_push(body, bl_buf_ref(r->pool, text));
        u->body = body;
        d->length = (int64_t)text.len;
    } else if (u->conf->pass_request_body) {
        d->chunked = u->stream_chunked;
        d->length = d->chunked ? -1 : r->body.length;
    }
}

static void draft_method(draft *d, const bl_proxy *proxy)
{
    d->method = d->u->r->method_name;
    if (BL_UNLIKELY(proxy->conf->method != NULL))
        d->method = bl_escape_line(d->u->r->pool, bl_value_eval(d->u->r, proxy->conf->method));
    d->u->sent_head_method = bl_str_eq(d->method, BL_STR("HEAD"));
}

static void draft_values(draft *d)
{
    const bl_proxy_program *p = d->program;

    d->values = p->count <= OPS_ON_STACK ? d->values_on_stack
                                         : BL_NEW_ARRAY(d->u->r->pool, bl_str, (size_t)p->count);
    for (int i = 0; i < p->count; i++) {
        d->size += p->ops[i].text.len;
        if (p->ops[i].value) {
            d->values[i] = bl_value_eval(d->u->r, p->ops[i].value);
            if (!p->ops[i].folded)
                d->values[i] = bl_escape_line(d->u->r->pool, d->values[i]);
            d->size += d->values[i].len + 2;
        }
    }
}

static bool is_passed(const bl_proxy_program *p, const bl_header *h)
{
    if (h->struck)
        return false;
    if (h->id != BL_H_OTHER)
        return !(p->replaced >> h->id & 1);
    BL_ARRAY_EACH (bl_header, other, &p->others) {
        if (other->hash == h->hash && bl_str_ieq(other->name, h->name))
            return false;
    }
    return true;
}

static void draft_client_fields(draft *d)
{
    if (!d->u->conf->pass_request_headers)
        return;
    for (const bl_header *h = d->u->r->in.first; h; h = h->next)
        d->size += h->name.len + h->value.len + 4;
}

static char *put_line(char *at, bl_str name, bl_str value)
{
    at = bl_str_put(at, name);
    *at++ = ':';
    *at++ = ' ';
    if (value.len)
        at = bl_str_put(at, value);
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

static char *put_program(const draft *d, char *at)
{
    const bl_proxy_program *p = d->program;

    for (int i = 0; i < p->count; i++) {
        const op *o = &p->ops[i];
        if (o->value && d->values[i].len == 0)
            continue;
        at = bl_str_put(at, o->text);
        if (o->value) {
            at = bl_str_put(at, d->values[i]);
            *at++ = '\r';
            *at++ = '\n';
        }
    }
    return at;
}

static char *put_framing(const draft *d, char *at)
{
    if (BL_LIKELY(d->length < 0 && !d->chunked) || d->program->own_length)
        return at;
    if (d->chunked)
        return bl_str_put(at, BL_STR("Transfer-Encoding: chunked\r\n"));
    at = bl_str_put(at, BL_STR("Content-Length: "));
    at = bl_u64_write(at, (uint64_t)d->length);
    return bl_str_put(at, BL_STR("\r\n"));
}

static char *put_client_fields(const draft *d, char *at)
{
    if (!d->u->conf->pass_request_headers)
        return at;
    for (const bl_header *h = d->u->r->in.first; h; h = h->next) {
        if (is_passed(d->program, h))
            at = put_line(at, h->name, h->value);
    }
    return at;
}

BL_HOT bl_step bl_proxy_build(bl_upstream *u)
{
    const bl_proxy *proxy = u->data;
    draft d = {.u = u, .program = proxy->conf->program};

    draft_body(&d, proxy);
    draft_method(&d, proxy);
    u->request_uri = bl_proxy_uri(u->r, proxy->target);
    if (u->request_uri.len == 0) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "zero length URI to proxy");
        return 500;
    }
    d.size = d.method.len + 1 + u->request_uri.len + d.program->version.len + 64;
    draft_values(&d);
    draft_client_fields(&d);

    bl_buf *b = u->request_memory = bl_buf_cached(d.size);
    char *at = bl_str_put(b->start, d.method);
    *at++ = ' ';
    at = bl_str_put(at, u->request_uri);
    at = bl_str_put(at, d.program->version);
    at = put_program(&d, at);
    at = put_framing(&d, at);
    at = put_client_fields(&d, at);
    at = bl_str_put(at, BL_STR("\r\n"));
    BL_ASSERT(at <= b->end);
    u->request_head = bl_str_of(b->start, (size_t)(at - b->start));
    return BL_NEXT;
}
