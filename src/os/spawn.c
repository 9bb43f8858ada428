#include "os/spawn.h"
#include "os/affinity.h"
#include "os/call.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

extern char **environ;

/* ------------------------------------------------------------- in the child */

/* It shares our memory and stands on our stack: nothing but system calls here. */

/* Handlers go by themselves with execve, but until then would run in our memory. Past the C
 * library, which does not let go of two signals of its own, although others hand them on ignored.
 */
static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++) {
#ifdef __linux__
        static const unsigned long usual[8]; /* a struct sigaction of the kernel's: SIG_DFL */
        bl_call(SYS_rt_sigaction, number, (long)usual, 0, NSIG / 8);
#else
        struct sigaction usual = {.sa_handler = SIG_DFL};
        sigaction(number, &usual, NULL);
#endif
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool take_descriptors(const bl_spawn *s)
{
    for (int i = 0; i < 3; i++) {
        if (dup2(s->fds[i], i) < 0)
            return false;
    }
#ifdef __linux__
    /* Ours are closed by execve anyway; those of libraries may not be. */
    close_range(3, ~0U, 0);
#endif
    return true;
}

static const char *become(const bl_spawn *s)
{
    reset_signals();
    bl_affinity_reset();
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != s->parent) /* it has died before that */
        _exit(1);
#endif
    if (s->group)
        setpgid(0, 0);
    if (!take_descriptors(s))
        return "dup2()";
    if (s->directory && chdir(s->directory) != 0)
        return "chdir()";
    execvpe(s->args[0], s->args, s->environ ? s->environ : environ);
    return "execvp()";
}

/* ------------------------------------------------------------- in the parent */

/* Apart, since its frame is the child's, too. */
static __attribute__((noinline)) pid_t split(bl_spawn *volatile s)
{
    pid_t pid = vfork();

    if (pid != 0)
        return pid;
    s->failed = become(s);
    s->failure = errno;
    _exit(1);
}

pid_t bl_spawn_start(bl_spawn *s)
{
    sigset_t all, before;

    s->failed = NULL;
    s->failure = 0;
    s->parent = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = split(s);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return pid;
}

static bool lift(int *fd)
{
    if (*fd > 2)
        return true;
    int higher = fcntl(*fd, F_DUPFD_CLOEXEC, 3);
    if (higher < 0)
        return false;
    close(*fd);
    *fd = higher;
    return true;
}

bool bl_spawn_pipe(int fds[2], int ours)
{
    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    if (lift(&fds[0]) && lift(&fds[1]) && fcntl(fds[ours], F_SETFL, O_NONBLOCK) == 0)
        return true;
    int saved = errno;
    close(fds[0]);
    close(fds[1]);
    errno = saved;
    return false;
}
