/* From the tree to settings.
 *
 * What can be configured is rows in tables beside the code that uses it (bl_directive). A row names
 * the directive, where it may stand, how many arguments it takes, the type of its value, where the
 * value goes and its default. From the rows come: all checks, inheritance from the level above,
 * defaults, "did you mean", and the reference documentation. Only what no type can express has a
 * function of its own (`set`).
 *
 *   tree node ── find row by name and context ── check arguments ── type->read into settings +
 * offset
 *
 * Settings of a module exist once per level: 0 main (http{} as a whole), 1 server, 2 location. A
 * new one is zeroed, then every field that a row names is filled with 0xff bytes: "unset". Merging
 * takes, field by field, the parent's value where the child's is unset; at the top, the default. */
#ifndef BL_CONF_CONF_H
#define BL_CONF_CONF_H

#include "conf/tree.h"
#include "core/array.h"
#include "core/log.h"

typedef struct bl_generation bl_generation;
typedef struct bl_module bl_module;
typedef struct bl_directive bl_directive;
typedef struct bl_conf bl_conf;

/* Contexts a directive may stand in. */
enum {
    BL_IN_MAIN = 1 << 0,
    BL_IN_EVENTS = 1 << 1,
    BL_IN_HTTP = 1 << 2,
    BL_IN_SERVER = 1 << 3,
    BL_IN_LOCATION = 1 << 4,
    BL_IN_SERVER_IF = 1 << 5,
    BL_IN_LOCATION_IF = 1 << 6,
    BL_IN_LIMIT_EXCEPT = 1 << 7,
    BL_IN_UPSTREAM = 1 << 8,
    BL_IN_STREAM = 1 << 9,
    BL_IN_STREAM_SERVER = 1 << 10,
    BL_IN_STREAM_UPSTREAM = 1 << 11,
    BL_IN_ANY = 0xffff,
    /* the usual three, and with `if` in location */
    BL_IN_HSL = BL_IN_HTTP | BL_IN_SERVER | BL_IN_LOCATION,
    BL_IN_HSLI = BL_IN_HSL | BL_IN_LOCATION_IF,
};

/* How many arguments: bits 0..7 for exactly that many, or from N on. */
enum {
    BL_TAKE0 = 1 << 0,
    BL_TAKE1 = 1 << 1,
    BL_TAKE2 = 1 << 2,
    BL_TAKE3 = 1 << 3,
    BL_TAKE4 = 1 << 4,
    BL_TAKE5 = 1 << 5,
    BL_TAKE6 = 1 << 6,
    BL_TAKE7 = 1 << 7,
    BL_TAKE12 = BL_TAKE1 | BL_TAKE2,
    BL_TAKE13 = BL_TAKE1 | BL_TAKE3,
    BL_TAKE23 = BL_TAKE2 | BL_TAKE3,
    BL_TAKE123 = BL_TAKE12 | BL_TAKE3,
    BL_TAKE1234 = BL_TAKE123 | BL_TAKE4,
    BL_TAKE_ANY = 1 << 8,
    BL_TAKE_1MORE = 1 << 9,
    BL_TAKE_2MORE = 1 << 10,
    BL_TAKE_BLOCK = 1 << 11, /* must have { }; without this bit must not */
    BL_TAKE_LUA = 1 << 12,   /* a *_by_lua_block: node->lua is set */
    BL_REPEATS = 1 << 13, /* may stand several times in a block; else the second is "duplicate" */
    BL_TAKE_FLAG = BL_TAKE1, /* for reading: on | off */
};

/* Reads a directive's value into `field`. False: an error was reported through bl_conf_error. */
typedef bool (*bl_conf_read_fn)(bl_conf *cf, const bl_directive *d, const bl_conf_node *node,
                                void *field);

/* A type of value. `size` 0 marks a row that stores nothing by itself (a block, an action). */
typedef struct bl_type {
    const char *name; /* for the reference documentation */
    size_t size;      /* of the field, bytes */
    bl_conf_read_fn read;
} bl_type;

/* Field types in C, in the same order: bool-like int, int64_t, … Unset is all bits set: -1. */
extern const bl_type bl_type_flag;   /* int: 0, 1 */
extern const bl_type bl_type_num;    /* int64_t */
extern const bl_type bl_type_size;   /* int64_t bytes: 8k, 1m */
extern const bl_type bl_type_off;    /* int64_t bytes, also g */
extern const bl_type bl_type_msec;   /* int64_t milliseconds: 75s, 1m30s, 500ms */
extern const bl_type bl_type_sec;    /* int64_t seconds */
extern const bl_type bl_type_str;    /* bl_str, copied, zero byte behind; unset: p == (char *)-1 */
extern const bl_type bl_type_enum;   /* int; arg is bl_conf_word_value[] ended by {NULL} */
extern const bl_type bl_type_bits;   /* int, several words or'ed; arg as for enum */
extern const bl_type bl_type_strs;   /* bl_array * of bl_str, one directive after the other */
extern const bl_type bl_type_bufs;   /* bl_bufs_setting: NUMBER SIZE */
extern const bl_type bl_type_action; /* no field; `set` does all */

typedef struct bl_conf_word_value {
    const char *word;
    int value;
} bl_conf_word_value;

typedef struct bl_bufs_setting {
    int64_t count, size; /* unset: both -1 */
} bl_bufs_setting;

#define BL_UNSET_PTR    ((void *)-1)
#define BL_STR_UNSET(s) ((s).p == (char *)-1)

