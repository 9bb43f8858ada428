/* What only the Lua side of the tool can do: the terminal, its keys and its interruptions, and the
 * names in a folder. One prompt reads one terminal, so there is one of everything here. */
#ifndef BL_LUA_TOOL_API_H
#define BL_LUA_TOOL_API_H

#include "core/base.h"

#include <lua.h>

/* Adds to the table on top of L:
 *
 *   is_terminal(fd)   true or false
 *   raw(on)           keys arrive singly and unseen; off when the process ends, whatever ends it
 *   columns()         width of the terminal
 *   input()           waits for bytes on stdin and returns them; nil at its end
 *   interrupt()       waits for SIGINT
 *   list(folder)      array of { name, is a folder }; nil and an error */
void bl_tool_api_open(lua_State *L);

/* SIGINT has come. False: nobody wants to know, the process is to end. */
bool bl_tool_api_interrupt(void);
/* The same while Lua runs, in the signal's handler. */
bool bl_tool_api_interrupt_busy(void);

/* The terminal as it was; may be called in a signal's handler. */
void bl_tool_api_restore(void);

#endif
