#include "core/log.h"
#include "core/time.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *const bl_log_level_names[] = {"",     "emerg",  "alert", "crit", "error",
                                          "warn", "notice", "info",  "debug"};

static bl_open_file stderr_file = {.fd = STDERR_FILENO};
static bl_log_target stderr_target = {.level = BL_LOG_NOTICE, .file = &stderr_file};
static const bl_log_targets stderr_targets = {.level = BL_LOG_NOTICE, .first = &stderr_target};

const bl_log_targets *const bl_log_stderr_targets = &stderr_targets;
bl_log bl_log_process = {.targets = &stderr_targets};
bool bl_log_to_stderr = false;
void (*bl_log_capture)(bl_log_level level, bl_str line);
volatile sig_atomic_t bl_log_in_handler;

int bl_log_level_of(bl_str name)
{
    for (int i = 1; i <= BL_LOG_DEBUG; i++) {
        if (bl_str_eq(name, bl_str_c(bl_log_level_names[i])))
            return i;
    }
    return -1;
}

char *bl_log_put(char *at, char *end, const char *format, ...)
{
    va_list args;

    if (at >= end)
        return at;
    va_start(args, format);
    int n = vsnprintf(at, (size_t)(end - at), format, args);
    va_end(args);
    return n < 0 ? at : BL_MIN(at + n, end - 1);
}

static void write_file(bl_log_target *t, bl_str line)
{
    if (t->disk_full == bl_clock_now.sec && t->disk_full != 0)
        return;
    ssize_t n = write(t->file->fd, line.p, line.len);
    t->disk_full = n < 0 && errno == ENOSPC ? bl_clock_now.sec : 0;
}

/* For somebody at a terminal: no date, no process id. `message` has its newline. */
static void write_terminal(bl_log_level level, bl_str message)
{
    char line[BL_LOG_MAX + 32];
    char *end = bl_log_put(line, line + sizeof line, "bulan: [%s] %.*s", bl_log_level_names[level],
                           BL_STR_ARG(message));
    ssize_t ignored BL_UNUSED = write(STDERR_FILENO, line, (size_t)(end - line));
}

/* `message`: the part of the line behind date, level and process. */
static void write_targets(bl_log_level level, const bl_log *log, bl_str line, bl_str message)
{
    bool said = false;

    for (bl_log_target *t = log->targets->first; t; t = t->next) {
        if (t->level < level && !log->debug)
            continue;
        if (t == &stderr_target) {
            write_terminal(level, message);
            said = true;
        } else if (t->write) {
            t->write(t, level, line);
        } else {
            write_file(t, line);
            said |= t->file->fd == STDERR_FILENO;
        }
    }
    if (bl_log_to_stderr && !said && level <= BL_LOG_WARN)
        write_terminal(level, message);
}

/* A line that is being written: `message` is what stands behind date, level and process. */
typedef struct draft {
    char text[BL_LOG_MAX], *at, *end, *message;
} draft;

static void draft_begin(draft *d, bl_log_level level, const bl_log *log)
{
    bl_str now = bl_clock_error_log();

    d->end = d->text + sizeof d->text - 1;
    d->at = bl_log_put(d->text, d->end, "%.*s [%s] %d#%ld: ", BL_STR_ARG(now),
                       bl_log_level_names[level], (int)getpid(), (long)syscall(SYS_gettid));
    d->message = d->at;
    if (log->connection)
        d->at = bl_log_put(d->at, d->end, "*%llu ", (unsigned long long)log->connection);
}

static void draft_finish(draft *d, bl_log_level level, const bl_log *log, int err)
{
    if (err)
        d->at = bl_log_put(d->at, d->end, " (%d: %s)", err, strerror(err));
    if (log->action)
        d->at = bl_log_put(d->at, d->end, " while %s", log->action);
    if (log->describe)
        d->at = log->describe(log->data, d->at, d->end);
    if (BL_UNLIKELY(bl_log_capture != NULL))
        bl_log_capture(level, bl_str_of(d->text, (size_t)(d->at - d->text)));
    *d->at++ = '\n';
    write_targets(level, log, bl_str_of(d->text, (size_t)(d->at - d->text)),
                  bl_str_of(d->message, (size_t)(d->at - d->message)));
}

void bl_log_vline(bl_log_level level, const bl_log *log, int err, const char *format, va_list args)
{
    int saved = errno;
    draft d;

    draft_begin(&d, level, log);
    int n = vsnprintf(d.at, (size_t)(d.end - d.at), format, args);
    d.at = n < 0 ? d.at : BL_MIN(d.at + n, d.end - 1);
    draft_finish(&d, level, log, err);
    errno = saved;
}

void bl_log_text(bl_log_level level, const bl_log *log, bl_str text)
{
    int saved = errno;
    draft d;

    draft_begin(&d, level, log);
    size_t len = BL_MIN(text.len, (size_t)(d.end - 1 - d.at));
    memcpy(d.at, text.p, len);
    d.at += len;
    draft_finish(&d, level, log, 0);
    errno = saved;
}

void bl_log_line(bl_log_level level, const bl_log *log, int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bl_log_vline(level, log, err, format, args);
    va_end(args);
}
