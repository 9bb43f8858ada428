#include "http/error_page.h"
#include "http/core_module.h"
#include "http/escape.h"
#include "http/subrequest.h"
#include "http/value.h"
#include "http/version.h"

enum {
    STATUS_FIRST = 100,
    STATUS_END = 520
};

static const bl_str lines[STATUS_END - STATUS_FIRST] = {
    [100 - STATUS_FIRST] = BL_STR_INIT("100 Continue"),
    [101 - STATUS_FIRST] = BL_STR_INIT("101 Switching Protocols"),
    [103 - STATUS_FIRST] = BL_STR_INIT("103 Early Hints"),
    [200 - STATUS_FIRST] = BL_STR_INIT("200 OK"),
    [201 - STATUS_FIRST] = BL_STR_INIT("201 Created"),
    [202 - STATUS_FIRST] = BL_STR_INIT("202 Accepted"),
    [204 - STATUS_FIRST] = BL_STR_INIT("204 No Content"),
    [206 - STATUS_FIRST] = BL_STR_INIT("206 Partial Content"),
    [300 - STATUS_FIRST] = BL_STR_INIT("300 Multiple Choices"),
    [301 - STATUS_FIRST] = BL_STR_INIT("301 Moved Permanently"),
    [302 - STATUS_FIRST] = BL_STR_INIT("302 Moved Temporarily"),
    [303 - STATUS_FIRST] = BL_STR_INIT("303 See Other"),
    [304 - STATUS_FIRST] = BL_STR_INIT("304 Not Modified"),
    [307 - STATUS_FIRST] = BL_STR_INIT("307 Temporary Redirect"),
    [308 - STATUS_FIRST] = BL_STR_INIT("308 Permanent Redirect"),
    [400 - STATUS_FIRST] = BL_STR_INIT("400 Bad Request"),
    [401 - STATUS_FIRST] = BL_STR_INIT("401 Unauthorized"),
    [402 - STATUS_FIRST] = BL_STR_INIT("402 Payment Required"),
    [403 - STATUS_FIRST] = BL_STR_INIT("403 Forbidden"),
    [404 - STATUS_FIRST] = BL_STR_INIT("404 Not Found"),
    [405 - STATUS_FIRST] = BL_STR_INIT("405 Not Allowed"),
    [406 - STATUS_FIRST] = BL_STR_INIT("406 Not Acceptable"),
    [407 - STATUS_FIRST] = BL_STR_INIT("407 Proxy Authentication Required"),
    [408 - STATUS_FIRST] = BL_STR_INIT("408 Request Time-out"),
    [409 - STATUS_FIRST] = BL_STR_INIT("409 Conflict"),
    [410 - STATUS_FIRST] = BL_STR_INIT("410 Gone"),
    [411 - STATUS_FIRST] = BL_STR_INIT("411 Length Required"),
    [412 - STATUS_FIRST] = BL_STR_INIT("412 Precondition Failed"),
    [413 - STATUS_FIRST] = BL_STR_INIT("413 Request Entity Too Large"),
    [414 - STATUS_FIRST] = BL_STR_INIT("414 Request-URI Too Large"),
    [415 - STATUS_FIRST] = BL_STR_INIT("415 Unsupported Media Type"),
    [416 - STATUS_FIRST] = BL_STR_INIT("416 Requested Range Not Satisfiable"),
    [417 - STATUS_FIRST] = BL_STR_INIT("417 Expectation Failed"),
    [421 - STATUS_FIRST] = BL_STR_INIT("421 Misdirected Request"),
    [422 - STATUS_FIRST] = BL_STR_INIT("422 Unprocessable Entity"),
    [423 - STATUS_FIRST] = BL_STR_INIT("423 Locked"),
    [424 - STATUS_FIRST] = BL_STR_INIT("424 Failed Dependency"),
    [426 - STATUS_FIRST] = BL_STR_INIT("426 Upgrade Required"),
    [428 - STATUS_FIRST] = BL_STR_INIT("428 Precondition Required"),
    [429 - STATUS_FIRST] = BL_STR_INIT("429 Too Many Requests"),
    [431 - STATUS_FIRST] = BL_STR_INIT("431 Request Header Fields Too Large"),
    [451 - STATUS_FIRST] = BL_STR_INIT("451 Unavailable For Legal Reasons"),
    [500 - STATUS_FIRST] = BL_STR_INIT("500 Internal Server Error"),
    [501 - STATUS_FIRST] = BL_STR_INIT("501 Not Implemented"),
    [502 - STATUS_FIRST] = BL_STR_INIT("502 Bad Gateway"),
    [503 - STATUS_FIRST] = BL_STR_INIT("503 Service Temporarily Unavailable"),
    [504 - STATUS_FIRST] = BL_STR_INIT("504 Gateway Time-out"),
    [505 - STATUS_FIRST] = BL_STR_INIT("505 HTTP Version Not Supported"),
    [507 - STATUS_FIRST] = BL_STR_INIT("507 Insufficient Storage"),
};

/* Statuses of our own that go out as 400, and what their page says. */
static const struct {
    int status;
    const char *title, *text;
} bad_requests[] = {
    {494, "400 Request Header Or Cookie Too Large", "Request Header Or Cookie Too Large"},
    {495, "400 The SSL certificate error", "The SSL certificate error"},
    {496, "400 No required SSL certificate was sent", "No required SSL certificate was sent"},
    {497, "400 The plain HTTP request was sent to HTTPS port",
     "The plain HTTP request was sent to HTTPS port"},
};

