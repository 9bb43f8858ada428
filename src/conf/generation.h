/* A generation: everything that one reading of the configuration made. It is counted: each thing
 * that still uses it (the process, a connection, a task) holds a reference, so that an old
 * generation serves on until its last request is over. Nothing that a configuration decides is kept
 * elsewhere. */
#ifndef BL_CONF_GENERATION_H
#define BL_CONF_GENERATION_H

#include "conf/conf.h"
#include "core/index.h"
#include "core/list.h"

/* A shared-memory zone, by name. Kept over a reload when name, size and owner are the same. */
typedef struct bl_zone {
    bl_link link;
    bl_str name;
    size_t size;
    const void *owner; /* the module: two may not share a name */
    void *memory;      /* mapped before workers are forked */
    int *users;        /* generations of this process that have the memory */
    bool fresh;        /* never taken over: each generation has its own */
    /* Called when it is mapped, before the fork; `before`: `data` of the zone that the memory was
     * inherited from, else NULL. False: an error was logged. */
    bool (*init)(struct bl_zone *zone, void *before);
    /* Called behind init, where the generation before has a zone of that name and owner, but of
     * another size: takes over what it holds. NULL: it begins empty. */
    void (*take_over)(struct bl_zone *zone, const struct bl_zone *before);
    void *data;
    const bl_conf_node *node; /* that named it first */
} bl_zone;

struct bl_generation {
    bl_pool *pool;
    int refs;
    uint64_t number; /* counts up with each reload */
    bl_str prefix;   /* -p, with a slash at the end */
    bl_str conf_path;
    bl_str conf_prefix;
    bl_conf_node *tree;
    bl_conf_file *files;
    bl_settings settings; /* of the main context */
    bl_link listeners;    /* bl_listener.link */
    bl_link open_files;   /* bl_open_file.link */
    bl_index file_names;  /* of them */
    bl_link zones;        /* bl_zone.link */
    bl_link thread_pools; /* bl_thread_pool's */
    bl_log_targets *log;  /* the main context's error_log */
    void *http;           /* bl_http *, NULL without http{} */
    void *stream;
    void *lua; /* bl_lua_vm *: the Lua side's, per process */
    /* > 0: one more process is wanted, of the master's user, which runs what workers run but serves
     * nobody: the limit of its connections. */
    int64_t agent_connections;
};

/* What the process was started with. */
typedef struct bl_options {
    bl_str prefix, conf_path, error_log, globals;
    const char *signal; /* -s */
    bool test, dump, quiet, version, configure, help;
    bool tool;   /* a script is run (lua/tool.h): no server, the user's folder and environment */
    bl_str text; /* p set: the configuration; no file is read, conf_path is its name */
    char **argv;
} bl_options;

extern bl_options bl_opts;

/* The generation that new connections of this process get. */
extern bl_generation *bl_current;

/* Reads the configuration file and everything it includes, applies and merges it. Opens no listener
 * and writes nothing; errors go to `diag` output (stderr and the process's log). NULL when not
 * good. */
bl_generation *bl_generation_load(const bl_options *options, bl_generation *before);

static inline bl_generation *bl_generation_hold(bl_generation *g)
{
    g->refs++;
    return g;
}
void bl_generation_drop(bl_generation *g);

/* The zone of that name and size; made when new. NULL after an error was reported (conflict).
 * `size` 0: only a reference to a zone defined elsewhere. */
bl_zone *bl_zone_add(bl_conf *cf, bl_str name, size_t size, const void *owner);

/* Maps the zones, or shares those of `before` (may be NULL) that agree in name, size and owner.
 * False after an error was logged. */
bool bl_zones_map(bl_generation *g, bl_generation *before);

/* Call a hook of all modules whose blocks are there (main; http; stream); the first false ends it.
 */
bool bl_generation_open(bl_generation *g);
bool bl_generation_start_worker(bl_generation *g);
void bl_generation_quit_worker(bl_generation *g);
void bl_generation_stop_worker(bl_generation *g);

/* The modules of the whole program, in src/modules.c. */
extern bl_module_list bl_main_modules;   /* main and events contexts */
extern bl_module_list bl_http_modules;   /* http */
extern bl_module_list bl_stream_modules; /* stream */

#endif
