/* The commands of echo, and the content handler that runs them.
 *
 * The commands of a location run in the order written. One that waits (a sleep, a subrequest, the
 * request's body) returns BL_WAIT; it wakes the request with BL_JUMP, which runs the content step
 * again, and the state says where it had come to. */
#include "http/modules/echo.h"
#include "core/time.h"
#include "http/body.h"
#include "http/core_module.h"
#include "http/mime.h"
#include "http/output.h"
#include "http/subrequest.h"
#include "http/variable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bl_echo_state *bl_echo_state_of(bl_request *r)
{
    bl_echo_state *s = bl_request_ctx(r, &bl_echo_module);

    if (s == NULL) {
        s = BL_NEW(r->pool, bl_echo_state);
        s->r = r;
        bl_request_set_ctx(r, &bl_echo_module, s);
    }
    return s;
}

static const bl_echo_settings *settings_of(bl_request *r)
{
    return BL_LOC_SETTINGS(r, bl_echo_module);
}

/* ------------------------------------------------------------- output */

static bl_status send_head(bl_request *r)
{
    if (r->output.begun)
        return bl_output_head(r);
    r->out.status = (int)settings_of(r)->status;
    r->out.content_type = bl_mime_of(r);
    return bl_output_head(r);
}

static bl_step say(bl_request *r, bl_str text)
{
    bl_chain chain;

    if (send_head(r) == BL_ERROR)
        return BL_CLOSE;
    if (text.len == 0)
        return BL_NEXT;
    bl_chain_init(&chain);
    bl_chain_push(&chain, bl_buf_ref(r->pool, text));
    return bl_output_body(r, &chain) == BL_ERROR ? BL_CLOSE : BL_NEXT;
}

bl_str bl_echo_text(bl_request *r, const bl_echo_command *c)
{
    bl_str *parts = BL_NEW_ARRAY(r->pool, bl_str, (size_t)c->count * 2 + 1);
    size_t count = 0;

    for (int i = 0; i < c->count; i++) {
        if (i)
            parts[count++] = BL_STR(" ");
        parts[count++] = bl_value_eval(r, c->args[i]);
    }
    if (!c->no_newline)
        parts[count++] = BL_STR("\n");
    return bl_pool_concat(r->pool, parts, count);
}

bl_step bl_echo_say(bl_request *r, const bl_echo_command *c)
{
    return say(r, bl_echo_text(r, c));
}

enum {
    DUPLICATE_PIECE = 4096,
};

bl_step bl_echo_duplicate(bl_request *r, const bl_echo_command *c)
{
    bl_str digits = bl_value_eval(r, c->args[0]), text = bl_value_eval(r, c->args[1]);
    char number[24];
    size_t len = 0;

    for (size_t i = 0; i < digits.len && len < sizeof number; i++) { /* 1_000 is 1000 */
        if (digits.p[i] != '_')
            number[len++] = digits.p[i];
    }
    int64_t times = bl_str_to_int(bl_str_of(number, len));
    if (times < 0) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "invalid size specified: \"%.*s\"", BL_STR_ARG(digits));
        return 500;
    }
    if (text.len == 0 || times == 0)
        return say(r, BL_STR_NONE);
    int64_t at_once = BL_MIN(times, (int64_t)BL_MAX(DUPLICATE_PIECE / text.len, 1u));
    char *piece = bl_pool_bytes(r->pool, (size_t)at_once * text.len), *to = piece;
    for (int64_t i = 0; i < at_once; i++)
        to = bl_str_put(to, text);
    for (; times > 0; times -= at_once) {
        at_once = BL_MIN(at_once, times);
        bl_step step = say(r, bl_str_of(piece, (size_t)at_once * text.len));
        if (step != BL_NEXT)
            return step;
    }
    return BL_NEXT;
}

/* ------------------------------------------------------------- waiting */

static bl_step wait(bl_echo_state *s)
{
    s->waiting = true;
    return BL_WAIT;
}

static void go_on(bl_request *r, bl_step step)
{
    bl_echo_state *s = bl_echo_state_of(r);

    s->waiting = false;
    bl_request_wake(r, step);
}

