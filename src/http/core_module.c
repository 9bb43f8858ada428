#include "http/core_module.h"
#include "http/core_vars.h"
#include "http/error_page.h"
#include "http/http_block.h"
#include "http/location.h"
#include "http/mime.h"
#include "http/server.h"
#include "http/value.h"
#include "event/resolver.h"
#include "event/thread_pool.h"

static const bl_conf_word_value satisfy_words[] = {
    {"all", BL_SATISFY_ALL}, {"any", BL_SATISFY_ANY}, {NULL, 0}};
static const bl_conf_word_value tokens_words[] = {
    {"off", BL_TOKENS_OFF}, {"on", BL_TOKENS_ON}, {"build", BL_TOKENS_BUILD}, {NULL, 0}};
static const bl_conf_word_value ims_words[] = {
    {"off", BL_IMS_OFF}, {"exact", BL_IMS_EXACT}, {"before", BL_IMS_BEFORE}, {NULL, 0}};
static const bl_conf_word_value lingering_words[] = {
    {"off", BL_LINGERING_OFF}, {"on", BL_LINGERING_ON}, {"always", BL_LINGERING_ALWAYS}, {NULL, 0}};
static const bl_conf_word_value body_file_words[] = {
    {"off", BL_BODY_FILE_OFF}, {"on", BL_BODY_FILE_ON}, {"clean", BL_BODY_FILE_CLEAN}, {NULL, 0}};
static const bl_conf_word_value keepalive_disable_words[] = {
    {"none", BL_KEEPALIVE_DISABLE_NONE},
    {"msie6", BL_KEEPALIVE_DISABLE_MSIE6},
    {"safari", BL_KEEPALIVE_DISABLE_SAFARI},
    {NULL, 0}};

/* ------------------------------------------------------------- values of their own */

static bool read_root_or_alias(bl_conf *cf, const bl_conf_node *node, bl_root_setting *root,
                               bool alias)
{
    bl_str path = bl_conf_arg(node, 1);

    if (root->value != BL_UNSET_PTR)
        return bl_conf_error(cf, node, 0, "\"%s\" directive is duplicate%s",
                             alias ? "alias" : "root",
                             root->alias == alias ? "" : ", root or alias was given before");
    root->alias = alias;
    root->covers = 0;
    root->value = bl_value_compile(cf, node, 1, path);
    if (root->value == NULL)
        return false;
    root->path = root->value->constant ? bl_conf_path(cf, path, false) : path;
    if (!alias && root->path.len > 1 && root->path.p[root->path.len - 1] == '/')
        root->path.len--;
    return true;
}

static bool read_root(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    return read_root_or_alias(cf, node, field, false);
}

static bool read_alias(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                       void *field)
{
    const bl_location *loc = cf->block;

    if (loc->kind == BL_LOC_NAMED)
        return bl_conf_error(cf, node, 0,
                             "the \"alias\" directive cannot be used inside the named location");
    bl_root_setting *root = field;
    bool ok = read_root_or_alias(cf, node, root, true);
    root->covers = loc->kind == BL_LOC_REGEX ? BL_ALIAS_ALL : loc->name.len;
    return ok;
}

static bool read_keepalive_timeout(bl_conf *cf, const bl_directive *d BL_UNUSED,
                                   const bl_conf_node *node, void *field)
{
    bl_keepalive_setting *keepalive = field;

    keepalive->timeout = bl_conf_msec(bl_conf_arg(node, 1));
    if (keepalive->timeout < 0)
        return bl_conf_invalid(cf, node, 1);
    if (node->count == 2)
        return true;
    keepalive->header = bl_conf_sec(bl_conf_arg(node, 2));
    return keepalive->header >= 0 || bl_conf_invalid(cf, node, 2);
}

static bool read_error_log(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                           void *field)
{
    bl_log_targets **targets = field;

    if (*targets == BL_UNSET_PTR)
        *targets = NULL;
    return bl_conf_log_target(cf, node, targets);
}

static bool read_resolver(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                          void *field)
{
    bl_resolver **resolver = field;

    *resolver = bl_resolver_read(cf, node);
    return *resolver != NULL;
}

/* `internal` stands alone; "off" is the default's word. */
static bool read_internal(bl_conf *cf BL_UNUSED, const bl_directive *d BL_UNUSED,
                          const bl_conf_node *node, void *field)
{
    *(int *)field = node->count == 1;
    return true;
}

static bool read_directio(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                          void *field)
{
    int64_t *size = field;

    if (bl_str_eq(bl_conf_arg(node, 1), BL_STR("off"))) {
        *size = INT64_MAX;
        return true;
    }
    *size = bl_conf_off(bl_conf_arg(node, 1));
    return *size >= 0 || bl_conf_invalid(cf, node, 1);
}