bl_str bl_status_line(int status)
{
    if (status < STATUS_FIRST || status >= STATUS_END)
        return BL_STR_NONE;
    return lines[status - STATUS_FIRST];
}

/* ------------------------------------------------------------- built-in pages */

static bl_str server_words(bl_request *r)
{
    switch (r->loc->core->server_tokens) {
    case BL_TOKENS_OFF:
        return BL_STR(BL_SERVER_NAME);
    case BL_TOKENS_BUILD:
        return BL_STR(BL_SERVER_BUILD);
    default:
        return BL_STR(BL_SERVER_VERSION);
    }
}

static bl_str page(bl_request *r, int status)
{
    bl_str line = status == 302 ? BL_STR("302 Found") : bl_status_line(status);

    for (size_t i = 0; i < BL_COUNTOF(bad_requests); i++) {
        if (bad_requests[i].status != status)
            continue;
        return bl_pool_printf(r->pool,
                              "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n"
                              "<center><h1>400 Bad Request</h1></center>\r\n"
                              "<center>%s</center>\r\n<hr><center>%s</center>\r\n"
                              "</body>\r\n</html>\r\n",
                              bad_requests[i].title, bad_requests[i].text, server_words(r).p);
    }
    if (line.p == NULL)
        return BL_STR_NONE;
    return bl_pool_printf(r->pool,
                          "<html>\r\n<head><title>%.*s</title></head>\r\n<body>\r\n"
                          "<center><h1>%.*s</h1></center>\r\n<hr><center>%s</center>\r\n"
                          "</body>\r\n</html>\r\n",
                          BL_STR_ARG(line), BL_STR_ARG(line), server_words(r).p);
}

/* Behind these nothing on the connection can be trusted, or its body is not going to be read. */
static bool ends_keepalive(int status)
{
    switch (status) {
    case 400:
    case 413:
    case 414:
    case 494:
    case 495:
    case 496:
    case 497:
    case 500:
    case 501:
        return true;
    default:
        return false;
    }
}

bl_step bl_error_page_builtin(bl_request *r, int status)
{
    int sent = status >= 494 && status <= 497 ? 400 : status;

    if (ends_keepalive(status))
        r->keepalive = false;
    r->error_status = r->out.status = sent;
    if (status == 204 || status == 304 || status < 200) {
        r->out.content_type = BL_STR_NONE;
        return bl_output_end(r);
    }
    bl_str body = status == 201 ? BL_STR_NONE : page(r, status);
    return bl_output_text(r, sent, body.len ? BL_STR("text/html") : BL_STR_NONE, body);
}

/* ------------------------------------------------------------- error_page */

static const bl_error_page_rule *find_rule(bl_request *r, int status)
{
    bl_array *rules = r->loc->core->error_pages;

    if (rules == NULL || (r->error_page && !r->loc->core->recursive_error_pages))
        return NULL;
    BL_ARRAY_EACH (bl_error_page_rule, rule, rules) {
        if (rule->status == status)
            return rule;
    }
    return NULL;
}

bool bl_error_page_leads_elsewhere(bl_request *r, int status)
{
    return find_rule(r, status) != NULL;
}

/* A location of another server: a redirect by 302, or by the 30x of "=30x". */
static bl_step redirect_out(bl_request *r, const bl_error_page_rule *rule, bl_str uri)
{
    int status = rule->overwrite;

    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
        status = 302;
    r->out.location = bl_escape_line(r->pool, uri);
    r->error_status = status;
    return bl_error_page_builtin(r, status);
}

static bl_step follow(bl_request *r, const bl_error_page_rule *rule, int status)
{
    bl_str uri = bl_value_eval(r, rule->uri), args = rule->args;

    r->error_page = true;
    r->error_status = rule->overwrite >= 0 ? rule->overwrite : status;
    if (rule->named)
        return bl_request_redirect_named(r, uri);
    if (uri.len == 0 || uri.p[0] != '/')
        return redirect_out(r, rule, uri);

    ssize_t question = bl_value_has_variables(rule->uri) ? bl_str_chr(uri, '?') : -1;
    if (question >= 0) {
        args = bl_str_of(uri.p + question + 1, uri.len - (size_t)question - 1);
        uri.len = (size_t)question;
    }
    if (r->method != BL_M_HEAD) {
        r->method = BL_M_GET;
        r->method_name = BL_STR("GET");
    }
    return bl_request_redirect(r, uri, args);
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bl_step bl_error_page(bl_request *r, int status)
{
    if (status == 444 || status == 499 || r->output.head_sent || r->output.failed)
        return BL_CLOSE;
    if (status == 408) { /* nobody waits for an answer to what it did not say in time */
        r->out.status = status;
        return BL_CLOSE;
    }
    r->error_status = status;
    /* What a handler had set for its own response does not go out with an error; where a redirect
     * leads to does, and what a challenge asks for. */
    bl_str location = is_redirect(status) ? r->out.location : BL_STR_NONE;
    if (r->output.begun)
        bl_output_reset(r);
    r->out.location = location;
    r->out.content_length = -1;
    r->out.last_modified = -1;
    r->out.etag = BL_STR_NONE;
    r->out.accept_ranges = false;
    r->out.status_line = BL_STR_NONE;
    r->out.content_type = BL_STR_NONE;
    if (r->head_only && r->method != BL_M_HEAD)
        r->head_only = false;

    if (r->sub && r->sub->bare) {
        r->out.status = status;
        return bl_output_end(r);
    }
    const bl_error_page_rule *rule = find_rule(r, status);
    if (rule)
        return follow(r, rule, status);
    return bl_error_page_builtin(r, status);
}
