/* Texts that come again, and what was made of them. Clients repeat themselves: the header section
 * of one request is mostly, byte for byte, that of the next. Making a table of it is many times
 * dearer than cloning one, so a table whose text came twice is remembered:
 *
 *            text ─ sample of its bytes ─> place ─ all bytes equal? ─> tables[number]
 *
 * The places are few and fixed (core/habit.h says who gets them), so it can't grow, whatever
 * clients send. A table with tables in it must not be kept: its clones would share them. */
#ifndef BL_LUA_RECALL_H
#define BL_LUA_RECALL_H

#include "core/habit.h"
#include "core/str.h"

#include <lua.h>

enum {
    BL_RECALL_PLACES = 64,
    BL_RECALL_MAX = 4096, /* bytes of a text */
};

typedef struct bl_recall {
    int texts, tables; /* registry references of arrays, by number */
    struct {
        const char *text; /* in the Lua string texts[number] */
        size_t len;       /* 0: nothing is here */
        bl_habit habit;
    } places[BL_RECALL_PLACES];
} bl_recall;

void bl_recall_open(lua_State *L, bl_recall *recall);
/* The number (1, 2, …) of the table that was made of such a text; 0: it is not remembered. */
int bl_recall_find(bl_recall *recall, bl_str text);
/* For a text that was not found: whether bl_recall_keep is to be called. */
bool bl_recall_wants(bl_recall *recall, bl_str text);
/* Remembers the table on top of L, and pops it. */
void bl_recall_keep(lua_State *L, bl_recall *recall, bl_str text);

#endif
