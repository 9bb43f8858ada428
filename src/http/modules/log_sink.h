/* Where lines of access logs go: a file (shared by all access_log directives that name it), written
 * line by line or through a buffer, compressed if asked for. */
#ifndef BL_HTTP_MODULES_LOG_SINK_H
#define BL_HTTP_MODULES_LOG_SINK_H

#include "conf/conf.h"

typedef struct bl_log_sink bl_log_sink;

typedef struct bl_log_sink_options {
    int64_t buffer; /* bytes; 0: each line is written at once */
    int64_t flush;  /* ms until a buffered line is written; 0: when the buffer is full */
    int gzip;       /* level; 0: as text */
} bl_log_sink_options;

/* The sink of a file. NULL after an error was reported: the file has one with other options. */
bl_log_sink *bl_log_sink_of(bl_conf *cf, const bl_conf_node *node, bl_str path,
                            const bl_log_sink_options *options);
void bl_log_sink_write(bl_log_sink *sink, bl_str line);
/* Writes what is buffered: before a file is reopened, and at the end of a worker. */
void bl_log_sink_flush(bl_log_sink *sink);

/* One write to `fd`. A failure is said once a minute at most; *said and *full are the caller's
 * memory of it, 0 at first. */
void bl_log_sink_write_fd(int fd, const char *path, bl_str bytes, time_t *said, time_t *full);

#endif
