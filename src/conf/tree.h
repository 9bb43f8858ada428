/* The configuration as written: a tree of directives, each word with its place in its file. Parsing
 * makes it and nothing else (bet 9: no I/O, no meaning); applying the directive tables to it gives
 * settings. It lives as long as its generation, so that a late error can still point at its line.
 */
#ifndef BL_CONF_TREE_H
#define BL_CONF_TREE_H

#include "core/pool.h"

/* A file that was read; `text` is as on disk (what -T prints). */
typedef struct bl_conf_file {
    struct bl_conf_file *next; /* in the order first read */
    bl_str path;
    bl_str text;
    bool command_line; /* the directives of -g: there are no lines to count */
} bl_conf_file;

/* A word: the directive's name or an argument, unquoted and unescaped. */
typedef struct bl_conf_word {
    bl_str text;
    int line, column; /* of its first byte in the file, from 1; a quote counts as that byte */
    bool quoted;
} bl_conf_word;

typedef struct bl_conf_node {
    struct bl_conf_node *next; /* sibling */
    struct bl_conf_node *children;
    struct bl_conf_node *parent;
    const bl_conf_file *file;
    bl_conf_word *words; /* words[0] is the name */
    int count;           /* of words */
    bool block;          /* had { } */
    bl_str lua;          /* text between the braces of a *_by_lua_block; p is NULL for all others */
    int lua_line;        /* line of its first byte */
} bl_conf_node;

static inline bl_str bl_conf_arg(const bl_conf_node *node, int i)
{
    BL_ASSERT(i < node->count);
    return node->words[i].text;
}

#endif
