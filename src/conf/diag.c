#include "conf/diag.h"

#include <stdio.h>
#include <unistd.h>

enum {
    LINE_SHOWN = 160, /* bytes of a source line around the word */
};

static void write_stderr(bl_str text)
{
    ssize_t ignored BL_UNUSED = write(STDERR_FILENO, text.p, text.len);
}

static void emit_process(bl_diag *diag, bl_log_level level, bl_str message, bl_str picture)
{
    bool also_stderr = bl_log_to_stderr;

    bl_log_to_stderr = false;
    if (diag->to_log)
        bl_log_write(level, &bl_log_process, 0, "%.*s", BL_STR_ARG(message));
    bl_log_to_stderr = also_stderr;
    if (diag->to_stderr) {
        write_stderr(bl_pool_printf(diag->pool, "bulan: [%s] %.*s\n%.*s", bl_log_level_names[level],
                                    BL_STR_ARG(message), BL_STR_ARG(picture)));
    }
}

void bl_diag_init(bl_diag *diag, bl_pool *pool)
{
    *diag = (bl_diag){.pool = pool, .emit = emit_process, .to_stderr = true};
}

/* Line number `line` of the text, without its end; empty when there is none. */
static bl_str line_of(bl_str text, int line)
{
    char *at = text.p, *end = text.p + text.len;

    while (at < end && --line > 0) {
        char *eol = memchr(at, '\n', (size_t)(end - at));
        at = eol ? eol + 1 : end;
    }
    char *eol = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    return bl_str_of(at, (size_t)((eol ? eol : end) - at));
}

/* Length of the word that begins at `at`, on this line, as it stands in the file. */
static size_t word_length(bl_str line, size_t at)
{
    char quote = at < line.len && (line.p[at] == '"' || line.p[at] == '\'') ? line.p[at] : '\0';
    size_t i = at + (quote != '\0');

    for (; i < line.len; i++) {
        char c = line.p[i];
        if (c == '\\')
            i++;
        else if (quote && c == quote)
            return i + 1 - at;
        else if (!quote && (c == ' ' || c == '\t' || c == ';' || c == '{' || c == '\r'))
            break;
    }
    i = BL_MIN(i, line.len);
    return BL_MAX(i, at + 1) - at;
}

/* Bytes that begin a character, so that the caret stands right under UTF-8 too. */
static bool begins_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static char *put_carets(char *to, bl_str line, size_t from, size_t at, size_t width)
{
    for (size_t i = from; i < at; i++) {
        if (begins_character(line.p[i]))
            *to++ = line.p[i] == '\t' ? '\t' : ' ';
    }
    for (size_t i = at; i < at + width; i++) {
        if (i >= line.len || begins_character(line.p[i]))
            *to++ = '^';
    }
    return to;
}

bl_str bl_diag_picture(bl_pool *pool, bl_diag_place place)
{
    if (place.file == NULL || place.line <= 0 || place.column <= 0)
        return BL_STR_NONE;

    bl_str line = line_of(place.file->text, place.line);
    if (line.len > 0 && line.p[line.len - 1] == '\r')
        line.len--;
    size_t at = BL_MIN((size_t)place.column - 1, line.len);
    size_t from = at > LINE_SHOWN / 2 ? at - LINE_SHOWN / 2 : 0;
    size_t to = BL_MIN(line.len, from + LINE_SHOWN);
    size_t width = BL_MIN(word_length(line, at), BL_MAX(to, at + 1) - at);
    char number[16], marks[2 * LINE_SHOWN + 2];
    int digits = snprintf(number, sizeof number, "%5d", place.line);
    char *end = put_carets(marks, line, from, at, width);
    if (place.file->command_line)
        memset(number, ' ', (size_t)digits);

    return bl_pool_printf(pool, "%s | %.*s\n%*s | %.*s\n", number, (int)(to - from), line.p + from,
                          digits, "", (int)(end - marks), marks);
}

static bl_str with_place(bl_pool *pool, bl_str message, bl_diag_place place)
{
    if (place.file == NULL)
        return message;
    if (place.file->command_line || place.line <= 0)
        return bl_pool_printf(pool, "%.*s in %.*s", BL_STR_ARG(message),
                              BL_STR_ARG(place.file->path));
    return bl_pool_printf(pool, "%.*s in %.*s:%d", BL_STR_ARG(message),
                          BL_STR_ARG(place.file->path), place.line);
}

void bl_diag_vsay(bl_diag *diag, bl_log_level level, bl_diag_place place, const char *format,
                  va_list args)
{
    bl_str hint = diag->hint;

    diag->hint = BL_STR_NONE;
    diag->errors += level < BL_LOG_WARN;
    if (diag->said++ >= BL_DIAG_MAX)
        return;
    bl_str message = with_place(diag->pool, bl_pool_vprintf(diag->pool, format, args), place);
    bl_str picture = bl_diag_picture(diag->pool, place);
    if (hint.len)
        picture = bl_pool_printf(diag->pool, "%.*s%.*s\n", BL_STR_ARG(picture), BL_STR_ARG(hint));
    diag->emit(diag, level, message, picture);
}

void bl_diag_say(bl_diag *diag, bl_log_level level, bl_diag_place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bl_diag_vsay(diag, level, place, format, args);
    va_end(args);
}

void bl_diag_hint(bl_diag *diag, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    diag->hint = bl_pool_vprintf(diag->pool, format, args);
    va_end(args);
}
