#include "process/program.h"
#include "core/log.h"
#include "core/mem.h"
#include "process/process.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

enum {
    UNKNOWN = 255 << 8, /* somebody else has reaped it: no status is left */
};

static bl_link running = {&running, &running};

static bool reap(bl_program *program)
{
    pid_t pid;

    do
        pid = waitpid(program->pid, &program->status, WNOHANG);
    while (pid < 0 && errno == EINTR);
    if (pid == 0)
        return false;
    if (pid < 0)
        program->status = UNKNOWN;
    program->ended = true;
    bl_log_write(BL_LOG_NOTICE, &bl_log_process, 0, "signal %d (SIGCHLD) received from %d", SIGCHLD,
                 (int)program->pid);
    return true;
}

/* What is told of an end may start and drop others: first all are asked, then told. */
static void on_child(void)
{
    bl_link ended;

    bl_list_init(&ended);
    BL_LIST_EACH_SAFE (it, &running) {
        bl_program *program = BL_CONTAINER(it, bl_program, link);
        if (!reap(program))
            continue;
        bl_list_remove(&program->link);
        bl_list_push(&ended, &program->link);
    }
    while (!bl_list_empty(&ended)) {
        bl_program *program = BL_LIST_FIRST(&ended, bl_program, link);
        bl_list_remove(&program->link);
        if (program->on_end)
            program->on_end(program);
        else
            bl_free(program);
    }
}

bl_program *bl_program_start(bl_spawn *s)
{
    bl_process_child_hook = on_child;
    pid_t pid = bl_spawn_start(s);
    if (pid < 0)
        return NULL;
    bl_program *program = bl_zalloc(sizeof *program);
    program->pid = pid;
    program->group = s->group;
    bl_list_push(&running, &program->link);
    return program;
}

int bl_program_signal(const bl_program *program, int number)
{
    return kill(program->group ? -program->pid : program->pid, number) == 0 ? 0 : errno;
}

void bl_program_drop(bl_program *program)
{
    if (program->ended) {
        bl_list_remove(&program->link);
        bl_free(program);
        return;
    }
    bl_program_signal(program, SIGKILL);
    program->on_end = NULL;
}

void bl_program_end(void)
{
    BL_LIST_EACH (it, &running)
        bl_program_signal(BL_CONTAINER(it, bl_program, link), SIGKILL);
}
