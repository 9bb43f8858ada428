#include "os/daemon.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void bl_daemon_stdio(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_NOCTTY);
    while (fd >= 0 && fd < STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

bool bl_daemon(void)
{
    pid_t pid = fork();

    if (pid < 0)
        return false;
    if (pid > 0)
        _exit(0);
    if (setsid() < 0)
        return false;
    umask(0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return false;
    bool ok = dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0;
    if (null > STDERR_FILENO)
        close(null);
    return ok;
}
