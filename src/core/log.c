#include "core/log.h"
#include "core/time.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

const char *const bl_log_level_names[] = {"stderr", "emerg",  "alert", "crit", "error",
                                          "warn",   "notice", "info",  "debug"};

static bl_open_file stderr_file = {.fd = STDERR_FILENO};
static bl_log_target stderr_target = {.level = BL_LOG_NOTICE, .file = &stderr_file};
static const bl_log_targets stderr_targets = {.level = BL_LOG_NOTICE, .first = &stderr_target};

const bl_log_targets *const bl_log_stderr_targets = &stderr_targets;
bl_log bl_log_process = {.targets = &stderr_targets};
bool bl_log_to_stderr = false;
void (*bl_log_capture)(bl_log_level level, bl_str line);

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

void bl_log_vline(bl_log_level level, const bl_log *log, int err, const char *format, va_list args)
{
    char line[BL_LOG_MAX], *end = line + sizeof line - 1, *at = line;
    int saved = errno;
    bl_str now = bl_clock_error_log();

    at = bl_log_put(at, end, "%.*s [%s] %d#%ld: ", BL_STR_ARG(now), bl_log_level_names[level],
                    (int)getpid(), (long)syscall(SYS_gettid));
    char *message = at;
    if (log->connection)
        at = bl_log_put(at, end, "*%llu ", (unsigned long long)log->connection);
    int n = vsnprintf(at, (size_t)(end - at), format, args);
    at = n < 0 ? at : BL_MIN(at + n, end - 1);
    if (err)
        at = bl_log_put(at, end, " (%d: %s)", err, strerror(err));
    if (log->action)
        at = bl_log_put(at, end, " while %s", log->action);
    if (log->describe)
        at = log->describe(log->data, at, end);
    if (BL_UNLIKELY(bl_log_capture != NULL))
        bl_log_capture(level, bl_str_of(line, (size_t)(at - line)));
    *at++ = '\n';
    write_targets(level, log, bl_str_of(line, (size_t)(at - line)),
                  bl_str_of(message, (size_t)(at - message)));
    errno = saved;
}

void bl_log_line(bl_log_level level, const bl_log *log, int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bl_log_vline(level, log, err, format, args);
    va_end(args);
}
