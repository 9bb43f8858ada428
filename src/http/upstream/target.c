#include "http/upstream/target.h"

bool bl_upstream_target_read(bl_conf *cf, const bl_conf_node *node, bl_upstream_target *to)
{
    bl_str text = bl_pool_str(cf->pool, bl_conf_arg(node, 1));
    bl_hostport hp;

    if (to->value)
        return bl_conf_error(cf, node, 0, "\"%.*s\" directive is duplicate",
                             BL_STR_ARG(bl_conf_arg(node, 0)));
    to->value = bl_value_compile(cf, node, 1, text);
    if (to->value == NULL || bl_value_has_variables(to->value))
        return to->value != NULL;
    const char *error = bl_hostport_parse(text, 0, &hp);
    if (error)
        return bl_conf_error(cf, node, 1, "%s in upstream \"%.*s\"", error, BL_STR_ARG(text));
    to->group = bl_upstream_group_for(cf, node, hp.is_unix ? text : hp.host,
                                      hp.is_unix || hp.port < 0 ? 0 : hp.port, 0);
    return to->group != NULL;
}

int bl_upstream_target_aim(bl_upstream *u, const bl_upstream_target *target)
{
    bl_hostport hp;

    u->group = target->group;
    if (u->group) {
        u->host = u->group->host;
        return 0;
    }
    bl_str text = bl_value_eval(u->r, target->value);
    const char *error = bl_hostport_parse(text, 0, &hp);
    if (error) {
        bl_log_write(BL_LOG_ERR, u->r->log, 0, "%s in upstream \"%.*s\"", error, BL_STR_ARG(text));
        return 500;
    }
    u->host = hp.is_unix ? text : hp.host;
    u->port = hp.is_unix || hp.port < 0 ? 0 : hp.port;
    u->group = bl_upstream_group_find(u->r->http, u->host, u->port, 0);
    if (u->group == NULL && hp.is_ip)
        u->choice.peers = bl_peers_of_addrs(u->r->pool, &hp.addr, 1, u->host);
    return 0;
}

void bl_upstream_target_settle(bl_upstream_settings *up)
{
    up->buffering = false;
    up->request_buffering = true;
    up->pass_request_body = true;
    up->buffers = (bl_bufs_setting){8, up->buffer_size};
    up->busy_buffers_size = 2 * up->buffer_size;
}
