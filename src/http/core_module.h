/* Settings of http{}, server{} and location{} that belong to no feature module. */
#ifndef BL_HTTP_CORE_MODULE_H
#define BL_HTTP_CORE_MODULE_H

#include "http/body.h"
#include "http/http.h"

typedef struct bl_http_core_main {
    int64_t server_names_hash_max_size, server_names_hash_bucket_size;
    int64_t variables_hash_max_size, variables_hash_bucket_size;
} bl_http_core_main;

struct bl_http_core_server {
    int64_t connection_pool_size, request_pool_size;
    int64_t client_header_buffer_size;
    bl_bufs_setting large_client_header_buffers;
    int64_t client_header_timeout;
    int64_t max_headers;
    int ignore_invalid_headers, merge_slashes, underscores_in_headers;
    int allow_connect;
    bl_str server_name; /* the first name: $server_name */
};

enum {
    BL_SATISFY_ALL,
    BL_SATISFY_ANY
};
enum {
    BL_TOKENS_OFF,
    BL_TOKENS_ON,
    BL_TOKENS_BUILD
};
enum {
    BL_IMS_OFF,
    BL_IMS_EXACT,
    BL_IMS_BEFORE
};
enum {
    BL_LINGERING_OFF,
    BL_LINGERING_ON,
    BL_LINGERING_ALWAYS
};
enum {
    BL_SYMLINKS_OFF,
    BL_SYMLINKS_ON,
    BL_SYMLINKS_IF_NOT_OWNER
};
enum {
    BL_BODY_FILE_OFF,
    BL_BODY_FILE_ON,
    BL_BODY_FILE_CLEAN
};
enum {
    BL_KEEPALIVE_DISABLE_NONE = 1,
    BL_KEEPALIVE_DISABLE_MSIE6 = 2,
    BL_KEEPALIVE_DISABLE_SAFARI = 4
};

/* A MIME type by file name extension. */
typedef struct bl_mime_type {
    bl_str exten; /* lower case */
    bl_str type;
} bl_mime_type;

typedef struct bl_keepalive_setting {
    int64_t timeout; /* ms */
    int64_t header;  /* seconds of the Keep-Alive field; -1: none */
} bl_keepalive_setting;

typedef struct bl_symlinks_setting {
    int mode;       /* BL_SYMLINKS_… */
    bl_value *from; /* the front of the path that is not checked; NULL: none */
} bl_symlinks_setting;

/* Threads that read files. */
typedef struct bl_aio_setting {
    bl_value *name;              /* of the pool */
    struct bl_thread_pool *pool; /* NULL: the name has variables */
} bl_aio_setting;

#define BL_ALIAS_ALL SIZE_MAX

typedef struct bl_root_setting {
    bl_str path;     /* absolute, when constant */
    bl_value *value; /* with variables else */
    int alias;       /* path replaces the location's name instead of standing before the URI */
    size_t covers;   /* alias: length of that name; BL_ALIAS_ALL: of a regex, the whole URI */
} bl_root_setting;

struct bl_http_core_location {
    /* the hot ones first */
    bl_keepalive_setting keepalive;
    int64_t keepalive_requests, keepalive_time, keepalive_min_timeout;
    int64_t send_timeout, postpone_output, send_lowat;
    bl_value *limit_rate, *limit_rate_after;
    int server_tokens, tcp_nodelay, tcp_nopush, satisfy, lingering_close, log_subrequest;
    int internal;
    bl_array *error_pages; /* bl_error_page_rule */
    bl_array *early_hints; /* bl_value *: any of them true; NULL: none is */
    bl_array *types;       /* bl_mime_type */
    struct bl_mime_table *mime;
    bl_str default_type;
    bl_root_setting root;
    bl_log_targets *error_log;
    int64_t client_max_body_size, client_body_buffer_size, client_body_timeout;
    int client_body_in_file_only, client_body_in_single_buffer;
    bl_temp_path *client_body_temp_path;
    int64_t lingering_time, lingering_timeout, resolver_timeout, auth_delay;
    struct bl_resolver *resolver;
    bl_aio_setting *aio; /* NULL: off */
    int sendfile, aio_write, if_modified_since;
    int64_t sendfile_max_chunk, directio, directio_alignment, read_ahead, max_ranges;
    int64_t subrequest_output_buffer_size;
    int reset_timedout_connection, absolute_redirect, server_name_in_redirect, port_in_redirect;
    int msie_padding, msie_refresh, log_not_found, recursive_error_pages, chunked, etag;
    int keepalive_disable;
    bl_symlinks_setting disable_symlinks;
    bl_bufs_setting output_buffers;
    int64_t types_hash_max_size, types_hash_bucket_size;
};

extern bl_module bl_http_core_module;

static inline bl_http_core_server *bl_core_server(bl_server *server)
{
    return server->core;
}

#endif
