#include "event/tls.h"

/* Without certificates every handshake is refused. */
void bl_tls_accept(bl_conn *c, bl_tls_server *server BL_UNUSED, bl_tls_select_fn select BL_UNUSED,
                   int64_t timeout_ms BL_UNUSED, void (*done)(bl_conn *c, bool ok))
{
    bl_log_write(BL_LOG_ERR, &c->log, 0, "no \"ssl_certificate\" is defined for the server");
    done(c, false);
}