static void on_drained(bl_request *r, bl_status status)
{
    go_on(r, status == BL_OK ? BL_JUMP : BL_CLOSE);
}

bl_step bl_echo_flush(bl_request *r, const bl_echo_command *c BL_UNUSED)
{
    if (send_head(r) == BL_ERROR || bl_output_flush(r) == BL_ERROR)
        return BL_CLOSE;
    if (!r->output.codec_full)
        return BL_NEXT;
    bl_output_when_drained(r, on_drained);
    return wait(bl_echo_state_of(r));
}

static void on_slept(bl_timer *timer)
{
    go_on(BL_CONTAINER(timer, bl_echo_state, timer)->r, BL_JUMP);
}

static void stop_sleeping(bl_request *r)
{
    bl_timer_stop(&bl_echo_state_of(r)->timer);
    go_on(r, BL_CLOSE);
}

bl_step bl_echo_sleep(bl_request *r, const bl_echo_command *c)
{
    bl_echo_state *s = bl_echo_state_of(r);
    bl_str text = bl_value_eval_z(r, c->args[0]);
    char *end;
    double seconds = strtod(text.p, &end);

    if (end == text.p || *end != '\0' || !(seconds >= 0 && seconds < 1e9)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "invalid sleep duration \"%s\"", text.p);
        return 500;
    }
    s->timer.fire = on_slept;
    bl_timer_set(&s->timer, (uint64_t)(seconds * 1000 + 0.5));
    r->client_gone = stop_sleeping;
    return wait(s);
}

bl_step bl_echo_reset_timer(bl_request *r, const bl_echo_command *c BL_UNUSED)
{
    bl_clock_update();
    bl_echo_state_of(r)->timer_start = bl_now_ms();
    return BL_NEXT;
}

/* ------------------------------------------------------------- the request's body */

static void on_body(bl_request *r, bl_step step)
{
    go_on(r, step == BL_NEXT ? BL_JUMP : step);
}

bl_step bl_echo_read_body(bl_request *r, const bl_echo_command *c BL_UNUSED)
{
    bl_step step = bl_body_read(r, on_body);

    return step == BL_WAIT ? wait(bl_echo_state_of(r)) : step;
}

bl_step bl_echo_send_body(bl_request *r, const bl_echo_command *c BL_UNUSED)
{
    bl_chain chain;

    if (send_head(r) == BL_ERROR)
        return BL_CLOSE;
    bl_chain_init(&chain);
    for (const bl_buf *b = r->body.data.first; b; b = b->next) {
        if (bl_buf_len(b) == 0)
            continue;
        bl_buf *copy = bl_pool_alloc(r->pool, sizeof *copy);
        *copy = *b;
        copy->release = NULL;
        copy->eof = copy->flush = 0;
        bl_chain_push(&chain, copy);
    }
    if (bl_chain_empty(&chain))
        return BL_NEXT;
    return bl_output_body(r, &chain) == BL_ERROR ? BL_CLOSE : BL_NEXT;
}

/* ------------------------------------------------------------- subrequests */

static void on_subrequest_done(bl_request *sub)
{
    go_on(sub->parent, BL_JUMP);
}

static bl_step start(bl_request *r, const bl_echo_command *c, bl_subrequest_options *options)
{
    bl_echo_state *s = bl_echo_state_of(r);

    if (send_head(r) == BL_ERROR)
        return BL_CLOSE;
    options->share_vars = true;
    if (c->wait)
        options->done = on_subrequest_done;
    if (bl_subrequest_new(r, options) == NULL)
        return 500;
    return c->wait ? wait(s) : BL_NEXT;
}

static void split_args(bl_str *uri, bl_str *args)
{
    ssize_t question = bl_str_chr(*uri, '?');

    if (question < 0)
        return;
    *args = bl_str_of(uri->p + question + 1, uri->len - (size_t)question - 1);
    uri->len = (size_t)question;
}

bl_step bl_echo_location(bl_request *r, const bl_echo_command *c)
{
    bl_subrequest_options options = {.uri = bl_value_eval(r, c->args[0])};

    split_args(&options.uri, &options.args);
    if (c->count > 1)
        options.args = bl_value_eval(r, c->args[1]);
    if (options.uri.len == 0) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "echo: empty URI of a subrequest");
        return 500;
    }
    return start(r, c, &options);
}

