/* Messages between workers (ngx.worker.events): published on channels, or put into named queues.
 *
 *   the zone   [ slot │ slot │ … │ slot ][ a dictionary: inbox of each slot, and the queues ]
 *
 * A slot is a process that serves: of this generation, or of one before that is shutting down. Its
 * inbox is the list "i<number>"; a queue is the list "q<name>". Who has put something in for a
 * process wakes it: `wake` counts up, and whoever moved it away from 0 sends SIGURG, which is
 * harmless to anybody else. (The privileged agent has another user; workers ring a bell for it, an
 * eventfd of the master's.) The process sets it back to 0 and runs the dispatcher of lualib's
 * ngx/worker/events.lua. So nobody polls, and many messages cost one signal.
 *
 * The dictionary survives a process that dies in the middle of anything; its slot is taken over by
 * the next that finds its process gone. The zone is kept over a reload. */
#ifndef BL_LUA_API_EVENTS_H
#define BL_LUA_API_EVENTS_H

#include "conf/conf.h"
#include "lua/task.h"

extern bl_module bl_lua_events_module;

/* This process has a slot from now on, and gives it up. */
void bl_lua_events_join(bl_lua_vm *vm);
void bl_lua_events_leave(bl_lua_vm *vm);

void bl_lua_open_events(lua_State *L);

/* For ngx/worker/events.lua. Numbers of slots are below bl_lua_events_count(); -1: none. */
int bl_lua_events_count(void);
int bl_lua_events_mine(void);
/* The number of its worker (ngx.worker.id), -2: the privileged agent, -1: no process has the slot.
 */
int bl_lua_events_worker(int slot);
void bl_lua_events_wake(int slot);
/* Frees the slots and the messages of processes that are gone. False: there were none. */
bool bl_lua_events_clear(void);
/* So many tasks of this process wait for queues; and wakes all processes with such tasks. */
void bl_lua_events_waiting(int count);
void bl_lua_events_wake_waiting(void);

#endif