static bool read_disable_symlinks(bl_conf *cf, const bl_directive *d BL_UNUSED,
                                  const bl_conf_node *node, void *field)
{
    static const struct {
        bl_str word;
        int mode;
    } modes[] = {{BL_STR_INIT("off"), BL_SYMLINKS_OFF},
                 {BL_STR_INIT("on"), BL_SYMLINKS_ON},
                 {BL_STR_INIT("if_not_owner"), BL_SYMLINKS_IF_NOT_OWNER}};
    bl_symlinks_setting *setting = field;
    size_t prefix = strlen("from="), i = 0;

    while (i < BL_COUNTOF(modes) && !bl_str_eq(bl_conf_arg(node, 1), modes[i].word))
        i++;
    if (i == BL_COUNTOF(modes))
        return bl_conf_invalid(cf, node, 1);
    *setting = (bl_symlinks_setting){.mode = modes[i].mode};
    if (node->count == 2)
        return true;
    bl_str from = bl_conf_arg(node, 2);
    if (from.len == prefix || !bl_str_starts(from, BL_STR("from=")))
        return bl_conf_invalid(cf, node, 2);
    if (setting->mode == BL_SYMLINKS_OFF)
        return bl_conf_error(cf, node, 2, "\"from=\" cannot be used with \"off\" parameter");
    setting->from = bl_value_compile(cf, node, 2, bl_str_of(from.p + prefix, from.len - prefix));
    return setting->from != NULL;
}

/* aio on | off | threads[=pool] */
static bool read_aio(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                     void *field)
{
    bl_str word = bl_conf_arg(node, 1), name = BL_STR("default");
    size_t prefix = strlen("threads=");
    bl_aio_setting **aio = field;

    *aio = NULL;
    if (bl_str_eq(word, BL_STR("off")))
        return true;
    if (word.len > prefix && bl_str_starts(word, BL_STR("threads=")))
        name = bl_str_of(word.p + prefix, word.len - prefix);
    else if (!bl_str_eq(word, BL_STR("on")) && !bl_str_eq(word, BL_STR("threads")))
        return bl_conf_invalid(cf, node, 1);
    *aio = BL_NEW(cf->pool, bl_aio_setting);
    (*aio)->name = bl_value_compile(cf, node, 1, name);
    if ((*aio)->name == NULL)
        return false;
    if ((*aio)->name->constant)
        (*aio)->pool = bl_thread_pool_named(cf, node, name);
    return true;
}

/* limit_except METHOD … { } : what is inside is for all other methods. */
static bool read_limit_except(bl_conf *cf, const bl_directive *d BL_UNUSED,
                              const bl_conf_node *node, void *field BL_UNUSED)
{
    bl_location *outer = cf->block;
    uint32_t methods = 0;

    for (int i = 1; i < node->count; i++) {
        uint32_t method = bl_method_of(bl_conf_arg(node, i));
        if (method == BL_M_UNKNOWN)
            return bl_conf_error(cf, node, i, "invalid method \"%.*s\"",
                                 BL_STR_ARG(bl_conf_arg(node, i)));
        methods |= method;
    }
    if (methods & BL_M_GET)
        methods |= BL_M_HEAD;
    outer->limit_except = (uint32_t)methods;
    outer->limit_except_loc = bl_location_pseudo(cf, node, BL_LOC_LIMIT_EXCEPT, BL_IN_LIMIT_EXCEPT);
    return outer->limit_except_loc != NULL;
}

/* "=", "=200": what an error_page entry makes of the status. */
static bool read_overwrite(bl_conf *cf, const bl_conf_node *node, int word, int *overwrite)
{
    bl_str text = bl_conf_arg(node, word);

    if (text.len == 1) {
        *overwrite = 0;
        return true;
    }
    *overwrite = (int)bl_str_to_int(bl_str_of(text.p + 1, text.len - 1));
    return *overwrite >= 0 || bl_conf_invalid(cf, node, word);
}

