/* Lua code that the configuration names: text in it, or a file. Loaded into the generation's VM
 * once, and found there by an integer.
 *
 * Code is loaded as the body of a function without parameters, not as a chunk: chunks take a
 * variable number of arguments, and such functions can't be where compiled traces begin. A file
 * that uses `...` is loaded as it is. */
#ifndef BL_LUA_CODE_H
#define BL_LUA_CODE_H

#include "http/value.h"
#include "lua/task.h"

typedef struct bl_lua_code {
    bl_str text;      /* p NULL: in a file */
    bl_value *path;   /* of the file; may have variables */
    const char *name; /* of the chunk: "=access_by_lua(nginx.conf:42)" */
    bl_str directive; /* without _block */
    bool hook;        /* runs without a request: init, init_worker, exit_worker */
    int ref;          /* in the generation's VM; LUA_NOREF: not loaded so far */
} bl_lua_code;

/* bl_lua_code *: for rows of directives in their three forms (NAME, NAME_block, NAME_file). */
extern const bl_type bl_type_lua_code;

/* The code that word `word` (NULL text: the block) of a directive holds. NULL after an error. */
bl_lua_code *bl_lua_code_read(bl_conf *cf, const bl_conf_node *node, int word);

/* Pushes the function on `to`. 0, or the status to answer after the error was logged: 404 for a
 * file that can't be opened, 500. `r` may be NULL (then the path has no variables). */
int bl_lua_code_push(bl_lua_code *code, bl_lua_vm *vm, bl_request *r, lua_State *to);

/* Loads a file as described above, and pushes the function: 0. An errno when it can't be read; -1
 * and the message on top when it is no Lua. */
int bl_lua_code_load_path(lua_State *L, const char *path);

/* Loads text as described above; pushes the function, or an error message. A luaL_load… result. */
int bl_lua_code_load(lua_State *L, bl_str text, const char *chunk_name);

#endif
