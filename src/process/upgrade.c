#include "process/upgrade.h"
#include "event/listener.h"
#include "os/environ.h"
#include "os/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool bl_upgraded;

static bool describe(bl_listener *l, int fd, bl_pool *pool)
{
    socklen_t type_len = sizeof l->type;
    char text[BL_ADDR_TEXT];

    l->addr.len = sizeof l->addr - offsetof(bl_addr, sa);
    if (getsockname(fd, &l->addr.sa, &l->addr.len) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &l->type, &type_len) != 0) {
        bl_log_write(BL_LOG_CRIT, &bl_log_process, errno,
                     "getsockname() of the inherited socket #%d failed", fd);
        return false;
    }
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    l->fd = fd;
    l->worker = -1;
    bl_str shown = bl_str_of(text, bl_addr_text_port(&l->addr.sa, l->addr.len, text));
    l->text = bl_pool_str(pool, shown);
    return true;
}

static void inherit(bl_generation *g, bl_str number)
{
    int64_t fd = bl_str_to_int(number);

    if (fd < 0 || fd > INT32_MAX) {
        bl_log_write(BL_LOG_EMERG, &bl_log_process, 0,
                     "invalid socket number \"%.*s\" in NGINX environment variable, ignoring",
                     BL_STR_ARG(number));
        return;
    }
    bl_listener *l = BL_NEW(g->pool, bl_listener);
    if (describe(l, (int)fd, g->pool))
        bl_list_push(&g->listeners, &l->link);
}

bl_generation *bl_upgrade_inherited(void)
{
    const char *at = bl_environ_original(BL_STR("NGINX"));

    if (at == NULL)
        return NULL;
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "using inherited sockets from \"%s\"", at);
    bl_upgraded = true;
    bl_pool *pool = bl_pool_new();
    bl_generation *g = BL_NEW(pool, bl_generation);
    g->pool = pool;
    g->refs = 1;
    bl_list_init(&g->listeners);
    bl_list_init(&g->open_files);
    bl_list_init(&g->zones);
    bl_list_init(&g->thread_pools);
    for (size_t len; *at; at += len + (at[len] != '\0')) {
        len = strcspn(at, ";:");
        inherit(g, bl_str_of(at, len));
    }
    return g;
}

static char *socket_list(bl_generation *g, bl_pool *pool)
{
    bl_str list = BL_STR("NGINX=");

    BL_LIST_EACH (it, &g->listeners) {
        const bl_listener *l = BL_CONTAINER(it, bl_listener, link);
        if (l->fd >= 0)
            list = bl_pool_printf(pool, "%.*s%d;", BL_STR_ARG(list), l->fd);
    }
    return bl_pool_cstr(pool, list);
}

static void keep_over_exec(bl_generation *g)
{
    BL_LIST_EACH (it, &g->listeners) {
        const bl_listener *l = BL_CONTAINER(it, bl_listener, link);
        if (l->fd >= 0)
            fcntl(l->fd, F_SETFD, 0);
    }
}

static BL_NORETURN void run(bl_generation *g, char **argv, char **environment)
{
    keep_over_exec(g);
    bl_signal_release();
    execve(argv[0], argv, environment);
    bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "execve() failed while executing \"%s\"",
                 argv[0]);
    _exit(1);
}

pid_t bl_upgrade_start(bl_generation *g, char **argv)
{
    bl_pool *pool = bl_pool_new();
    char **environment = bl_environ_with(pool, socket_list(g, pool));

    bl_signal_hold();
    pid_t pid = fork();
    if (pid == 0)
        run(g, argv, environment);
    bl_signal_release();
    if (pid < 0)
        bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "fork() failed");
    else
        bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "start new binary process %d", (int)pid);
    bl_pool_free(pool);
    return pid;
}
