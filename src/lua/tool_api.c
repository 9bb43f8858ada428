#include "lua/tool_api.h"
#include "event/loop.h"
#include "lua/watch.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static struct {
    struct termios before;
    bool known, is_raw;
} terminal;

static bl_wait input_wait, interrupt_wait;
static bl_io input_io;
static bool interactive;                  /* there is a prompt: SIGINT does not end it */
static volatile sig_atomic_t interrupted; /* a hook is to stop what runs */

/* ------------------------------------------------------------- the terminal */

void bl_tool_api_restore(void)
{
    if (terminal.is_raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal.before);
    terminal.is_raw = false;
}

static bool make_raw(void)
{
    if (!terminal.known) {
        if (tcgetattr(STDIN_FILENO, &terminal.before) != 0)
            return false;
        terminal.known = true;
        atexit(bl_tool_api_restore);
    }
    struct termios raw = terminal.before;
    raw.c_iflag &= (tcflag_t) ~(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
    raw.c_lflag &= (tcflag_t) ~(ECHO | ICANON | IEXTEN | ISIG);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    terminal.is_raw = true;
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static int l_raw(lua_State *L)
{
    bool done = true;

    if (!interactive)
        bl_watch_breakable(bl_lua_now.vm);
    interactive = true;
    if (lua_toboolean(L, 1))
        done = make_raw();
    else
        bl_tool_api_restore();
    lua_pushboolean(L, done);
    return 1;
}

static int l_is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static int l_columns(lua_State *L)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;

    lua_pushinteger(L, known ? size.ws_col : 80);
    return 1;
}

/* ------------------------------------------------------------- keys */

/* The descriptor is watched only while somebody waits: what is typed meanwhile stays in the
 * terminal. */
static void on_input(bl_io *io)
{
    char bytes[4096];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    bl_io_remove(io);
    lua_State *to = bl_wait_stack(&input_wait);
    if (n > 0)
        lua_pushlstring(to, bytes, (size_t)n);
    else
        lua_pushnil(to);
    bl_wait_end(&input_wait, 1);
}

static void forget_input(bl_wait *w BL_UNUSED)
{
    bl_io_remove(&input_io);
}

static int l_input(lua_State *L)
{
    bl_task_may_wait(L);
    if (bl_wait_armed(&input_wait))
        return luaL_error(L, "somebody reads the terminal already");
    input_io = (bl_io){.level = true, .on_read = on_input};
    if (!bl_io_add(&input_io, STDIN_FILENO))
        return 0;
    input_wait.cancel = forget_input;
    return bl_wait_begin(&input_wait, L, -1);
}

/* ------------------------------------------------------------- SIGINT */

static int l_interrupt(lua_State *L)
{
    bl_task_may_wait(L);
    if (bl_wait_armed(&interrupt_wait))
        return luaL_error(L, "somebody waits for interruptions already");
    interrupted = 0;
    return bl_wait_begin(&interrupt_wait, L, -1);
}

bool bl_tool_api_interrupt(void)
{
    if (bl_wait_armed(&interrupt_wait)) {
        lua_pushboolean(bl_wait_stack(&interrupt_wait), true);
        bl_wait_end(&interrupt_wait, 1);
    }
    return interactive;
}

static void stop(lua_State *L, lua_Debug *ar BL_UNUSED)
{
    lua_sethook(L, NULL, 0, 0);
    luaL_error(L, "interrupted");
}

bool bl_tool_api_interrupt_busy(void)
{
    if (!interactive || interrupted || bl_lua_now.task == NULL)
        return false;
    interrupted = 1;
    bl_watch_break(bl_lua_now.task->L, stop);
    return true;
}

/* ------------------------------------------------------------- folders */

static bool is_folder(const char *folder, const char *name)
{
    char path[4096];
    struct stat st;
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);

    return len > 0 && (size_t)len < sizeof path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int l_list(lua_State *L)
{
    const char *folder = luaL_checkstring(L, 1);
    DIR *dir = opendir(folder);
    int count = 0;

    if (dir == NULL) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(errno));
        return 2;
    }
    lua_newtable(L);
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        lua_createtable(L, 2, 0);
        lua_pushstring(L, entry->d_name);
        lua_rawseti(L, -2, 1);
        lua_pushboolean(L, is_folder(folder, entry->d_name));
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, ++count);
    }
    closedir(dir);
    return 1;
}

void bl_tool_api_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"is_terminal", l_is_terminal},
        {"raw", l_raw},
        {"columns", l_columns},
        {"input", l_input},
        {"interrupt", l_interrupt},
        {"list", l_list},
        {NULL, NULL},
    };

    luaL_register(L, NULL, functions);
}