static bool read_error_page(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                            void *field)
{
    bl_array **rules = field;
    int last = node->count - 1, overwrite = -1, statuses = last;
    bl_str uri = bl_conf_arg(node, last), args = BL_STR_NONE;

    if (*rules == BL_UNSET_PTR)
        *rules = bl_array_new(cf->pool, sizeof(bl_error_page_rule));
    if (node->count > 3 && bl_str_starts(bl_conf_arg(node, last - 1), BL_STR("="))) {
        statuses = last - 1;
        if (!read_overwrite(cf, node, last - 1, &overwrite))
            return false;
    }
    bl_value *value = bl_value_compile(cf, node, last, uri);
    if (value == NULL)
        return false;
    ssize_t question = value->constant && uri.len && uri.p[0] == '/' ? bl_str_chr(uri, '?') : -1;
    if (question >= 0) {
        args = bl_str_of(uri.p + question + 1, uri.len - (size_t)question - 1);
        *value = bl_value_text(bl_str_of(uri.p, (size_t)question));
    }
    for (int i = 1; i < statuses; i++) {
        int64_t status = bl_str_to_int(bl_conf_arg(node, i));
        if (status < 300 || status > 599)
            return bl_conf_error(cf, node, i, "value \"%.*s\" must be between 300 and 599",
                                 BL_STR_ARG(bl_conf_arg(node, i)));
        if (status == 499)
            return bl_conf_error(cf, node, i, "value \"499\" can't be used here");
        bl_error_page_rule *rule = bl_array_push(*rules);
        *rule = (bl_error_page_rule){
            .status = (int)status, .overwrite = overwrite, .uri = value, .args = args};
        if (overwrite < 0 && status >= 494 && status <= 497)
            rule->overwrite = 400;
        rule->named = uri.len && uri.p[0] == '@';
    }
    return true;
}

static const bl_type type_root = {"path", sizeof(bl_root_setting), read_root};
static const bl_type type_alias = {"path", sizeof(bl_root_setting), read_alias};
static const bl_type type_keepalive = {"time [time]", sizeof(bl_keepalive_setting),
                                       read_keepalive_timeout};
static const bl_type type_error_page = {"code … [=[response]] uri", sizeof(bl_array *),
                                        read_error_page};
static const bl_type type_error_log = {"file [level]", sizeof(bl_log_targets *), read_error_log};
static const bl_type type_resolver = {"address … [parameter …]", sizeof(bl_resolver *),
                                      read_resolver};
static const bl_type type_directio = {"size | off", sizeof(int64_t), read_directio};
static const bl_type type_symlinks = {"off | on | if_not_owner [from=part]",
                                      sizeof(bl_symlinks_setting), read_disable_symlinks};
static const bl_type type_aio = {"on | off | threads[=pool]", sizeof(bl_aio_setting *), read_aio};
static const bl_type type_internal = {"", sizeof(int), read_internal};

#define LOC(name) BL_LOCATION, offsetof(bl_http_core_location, name)
#define SRV(name) BL_SERVER, offsetof(bl_http_core_server, name)
#define HTTP_SRV  (BL_IN_HTTP | BL_IN_SERVER)