struct bl_directive {
    const char *name;
    uint32_t where;      /* BL_IN_… */
    uint32_t args;       /* BL_TAKE… */
    const bl_type *type; /* never NULL */
    int level;           /* whose settings: 0 main, 1 server, 2 location */
    size_t offset;
    const char *def;     /* default in the words of the configuration file; NULL: the zero value */
    const void *arg;     /* for the type (words of an enum, …) or for `set` */
    bl_conf_read_fn set; /* instead of type->read; gets settings + offset as `field` */
    /* Called behind type->read: a bound, a deprecation. */
    bool (*check)(bl_conf *cf, const bl_directive *d, const bl_conf_node *node, void *field);
};

enum {
    BL_LEVELS = 3,
    BL_MAIN = 0,
    BL_SERVER = 1,
    BL_LOCATION = 2
};

/* Settings of all modules at one place of the configuration: level → module index → struct. A
 * location's has all three levels filled in (its server's and main's are shared). */
typedef struct bl_settings {
    void **of[BL_LEVELS];
} bl_settings;

/* One feature. Modules stand in explicit lists (src/modules.c); the index is given there. */
struct bl_module {
    const char *name;
    const bl_directive *directives; /* ends with {0} */
    size_t size[BL_LEVELS];         /* of the settings struct of a level; 0: none */
    /* Optional, in order of use. All return false after reporting an error. */
    bool (*create)(bl_conf *cf, int level, void *settings);           /* behind the unset fill */
    bool (*merge)(bl_conf *cf, int level, void *parent, void *child); /* behind the generic merge */
    bool (*finish)(bl_conf *cf, void *main_settings); /* whole configuration is merged */
    /* In the master, when zones are mapped and listeners open, before workers are forked; not by
     * -t. False: the generation is given up. */
    bool (*open)(bl_generation *generation);
    bool (*start_worker)(bl_generation *generation); /* in each worker, before it serves */
    /* A graceful shutdown begins: no new connections come, running requests go on. */
    void (*quit_worker)(bl_generation *generation);
    void (*stop_worker)(bl_generation *generation);
    const void *http; /* const bl_http_module *, for modules of that room */
    int index;        /* within its list; set by bl_modules_number */
};

/* The list of modules that one kind of block takes its rows from (main and events; http; stream).
 */
typedef struct bl_module_list {
    bl_module *const *modules; /* ends with NULL */
    int count;
    struct bl_names *names; /* rows by name; made by bl_modules_number (conf/names.h) */
} bl_module_list;

/* One configuration being read. */
struct bl_conf {
    bl_generation *generation;
    bl_pool *pool; /* the generation's */
    const bl_module_list *modules;
    uint32_t context;         /* BL_IN_… of the block whose children are being applied */
    bl_settings *settings;    /* that block's */
    void *block;              /* what the room keeps per block: bl_location * … */
    const bl_conf_node *node; /* the directive being applied */
    int errors;
    struct bl_diag *diag;
    bool test; /* -t: nothing outside memory may be changed */
};

/* Numbers the modules of a list from 0; called once per list by main(). */
void bl_modules_number(bl_module_list *list);

/* Fresh settings of all modules at one level. */
void **bl_settings_create(bl_conf *cf, const bl_module_list *modules, int level);
/* Generic merge of all rows, then the modules' hooks. `parent` NULL: the top, where defaults are
 * set. */
bool bl_settings_merge(bl_conf *cf, const bl_module_list *modules, int level, void **parent,
                       void **child);

static inline void *bl_settings_of(const bl_settings *s, int level, const bl_module *module)
{
    return s->of[level][module->index];
}

/* Calls the modules' finish hooks. */
bool bl_modules_finish(bl_conf *cf, const bl_module_list *modules, void **main_settings);

/* Applies the children of `block`, with cf->modules/context/settings/block as given for them and
 * put back afterwards. Goes on after an error, so that all errors of a file are reported. */
bool bl_conf_apply(bl_conf *cf, const bl_conf_node *block, const bl_module_list *modules,
                   uint32_t context, bl_settings *settings, void *room_block);
/* Applies one node, with cf as it stands. */
bool bl_conf_apply_node(bl_conf *cf, const bl_conf_node *node);

/* Reports an error at a word of `node` (0: the name). The line is nginx's
 * "[emerg] MESSAGE in FILE:LINE", then the source line and a caret. Always returns false. */
bool bl_conf_error(bl_conf *cf, const bl_conf_node *node, int word, const char *format, ...)
    BL_PRINTF(4, 5);
/* The same as a warning: the configuration is still good. */
void bl_conf_warn(bl_conf *cf, const bl_conf_node *node, int word, const char *format, ...)
    BL_PRINTF(4, 5);
/* What the next error or warning adds in a line of its own: a way out. */
void bl_conf_hint(bl_conf *cf, const char *format, ...) BL_PRINTF(2, 3);
/* invalid value "X" in "NAME" directive */
bool bl_conf_invalid(bl_conf *cf, const bl_conf_node *node, int word);

/* Values from words, for `set` functions. -1: not valid (BL_CONF_NEVER etc. are the caller's).
 * Sizes: plain, k, m (and g for off). Times in ms: ms s m h d w M y, several in falling order. */
int64_t bl_conf_size(bl_str s);
int64_t bl_conf_off(bl_str s);
int64_t bl_conf_msec(bl_str s);
int64_t bl_conf_sec(bl_str s);

/* A path made absolute: against the prefix, or (`conf_prefix`) the configuration file's folder. */
bl_str bl_conf_path(bl_conf *cf, bl_str path, bool conf_prefix);

/* The file of a log, shared by all directives that name the same path. Opened (appended, O_CLOEXEC,
 * 0644) when the whole configuration is good; reopened on SIGUSR1. */
bl_open_file *bl_conf_open_file(bl_conf *cf, bl_str path);

/* Reads an `error_log` node's arguments and adds the target to *targets (made on first use). */
bool bl_conf_log_target(bl_conf *cf, const bl_conf_node *node, bl_log_targets **targets);

#endif
