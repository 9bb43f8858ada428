/* `bulan run` and `bulan test`: Lua with the whole API and the event loop, and no server around it.
 *
 *   command line ──> tool_options ──> a configuration in memory ──> generation, its Lua VM
 *                                                                        │
 *   the process, alone: loop ──> task without a request ──> bulan.run (lualib): script, REPL, tests
 *                                        │
 *                                 it has ended: the process, with its status
 *
 * Nothing is written to disk and no port is opened. Relative paths are below the current folder.
 * The Lua side gets a table: what the command line said, and the functions of tool_api. */
#ifndef BL_LUA_TOOL_H
#define BL_LUA_TOOL_H

#include "core/base.h"

/* Whether the command line asks for a tool: its first word is "run" or "test". */
bool bl_tool_named(char **argv);

/* Runs it; the exit status. */
int bl_tool_main(char **argv);

#endif
