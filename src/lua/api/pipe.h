/* ngx.pipe: programs and their standard streams. To Lua a program is a userdata with methods; it
 * points here.
 *
 *   pipe.c          the object: birth (spawn and its options), wait, signals, end
 *   pipe_stream.c   write, and the reading methods of stdout and stderr
 *
 *   bl_pipe ── program (process/program.h): told of the end by SIGCHLD
 *      ├────── streams[0]  we write ──pipe──> its standard input
 *      ├────── streams[1]  we read  <──pipe── its standard output
 *      └────── streams[2]  we read  <──pipe── its standard error; closed from the start when merged
 *
 * Nobody owns a program but its handle: requests and timers may hand it on. When the handle is
 * collected and no task waits any more the streams are closed, and the program is killed unless it
 * has ended. So this struct is counted by `held` and the waits, and outlives its handle in
 * spawn(...):wait().
 *
 * The end of a program and the end of its streams are two things: what it has written can be read
 * behind its end, until its end has been waited for; then the streams are "closed" (but for one
 * that a task is reading right now; and none if the program was started with `keep_output`).
 *
 * A descriptor is told to the loop when a task first reads from it, or finds the pipe full. */
#ifndef BL_LUA_API_PIPE_H
#define BL_LUA_API_PIPE_H

#include "event/loop.h"
#include "lua/api/socket.h"
#include "lua/task.h"
#include "process/program.h"

typedef struct bl_pipe bl_pipe;

enum {
    BL_PIPE_MAGIC = 0x70697065,
    BL_PIPE_STDIN = 0,
    BL_PIPE_STDOUT = 1,
    BL_PIPE_STDERR = 2,
    BL_PIPE_STREAMS = 3,
};

typedef struct bl_pipe_stream {
    bl_pipe *pipe;
    bl_io io; /* fd -1: closed */
    bl_wait wait;
    int64_t ms;            /* how long a call may wait without a byte; 0: for ever */
    bl_socket_bytes bytes; /* what has come, or what is to go */
    size_t at;             /* bytes of it that are done with */
    size_t searched;       /* bytes behind `at` that hold no newline */
    size_t total;          /* of the write */
    size_t want_size;
    bl_socket_want want;
    bool over; /* its end has been told */
} bl_pipe_stream;

struct bl_pipe {
    uint32_t magic;
    bool held; /* by a handle in Lua */
    bool merged;
    bool keep_output;
    bool ended;  /* the program has */
    bool waited; /* and somebody has been told */
    int status;
    pid_t pid;
    bl_program *program; /* NULL: it has ended */
    bl_wait waiting;
    int64_t wait_ms;
    size_t buffer_size;
    bl_pipe_stream streams[BL_PIPE_STREAMS];
};

void bl_lua_open_pipe(lua_State *L);

/* --- between the files of the family --- */

/* Argument 1 of a method, or an error. */
bl_pipe *bl_pipe_check(lua_State *L);
/* Ends a wait with what was pushed. The last thing its caller does: p may be gone. */
void bl_pipe_done(bl_pipe *p, bl_wait *w, int results);
/* A wait has ended by its deadline or was given up: p may be gone. */
void bl_pipe_left(bl_pipe *p);
/* nil and a message. */
int bl_pipe_fail(lua_State *L, const char *error);

void bl_pipe_stream_open(bl_pipe_stream *s, bl_pipe *p, int fd);
/* Closes it, if nobody waits in it. */
void bl_pipe_stream_close(bl_pipe_stream *s);
/* Closes it; a call that waits is "aborted", the last thing that happens. */
void bl_pipe_stream_shut(bl_pipe_stream *s);

int bl_pipe_l_write(lua_State *L);
/* The methods stdout_read_… and stderr_read_… */
extern const luaL_Reg bl_pipe_read_methods[];

#endif
