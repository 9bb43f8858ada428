/* What stands behind "syslog:" in error_log and access_log:
 * server=ADDRESS[,facility=NAME][,severity=NAME][,tag=WORD][,nohostname]. */
#ifndef BL_CONF_SYSLOG_H
#define BL_CONF_SYSLOG_H

#include "conf/conf.h"
#include "os/syslog.h"

/* Reads argument `word` of `node`, which begins with "syslog:". NULL after an error was reported.
 * The server's name is looked up at once. */
bl_syslog *bl_conf_syslog(bl_conf *cf, const bl_conf_node *node, int word);

#endif
