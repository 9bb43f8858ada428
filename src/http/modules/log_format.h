/* Formats of access-log lines: text with variables, escaped as the format asks. */
#ifndef BL_HTTP_MODULES_LOG_FORMAT_H
#define BL_HTTP_MODULES_LOG_FORMAT_H

#include "http/value.h"

typedef struct bl_log_format {
    bl_str name;
    const bl_value *value;
    enum {
        BL_LOG_FORMAT_TEXT, /* escape=default: \xHH; "-" for what has no value */
        BL_LOG_FORMAT_JSON,
        BL_LOG_FORMAT_NONE,
    } escape;
} bl_log_format;

/* Reads `log_format NAME [escape=…] TEXT …`. NULL after an error was reported. */
bl_log_format *bl_log_format_read(bl_conf *cf, const bl_conf_node *node);
/* The predefined "combined". */
bl_log_format *bl_log_format_combined(bl_conf *cf, const bl_conf_node *node);

/* The line of a request, with its newline (`newline`), in the request's pool. */
bl_str bl_log_format_line(bl_request *r, const bl_log_format *format, bool newline);

#endif
