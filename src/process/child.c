#include "process/child.h"
#include "core/mem.h"
#include "core/time.h"
#include "os/signal.h"
#include "process/stats.h"
#include "process/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

bl_link bl_children = {&bl_children, &bl_children};

/* In the child: what the master kept about its brothers. */
static void forget_all(void)
{
    while (!bl_list_empty(&bl_children)) {
        bl_child *child = BL_LIST_FIRST(&bl_children, bl_child, link);
        if (child->ready_fd >= 0)
            close(child->ready_fd);
        bl_list_remove(&child->link);
        bl_free(child);
    }
}

static const char *name_of(const bl_child *child)
{
    return child->agent ? "privileged agent process" : "worker process";
}

static bl_child *add(pid_t pid, int number, int row, int ready_fd)
{
    bl_child *child = bl_zalloc(sizeof *child);

    child->pid = pid;
    child->number = number;
    child->row = row;
    child->ready_fd = ready_fd;
    child->generation = bl_current->number;
    child->started = bl_now_ms();
    bl_list_push(&bl_children, &child->link);
    child->agent = bl_worker_is_agent(bl_current, number);
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "start %s %d", name_of(child), (int)pid);
    return child;
}

static bool row_taken(int row)
{
    BL_LIST_EACH (it, &bl_children) {
        if (BL_CONTAINER(it, bl_child, link)->row == row)
            return true;
    }
    return false;
}

bl_child *bl_child_start(int number)
{
    int ends[2], row = 0;

    while (row_taken(row))
        row++;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "pipe2() failed");
        return NULL;
    }
    bl_signal_hold();
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        forget_all();
        bl_stats_attach(row);
        bl_worker_main(bl_current, number, ends[1]);
    }
    bl_signal_release();
    close(ends[1]);
    if (pid > 0)
        return add(pid, number, row, ends[0]);
    bl_log_write(BL_LOG_ALERT, &bl_log_process, errno,
                 "fork() failed while spawning \"worker process\"");
    close(ends[0]);
    return NULL;
}

static void say_end(const char *what, pid_t pid, int status)
{
    if (WIFSIGNALED(status))
        bl_log_write(BL_LOG_ALERT, &bl_log_process, 0, "%s %d exited on signal %d%s", what,
                     (int)pid, WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
    else
        bl_log_write(WEXITSTATUS(status) ? BL_LOG_ALERT : BL_LOG_NOTICE, &bl_log_process, 0,
                     "%s %d exited with code %d", what, (int)pid, WEXITSTATUS(status));
}

static bl_child *find_pid(pid_t pid)
{
    BL_LIST_EACH (it, &bl_children) {
        bl_child *child = BL_CONTAINER(it, bl_child, link);
        if (child->pid == pid)
            return child;
    }
    return NULL;
}

bool bl_child_reap(bl_child *ended, pid_t *pid)
{
    int status;

    do {
        *pid = waitpid(-1, &status, WNOHANG);
    } while (*pid < 0 && errno == EINTR);
    if (*pid <= 0)
        return false;
    bl_child *child = find_pid(*pid);
    *ended = (bl_child){0};
    say_end(child ? name_of(child) : "process", *pid, status);
    if (child == NULL)
        return true;
    bl_child_ready(child, false);
    bl_list_remove(&child->link);
    *ended = *child;
    bl_free(child);
    return true;
}

void bl_child_ready(bl_child *child, bool serves)
{
    if (child->ready_fd >= 0)
        close(child->ready_fd);
    child->ready_fd = -1;
    child->serves = serves;
}

bl_child *bl_child_find(int number, uint64_t generation)
{
    BL_LIST_EACH (it, &bl_children) {
        bl_child *child = BL_CONTAINER(it, bl_child, link);
        if (child->number == number && child->generation == generation)
            return child;
    }
    return NULL;
}

void bl_child_signal(int signal_number, uint64_t generation, bool but)
{
    BL_LIST_EACH (it, &bl_children) {
        bl_child *child = BL_CONTAINER(it, bl_child, link);
        if (generation && (child->generation == generation) == but)
            continue;
        if (signal_number == SIGQUIT && child->quitting)
            continue;
        child->quitting |= signal_number == SIGQUIT || signal_number == SIGTERM;
        if (kill(child->pid, signal_number) != 0 && errno != ESRCH)
            bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "kill(%d, %d) failed",
                         (int)child->pid, signal_number);
    }
}
