/* The events block. */
#include "event/cidr.h"
#include "event/listener.h"
#include "event/loop.h"
#include "process/core.h"

static bool read_events(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                        void *field BL_UNUSED)
{
    return bl_conf_apply(cf, node, &bl_main_modules, BL_IN_EVENTS, cf->settings, NULL);
}

static bool set_use(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                    void *field)
{
    static const char *const here[] = {
#ifdef __linux__
        "epoll",
#else
        "kqueue",
#endif
    };
    static const char *const others[] = {"select", "poll"};
    bl_str name = bl_conf_arg(node, 1);

    for (size_t i = 0; i < BL_COUNTOF(here); i++) {
        if (bl_str_eq(name, bl_str_c(here[i]))) {
            *(const char **)field = here[i];
            return true;
        }
    }
    for (size_t i = 0; i < BL_COUNTOF(others); i++) {
        if (bl_str_eq(name, bl_str_c(others[i]))) {
            bl_conf_warn(cf, node, 1, "\"%s\" is used in place of \"%s\"", here[0], others[i]);
            return true;
        }
    }
    return bl_conf_error(cf, node, 1, "invalid event type \"%.*s\"", BL_STR_ARG(name));
}

static bool add_names(bl_conf *cf, const bl_conf_node *node, bl_array *networks)
{
    bl_array *addrs = bl_array_new(cf->pool, sizeof(bl_addr));
    bl_str name = bl_conf_arg(node, 1);

    if (bl_str_chr(name, '/') >= 0 || !bl_addr_resolve_now(name, 0, addrs))
        return bl_conf_error(cf, node, 1, "host not found in debug_connection \"%.*s\"",
                             BL_STR_ARG(name));
    BL_ARRAY_EACH (bl_addr, addr, addrs) {
        bl_cidr one;
        if (bl_cidr_of(&addr->sa, &one))
            *(bl_cidr *)bl_array_push(networks) = one;
    }
    return true;
}

static bool add_debug(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                      void *field)
{
    bl_array **networks = field;
    bl_cidr one;

    if (*networks == NULL)
        *networks = bl_array_new(cf->pool, sizeof(bl_cidr));
    bl_cidr_result result = bl_cidr_parse(bl_conf_arg(node, 1), &one);
    if (result == BL_CIDR_INVALID)
        return add_names(cf, node, *networks);
    if (result == BL_CIDR_LOW_BITS)
        bl_conf_warn(cf, node, 1, "low address bits of %.*s are meaningless",
                     BL_STR_ARG(bl_conf_arg(node, 1)));
    *(bl_cidr *)bl_array_push(*networks) = one;
    return true;
}

static bool wants_debug(const struct sockaddr *peer)
{
    BL_ARRAY_EACH (bl_cidr, network, bl_events_of(bl_current)->debug_connection) {
        if (bl_cidr_match(network, peer))
            return true;
    }
    return false;
}

static bool start_worker(bl_generation *g)
{
    bl_listener_debug = bl_events_of(g)->debug_connection ? wants_debug : NULL;
    return true;
}

static bool some(bl_conf *cf, const bl_directive *d BL_UNUSED, const bl_conf_node *node,
                 void *field)
{
    int64_t n = *(int64_t *)field;

    return (n >= 1 && n <= 1 << 24) || bl_conf_invalid(cf, node, 1);
}

#define EVENTS(name, args, type, member, def, check)                                               \
    {                                                                                              \
        name, BL_IN_EVENTS, args, &type, BL_MAIN, offsetof(bl_events_settings, member), def, NULL, \
            NULL, check                                                                            \
    }

static const bl_directive directives[] = {
    {"events", BL_IN_MAIN, BL_TAKE_BLOCK | BL_TAKE0, &bl_type_action, BL_MAIN, 0, NULL, NULL,
     read_events, NULL},
    EVENTS("worker_connections", BL_TAKE1, bl_type_num, connections, "512", some),
    {"use", BL_IN_EVENTS, BL_TAKE1, &bl_type_action, BL_MAIN, offsetof(bl_events_settings, use),
     NULL, NULL, set_use, NULL},
    {"debug_connection", BL_IN_EVENTS, BL_TAKE1 | BL_REPEATS, &bl_type_action, BL_MAIN,
     offsetof(bl_events_settings, debug_connection), NULL, NULL, add_debug, NULL},
    EVENTS("multi_accept", BL_TAKE_FLAG, bl_type_flag, multi_accept, "off", NULL),
    EVENTS("accept_mutex", BL_TAKE_FLAG, bl_type_flag, accept_mutex, "off", NULL),
    EVENTS("accept_mutex_delay", BL_TAKE1, bl_type_msec, accept_mutex_delay, "500ms", NULL),
    EVENTS("epoll_events", BL_TAKE1, bl_type_num, events, "512", some),
    EVENTS("worker_aio_requests", BL_TAKE1, bl_type_num, aio_requests, "32", some),
    EVENTS("kqueue_changes", BL_TAKE1, bl_type_num, kqueue_changes, "512", some),
    EVENTS("kqueue_events", BL_TAKE1, bl_type_num, kqueue_events, "512", some),
    {0},
};

bl_module bl_events_module = {
    .name = "events",
    .directives = directives,
    .size = {sizeof(bl_events_settings)},
    .start_worker = start_worker,
};
