#include "core/base.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void (*bl_panic_hook)(void);
bool bl_panic_stops;

void bl_panic(const char *file, int line, const char *function, const char *condition)
{
    static bool again;

    fprintf(stderr, "bulan: panic in process %d at %s:%d, %s(): %s\n", (int)getpid(), file, line,
            function, condition);
    if (bl_panic_hook && !again) {
        again = true;
        bl_panic_hook();
    }
    if (bl_panic_stops)
        raise(SIGSTOP);
    abort();
}
