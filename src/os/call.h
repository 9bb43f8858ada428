/* The calls of the hot path. The C library's own are points where a thread can be cancelled, and as
 * soon as a process has two threads each of them pays for that twice, with locked instructions.
 * Nobody cancels threads here. Parameters and results are those of the functions of that name.
 *
 *   bl_call(number, a, b, c, d)   any call of the system; its fifth and sixth argument are 0 */
#ifndef BL_OS_CALL_H
#define BL_OS_CALL_H

#include <sys/socket.h>

#if defined(__linux__)

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)

static inline long bl_call(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = 0, r9 __asm__("r9") = 0;
    long result = number;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (__builtin_expect(result < 0, 0)) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

#else

static inline long bl_call(long number, long a, long b, long c, long d)
{
    return syscall(number, a, b, c, d, 0, 0);
}

#endif

static inline ssize_t bl_call_recv(int fd, void *to, size_t size, int flags)
{
    return bl_call(SYS_recvfrom, fd, (long)to, (long)size, flags);
}

static inline ssize_t bl_call_send(int fd, const void *bytes, size_t len, int flags)
{
    return bl_call(SYS_sendto, fd, (long)bytes, (long)len, flags);
}

static inline ssize_t bl_call_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return bl_call(SYS_sendmsg, fd, (long)message, flags, 0);
}

struct epoll_event;

static inline int bl_call_epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
#if defined(SYS_epoll_wait)
    return (int)bl_call(SYS_epoll_wait, fd, (long)events, max, timeout_ms);
#else
    return (int)bl_call(SYS_epoll_pwait, fd, (long)events, max, timeout_ms);
#endif
}

#else

static inline ssize_t bl_call_recv(int fd, void *to, size_t size, int flags)
{
    return recv(fd, to, size, flags);
}

static inline ssize_t bl_call_send(int fd, const void *bytes, size_t len, int flags)
{
    return send(fd, bytes, len, flags);
}

static inline ssize_t bl_call_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return sendmsg(fd, message, flags);
}

#endif

#endif
