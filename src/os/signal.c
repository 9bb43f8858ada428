#include "os/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const struct {
    int number;
    const char *name;
} handled[] = {
    {SIGHUP, "SIGHUP"},     {SIGQUIT, "SIGQUIT"}, {SIGTERM, "SIGTERM"},
    {SIGINT, "SIGINT"},     {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"},
    {SIGWINCH, "SIGWINCH"}, {SIGCHLD, "SIGCHLD"}, {SIGURG, "SIGURG"},
};

enum {
    NUMBERS = 65
};

static volatile sig_atomic_t pending[NUMBERS];
static volatile sig_atomic_t sender[NUMBERS];
static int wake[2] = {-1, -1};

void (*bl_signal_first)(int number);

static void note(int number, siginfo_t *info, void *context BL_UNUSED)
{
    int saved = errno;

    if (bl_signal_first)
        bl_signal_first(number);
    sender[number] = info ? info->si_pid : 0;
    pending[number] = 1;
    ssize_t ignored BL_UNUSED = write(wake[1], "", 1); /* full: it will wake up anyway */
    errno = saved;
}

/* Nothing to us, but the end of a process that has no handler; SIG_IGN would be inherited by
 * programs that are started. */
static void pass_over(int number BL_UNUSED)
{
}

static bool install(int restart)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction nothing = {.sa_handler = pass_over, .sa_flags = restart};

    for (size_t i = 0; i < BL_COUNTOF(handled); i++) {
        struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | restart};
        sigemptyset(&action.sa_mask);
        if (sigaction(handled[i].number, &action, NULL) != 0)
            return false;
    }
    return sigaction(SIGPIPE, &ignore, NULL) == 0 && sigaction(SIGSYS, &ignore, NULL) == 0 &&
           sigaction(SIGALRM, &nothing, NULL) == 0 && sigaction(SIGIO, &nothing, NULL) == 0 &&
           sigaction(SIGXFSZ, &nothing, NULL) == 0;
}

static void mask(int how)
{
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < BL_COUNTOF(handled); i++)
        sigaddset(&set, handled[i].number);
    sigprocmask(how, &set, NULL);
}

void bl_signal_hold(void)
{
    mask(SIG_BLOCK);
}

void bl_signal_release(void)
{
    mask(SIG_UNBLOCK);
}

void bl_signal_restart(bool restart)
{
    install(restart ? SA_RESTART : 0);
}

bool bl_signal_open(void)
{
    for (int i = 0; i < 2; i++) {
        if (wake[i] >= 0)
            close(wake[i]);
        wake[i] = -1;
    }
    if (pipe2(wake, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    for (int i = 0; i < NUMBERS; i++)
        pending[i] = 0;
    if (!install(SA_RESTART))
        return false;
    bl_signal_release();
    return true;
}

int bl_signal_fd(void)
{
    return wake[0];
}

void bl_signal_drain(void)
{
    char bytes[64];

    while (read(wake[0], bytes, sizeof bytes) == (ssize_t)sizeof bytes)
        ;
}

bool bl_signal_take(int number, pid_t *from)
{
    if (!pending[number])
        return false;
    pending[number] = 0;
    if (from)
        *from = sender[number];
    return true;
}

const char *bl_signal_name(int number)
{
    for (size_t i = 0; i < BL_COUNTOF(handled); i++) {
        if (handled[i].number == number)
            return handled[i].name;
    }
    return "signal";
}
