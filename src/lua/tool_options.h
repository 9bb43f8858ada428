/* The command line of `bulan run` and `bulan test`, with the names that `resty` gave its options,
 * and the configuration that it stands for. */
#ifndef BL_LUA_TOOL_OPTIONS_H
#define BL_LUA_TOOL_OPTIONS_H

#include "core/array.h"

/* An option and its value, where it may be given more than once. */
typedef struct bl_tool_option {
    const char *name; /* "-e" */
    const char *value;
} bl_tool_option;

typedef struct bl_tool_options {
    const char *command; /* "run", "test" */
    bl_array given;      /* bl_tool_option, in their order */
    char **rest;         /* the script and its arguments; files and folders of tests */
    bool help;
} bl_tool_options;

/* Reads argv from its second word on. False after "bulan: …" was printed. */
bool bl_tool_options_read(bl_tool_options *options, bl_pool *pool, char **argv);

/* The text of --help, on stdout. */
void bl_tool_options_help(const bl_tool_options *options);

/* The configuration, in `pool`. */
bl_str bl_tool_options_conf(const bl_tool_options *options, bl_pool *pool);

#endif
