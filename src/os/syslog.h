/* Messages to a syslog server (RFC 3164) over UDP or a unix datagram socket. A message that would
 * have to wait is lost: logging never blocks. */
#ifndef BL_OS_SYSLOG_H
#define BL_OS_SYSLOG_H

#include "core/str.h"

#include <sys/socket.h>

enum {
    BL_SYSLOG_TAG_MAX = 32,
};

typedef struct bl_syslog {
    struct sockaddr_storage addr;
    socklen_t addr_len;
    int facility; /* 0..23 */
    int severity; /* 0..7, of messages that have none of their own */
    char tag[BL_SYSLOG_TAG_MAX + 1];
    bool hostname;
    int fd;        /* -1: not connected; each process connects when it first sends */
    pid_t fd_of;   /* the process that opened fd */
    time_t failed; /* the second of the last failure, which was reported */
} bl_syslog;

/* Sends `text` as one message. Returns 0 or an errno. */
int bl_syslog_send(bl_syslog *to, int severity, bl_str text);

#endif
