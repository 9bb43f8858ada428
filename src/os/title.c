#include "os/title.h"
#include "core/mem.h"

#include <stdio.h>
#include <unistd.h>

extern char **environ;

/* The kernel shows the bytes where it put the arguments, and behind them the environment. */
static struct {
    char *start;
    size_t size;
} area;

static char *copy(const char *s)
{
    size_t size = strlen(s) + 1;

    return memcpy(bl_alloc(size), s, size);
}

static char **copy_all(char **strings)
{
    size_t count = 0;

    while (strings[count])
        count++;
    char **copies = bl_alloc(bl_size_mul(count + 1, sizeof *copies));
    for (size_t i = 0; i < count; i++)
        copies[i] = copy(strings[i]);
    copies[count] = NULL;
    return copies;
}

/* Extends the area over the strings that stand right behind it. */
static void measure(char **strings)
{
    for (int i = 0; strings[i]; i++) {
        if (strings[i] == area.start + area.size)
            area.size += strlen(strings[i]) + 1;
    }
}

char **bl_title_init(int argc, char **argv)
{
    if (argc < 1)
        return copy_all(argv);
    area.start = argv[0];
    measure(argv);
    measure(environ);
    environ = copy_all(environ);
    return copy_all(argv);
}

void bl_title_set(const char *format, ...)
{
    va_list args;

    if (area.size == 0)
        return;
    va_start(args, format);
    int n = vsnprintf(area.start, area.size, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : BL_MIN((size_t)n, area.size - 1);
    memset(area.start + used, 0, area.size - used);
}
