/* What is wrong with a configuration, and where. A message is nginx's line
 *
 *   bulan: [emerg] unknown directive "worker_procesess" in /etc/bulan/nginx.conf:3
 *
 * on stderr (while there is somebody to read it) and in the process's log; on stderr the line of
 * the file follows, with a caret under the word, and a hint where there is one:
 *
 *      3 | worker_procesess 4;
 *        | ^^^^^^^^^^^^^^^^
 *   did you mean "worker_processes"?
 *
 * Parser, loader and directive tables report through a bl_diag; tests give it an `emit` of their
 * own. */
#ifndef BL_CONF_DIAG_H
#define BL_CONF_DIAG_H

#include "conf/tree.h"
#include "core/log.h"

enum {
    BL_DIAG_MAX = 100, /* messages; the rest is only counted */
};

typedef struct bl_diag bl_diag;

struct bl_diag {
    int errors;
    int said;
    bl_str hint; /* for the next message */
    bl_pool *pool;
    /* `picture`: the lines below the message, each with its newline, or empty. */
    void (*emit)(bl_diag *diag, bl_log_level level, bl_str message, bl_str picture);
    void *data; /* of emit */
    bool to_stderr, to_log;
};

/* A word's place. `file` NULL: none; `line` 0: the file as a whole. */
typedef struct bl_diag_place {
    const bl_conf_file *file;
    int line, column;
} bl_diag_place;

static inline bl_diag_place bl_diag_node(const bl_conf_node *node, int word)
{
    const bl_conf_word *w = &node->words[word < node->count ? word : 0];

    return (bl_diag_place){node->file, w->line, w->column};
}

/* With the emit that writes to stderr and the process's log. */
void bl_diag_init(bl_diag *diag, bl_pool *pool);

/* Adds " in FILE:LINE" and says it. Levels below BL_LOG_WARN in number count as errors. */
void bl_diag_say(bl_diag *diag, bl_log_level level, bl_diag_place place, const char *format, ...)
    BL_PRINTF(4, 5);
void bl_diag_vsay(bl_diag *diag, bl_log_level level, bl_diag_place place, const char *format,
                  va_list args);

/* Keeps a hint for the next message. */
void bl_diag_hint(bl_diag *diag, const char *format, ...) BL_PRINTF(2, 3);

/* The source line with its caret, for tests and for emit. Empty without a line. */
bl_str bl_diag_picture(bl_pool *pool, bl_diag_place place);

#endif
