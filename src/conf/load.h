/* The files of a configuration: reads them, parses them, and puts what `include` names in the
 * place of the include. What comes out is one tree, whose nodes know their files.
 *
 * Each file is read once per generation however often it is included. Limits: a file's size, how
 * deep includes may nest, and how many there may be in all (a file that includes itself twice
 * would otherwise fill the memory before it met the depth). */
#ifndef BL_CONF_LOAD_H
#define BL_CONF_LOAD_H

#include "conf/diag.h"
#include "core/index.h"

enum {
    BL_LOAD_FILE_MAX = 16 * 1024 * 1024, /* bytes */
    BL_LOAD_DEPTH = 32,
    BL_LOAD_INCLUDES = 100000,
};

typedef struct bl_loader {
    bl_pool *pool;
    bl_diag *diag;
    bl_str conf_prefix;  /* includes are relative to it; ends with a slash */
    bl_str text;         /* p set: stands for the file that bl_load is asked for */
    size_t file_max;     /* bytes; 0: BL_LOAD_FILE_MAX */
    bl_conf_file *files; /* in the order first read */
    bl_conf_file **files_tail;
    bl_index names; /* of the files */
    int depth, includes;
} bl_loader;

/* The tree of the file at `path` (absolute), behind the directives of `globals` (-g, may be
 * empty). NULL when that file can't be read; all errors are in the diag. */
bl_conf_node *bl_load(bl_loader *loader, bl_str path, bl_str globals);

#endif