/* The whole of a file; false: can't. */
static bool slurp(bl_request *r, bl_str path, bl_str *to)
{
    struct stat st;
    int fd = open(path.p, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0) {
        bl_log_write(BL_LOG_ERR, r->log, errno, "open() \"%s\" failed", path.p);
        if (fd >= 0)
            close(fd);
        return false;
    }
    to->p = bl_pool_bytes(r->pool, (size_t)st.st_size + 1);
    ssize_t n = pread(fd, to->p, (size_t)st.st_size, 0);
    to->len = n > 0 ? (size_t)n : 0;
    close(fd);
    return n >= 0;
}

static bl_str absolute(bl_request *r, bl_str path)
{
    bl_str parts[] = {r->http->generation->prefix, path};

    return path.len && path.p[0] == '/' ? path : bl_pool_concat(r->pool, parts, 2);
}

bl_step bl_echo_subrequest(bl_request *r, const bl_echo_command *c)
{
    bl_subrequest_options options = {.uri = bl_value_eval(r, c->args[0]),
                                     .method = bl_method_of(c->method),
                                     .method_name = c->method};
    bl_str body;

    split_args(&options.uri, &options.args);
    if (c->query)
        options.args = bl_value_eval(r, c->query);
    if (c->body) {
        body = bl_value_eval(r, c->body);
        options.body = &body;
    } else if (c->file) {
        if (!slurp(r, absolute(r, bl_value_eval_z(r, c->file)), &body))
            return 500;
        options.body = &body;
    }
    return start(r, c, &options);
}

bl_step bl_echo_exec(bl_request *r, const bl_echo_command *c)
{
    bl_str uri = bl_value_eval(r, c->args[0]), args = BL_STR_NONE;

    if (uri.len && uri.p[0] == '@')
        return bl_request_redirect_named(r, uri);
    split_args(&uri, &args);
    if (c->count > 1)
        args = bl_value_eval(r, c->args[1]);
    return bl_request_redirect(r, uri, args);
}

/* ------------------------------------------------------------- loops */

static bl_array *split(bl_request *r, bl_str text, bl_str delimiter)
{
    bl_array *items = bl_array_new(r->pool, sizeof(bl_str));

    while (text.len) {
        ssize_t at = delimiter.len ? bl_str_find(text, delimiter) : -1;
        size_t len = at < 0 ? text.len : (size_t)at, used = at < 0 ? len : len + delimiter.len;
        if (len)
            *(bl_str *)bl_array_push(items) = bl_str_of(text.p, len);
        text = bl_str_of(text.p + used, text.len - used);
    }
    return items;
}

bl_step bl_echo_foreach(bl_request *r, const bl_echo_command *c)
{
    bl_echo_state *s = bl_echo_state_of(r);
    bl_str delimiter = bl_value_eval(r, c->args[0]);

    s->items = split(r, bl_value_eval(r, c->args[1]), delimiter);
    s->item = 0;
    if (s->items->count == 0) {
        s->items = NULL;
        s->at = c->jump;
    }
    return BL_NEXT;
}

bl_step bl_echo_end(bl_request *r, const bl_echo_command *c)
{
    bl_echo_state *s = bl_echo_state_of(r);

    if (s->items == NULL)
        return BL_NEXT;
    if (++s->item < s->items->count)
        s->at = c->jump + 1;
    else
        s->items = NULL;
    return BL_NEXT;
}

/* ------------------------------------------------------------- the handler */

bl_step bl_echo_serve(bl_request *r)
{
    const bl_array *commands = &settings_of(r)->commands;
    bl_echo_state *s = bl_echo_state_of(r);

    BL_ASSERT(!s->waiting);
    while (s->at < (int)commands->count) {
        const bl_echo_command *c = bl_array_at(commands, (size_t)s->at++);
        bl_step step = c->run(r, c);
        if (step != BL_NEXT)
            return step;
    }
    if (send_head(r) == BL_ERROR)
        return BL_CLOSE;
    return bl_output_end(r);
}