// clang-format off
static const bl_directive directives[] = {
    {"server", BL_IN_HTTP, BL_TAKE0 | BL_TAKE_BLOCK | BL_REPEATS, &bl_type_action, .set = bl_server_read},
    {"listen", BL_IN_SERVER, BL_TAKE_1MORE | BL_REPEATS, &bl_type_action, .set = bl_server_listen},
    {"server_name", BL_IN_SERVER, BL_TAKE_1MORE | BL_REPEATS, &bl_type_action, .set = bl_server_names},
    {"location", BL_IN_SERVER | BL_IN_LOCATION, BL_TAKE12 | BL_TAKE_BLOCK | BL_REPEATS, &bl_type_action, .set = bl_location_read},
    {"limit_except", BL_IN_LOCATION, BL_TAKE_1MORE | BL_TAKE_BLOCK, &bl_type_action, .set = read_limit_except},

    {"server_names_hash_max_size", BL_IN_HTTP, BL_TAKE1, &bl_type_num, BL_MAIN, offsetof(bl_http_core_main, server_names_hash_max_size), "512"},
    {"server_names_hash_bucket_size", BL_IN_HTTP, BL_TAKE1, &bl_type_num, BL_MAIN, offsetof(bl_http_core_main, server_names_hash_bucket_size), "64"},
    {"variables_hash_max_size", BL_IN_HTTP, BL_TAKE1, &bl_type_num, BL_MAIN, offsetof(bl_http_core_main, variables_hash_max_size), "1024"},
    {"variables_hash_bucket_size", BL_IN_HTTP, BL_TAKE1, &bl_type_num, BL_MAIN, offsetof(bl_http_core_main, variables_hash_bucket_size), "64"},

    {"connection_pool_size", HTTP_SRV, BL_TAKE1, &bl_type_size, SRV(connection_pool_size), "512"},
    {"request_pool_size", HTTP_SRV, BL_TAKE1, &bl_type_size, SRV(request_pool_size), "4k"},
    {"client_header_timeout", HTTP_SRV, BL_TAKE1, &bl_type_msec, SRV(client_header_timeout), "60s"},
    {"client_header_buffer_size", HTTP_SRV, BL_TAKE1, &bl_type_size, SRV(client_header_buffer_size), "1k"},
    {"large_client_header_buffers", HTTP_SRV, BL_TAKE2, &bl_type_bufs, SRV(large_client_header_buffers), "4 8k"},
    {"max_headers", HTTP_SRV, BL_TAKE1, &bl_type_num, SRV(max_headers), "1000"},
    {"ignore_invalid_headers", HTTP_SRV, BL_TAKE_FLAG, &bl_type_flag, SRV(ignore_invalid_headers), "on"},
    {"merge_slashes", HTTP_SRV, BL_TAKE_FLAG, &bl_type_flag, SRV(merge_slashes), "on"},
    {"underscores_in_headers", HTTP_SRV, BL_TAKE_FLAG, &bl_type_flag, SRV(underscores_in_headers), "off"},

    {"types", BL_IN_HSL, BL_TAKE0 | BL_TAKE_BLOCK | BL_REPEATS, &bl_type_types, LOC(types)},
    {"types_hash_max_size", BL_IN_HSL, BL_TAKE1, &bl_type_num, LOC(types_hash_max_size), "1024"},
    {"types_hash_bucket_size", BL_IN_HSL, BL_TAKE1, &bl_type_num, LOC(types_hash_bucket_size), "64"},
    {"default_type", BL_IN_HSL, BL_TAKE1, &bl_type_str, LOC(default_type), "text/plain"},
    {"root", BL_IN_HSLI, BL_TAKE1 | BL_REPEATS, &type_root, LOC(root), "html"},
    {"alias", BL_IN_LOCATION, BL_TAKE1 | BL_REPEATS, &type_alias, LOC(root)},
    {"client_max_body_size", BL_IN_HSL, BL_TAKE1, &bl_type_off, LOC(client_max_body_size), "1m"},
    {"client_body_buffer_size", BL_IN_HSL, BL_TAKE1, &bl_type_size, LOC(client_body_buffer_size), "16k"},
    {"client_body_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, LOC(client_body_timeout), "60s"},
    {"client_body_temp_path", BL_IN_HSL, BL_TAKE1234, &bl_type_temp_path, LOC(client_body_temp_path), "client_body_temp"},
    {"client_body_in_file_only", BL_IN_HSL, BL_TAKE1, &bl_type_enum, LOC(client_body_in_file_only), "off", .arg = body_file_words},
    {"client_body_in_single_buffer", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(client_body_in_single_buffer), "off"},
    {"sendfile", BL_IN_HSLI, BL_TAKE_FLAG, &bl_type_flag, LOC(sendfile), "off"},
    {"sendfile_max_chunk", BL_IN_HSL, BL_TAKE1, &bl_type_size, LOC(sendfile_max_chunk), "2m"},
    {"subrequest_output_buffer_size", BL_IN_HSL, BL_TAKE1, &bl_type_size, LOC(subrequest_output_buffer_size), "4k"},
    {"aio", BL_IN_HSL, BL_TAKE1, &type_aio, LOC(aio), "off"},
    {"aio_write", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(aio_write), "off"},
    {"read_ahead", BL_IN_HSL, BL_TAKE1, &bl_type_size, LOC(read_ahead), "0"},
    {"directio", BL_IN_HSL, BL_TAKE1, &type_directio, LOC(directio), "off"},
    {"directio_alignment", BL_IN_HSL, BL_TAKE1, &bl_type_off, LOC(directio_alignment), "512"},
    {"tcp_nopush", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(tcp_nopush), "off"},
    {"tcp_nodelay", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(tcp_nodelay), "on"},
    {"send_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, LOC(send_timeout), "60s"},
    {"send_lowat", BL_IN_HSL, BL_TAKE1, &bl_type_size, LOC(send_lowat), "0"},
    {"postpone_output", BL_IN_HSL, BL_TAKE1, &bl_type_size, LOC(postpone_output), "1460"},
    {"limit_rate", BL_IN_HSLI, BL_TAKE1, &bl_type_value_size, LOC(limit_rate), "0"},
    {"limit_rate_after", BL_IN_HSLI, BL_TAKE1, &bl_type_value_size, LOC(limit_rate_after), "0"},
    {"keepalive_time", BL_IN_HSL, BL_TAKE1, &bl_type_msec, LOC(keepalive_time), "1h"},
    {"keepalive_timeout", BL_IN_HSL, BL_TAKE12, &type_keepalive, LOC(keepalive), "75s"},
    {"keepalive_min_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, LOC(keepalive_min_timeout), "0"},
    {"keepalive_requests", BL_IN_HSL, BL_TAKE1, &bl_type_num, LOC(keepalive_requests), "1000"},
    {"keepalive_disable", BL_IN_HSL, BL_TAKE12, &bl_type_bits, LOC(keepalive_disable), "msie6", .arg = keepalive_disable_words},
    {"satisfy", BL_IN_HSL, BL_TAKE1, &bl_type_enum, LOC(satisfy), "all", .arg = satisfy_words},
    {"auth_delay", BL_IN_HSL, BL_TAKE1, &bl_type_msec, LOC(auth_delay), "0"},
    {"internal", BL_IN_LOCATION, BL_TAKE0, &type_internal, LOC(internal), "off"},
    {"lingering_close", BL_IN_HSL, BL_TAKE1, &bl_type_enum, LOC(lingering_close), "on", .arg = lingering_words},
    {"lingering_time", BL_IN_HSL, BL_TAKE1, &bl_type_msec, LOC(lingering_time), "30s"},
    {"lingering_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, LOC(lingering_timeout), "5s"},
    {"reset_timedout_connection", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(reset_timedout_connection), "off"},
    {"absolute_redirect", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(absolute_redirect), "on"},
    {"server_name_in_redirect", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(server_name_in_redirect), "off"},
    {"port_in_redirect", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(port_in_redirect), "on"},
    {"msie_padding", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(msie_padding), "on"},
    {"msie_refresh", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(msie_refresh), "off"},
    {"log_not_found", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(log_not_found), "on"},
    {"log_subrequest", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(log_subrequest), "off"},
    {"recursive_error_pages", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(recursive_error_pages), "off"},
    {"server_tokens", BL_IN_HSL, BL_TAKE1, &bl_type_enum, LOC(server_tokens), "on", .arg = tokens_words},
    {"if_modified_since", BL_IN_HSL, BL_TAKE1, &bl_type_enum, LOC(if_modified_since), "exact", .arg = ims_words},
    {"max_ranges", BL_IN_HSL, BL_TAKE1, &bl_type_num, LOC(max_ranges), "2147483647"},
    {"chunked_transfer_encoding", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(chunked), "on"},
    {"etag", BL_IN_HSL, BL_TAKE_FLAG, &bl_type_flag, LOC(etag), "on"},
    {"early_hints", BL_IN_HSL, BL_TAKE_1MORE, &bl_type_values, LOC(early_hints)},
    {"error_page", BL_IN_HSLI, BL_TAKE_2MORE | BL_REPEATS, &type_error_page, LOC(error_pages)},
    {"error_log", BL_IN_HSL, BL_TAKE_1MORE | BL_REPEATS, &type_error_log, LOC(error_log)},
    {"output_buffers", BL_IN_HSL, BL_TAKE2, &bl_type_bufs, LOC(output_buffers), "2 32k"},
    {"resolver", BL_IN_HSL, BL_TAKE_1MORE, &type_resolver, LOC(resolver)},
    {"resolver_timeout", BL_IN_HSL, BL_TAKE1, &bl_type_msec, LOC(resolver_timeout), "30s"},
    {"disable_symlinks", BL_IN_HSL, BL_TAKE12, &type_symlinks, LOC(disable_symlinks), "off"},
    {0},
};
// clang-format on

static bool merge(bl_conf *cf, int level, void *parent, void *child)
{
    bl_http_core_location *outer = parent, *core = child;

    if (level != BL_LOCATION)
        return true;
    if (core->error_log == BL_UNSET_PTR || core->error_log == NULL)
        core->error_log = cf->generation->log;
    if (core->types == BL_UNSET_PTR || core->types == NULL)
        core->types = bl_mime_defaults(cf);
    if (core->sendfile_max_chunk == 0)
        core->sendfile_max_chunk = INT64_MAX;
    core->mime =
        outer && outer->types == core->types ? outer->mime : bl_mime_table_new(cf, core->types);
    return true;
}

static bool start_worker(bl_generation *generation BL_UNUSED)
{
    bl_request_describe_panics();
    return true;
}

static bool compile(bl_conf *cf BL_UNUSED, bl_location *loc)
{
    loc->internal = loc->core->internal;
    return true;
}

static const bl_http_module http = {.variables = bl_core_vars_define, .compile = compile};

bl_module bl_http_core_module = {
    .name = "http_core",
    .directives = directives,
    .size = {sizeof(bl_http_core_main), sizeof(bl_http_core_server), sizeof(bl_http_core_location)},
    .merge = merge,
    .start_worker = start_worker,
    .http = &http,
};
