/* Variables: $uri, $http_user_agent, $my_own.
 *
 * A variable is a row: name, a function that finds its value for a request, and flags. What a
 * configuration mentions gets an index, and each request has a slot for each index, in which a
 * value once found stays (unless the variable is volatile). Families ($http_NAME, $arg_NAME …) are
 * rows whose name is a prefix. */
#ifndef BL_HTTP_VARIABLE_H
#define BL_HTTP_VARIABLE_H

#include "http/request.h"

enum {
    BL_VAR_CHANGEABLE = 1 << 0, /* `set`, `map` … may define it again */
    BL_VAR_VOLATILE = 1 << 1,   /* asked for again each time */
    BL_VAR_PREFIX = 1 << 2,     /* the name is the beginning of a family */
    BL_VAR_WEAK = 1 << 3,       /* gives way to another definition of the name */
};

/* Finds the value. False: the variable has none ("not found"; empty in texts). `v` is the row asked
 * for; for families `name` is what stands behind the prefix, lower-cased as written. */
typedef bool (*bl_var_get_fn)(bl_request *r, const bl_variable *v, bl_str name, bl_str *value);
/* Stores a value given by `set $x` or ngx.var.x = …; false: can't. */
typedef bool (*bl_var_set_fn)(bl_request *r, const bl_variable *v, bl_str value);

struct bl_variable {
    bl_str name; /* without the $ */
    bl_var_get_fn get;
    bl_var_set_fn set; /* NULL: not settable, unless it is one of `set`'s */
    const void *data;
    uint32_t flags;
    int index;     /* of its slot; -1: not mentioned so far */
    bl_str member; /* of a family's member that was mentioned: what is behind the prefix */
};

typedef struct bl_var_slot {
    bl_str value;
    enum {
        BL_VAR_UNKNOWN,
        BL_VAR_FOUND,
        BL_VAR_NOT_FOUND
    } state;
} bl_var_slot;

/* --- while the configuration is read --- */

/* An empty table for http{}; before anything else of it. */
bool bl_var_table_new(bl_conf *cf, bl_http *http);
/* Adds a definition. NULL after an error was reported (not changeable). The row is copied. */
bl_variable *bl_var_define(bl_conf *cf, bl_str name, bl_var_get_fn get, bl_var_set_fn set,
                           const void *data, uint32_t flags);
/* A table of rows, ended by an empty name; for bl_http_module.variables. */
bool bl_var_define_all(bl_conf *cf, const bl_variable *rows);
/* The index of a name mentioned in the configuration; checked at the end to be defined. */
int bl_var_index(bl_conf *cf, bl_str name);
/* At the end of http{}: "unknown "x" variable" for each that nobody defined. */
bool bl_var_check_all(bl_conf *cf);

/* --- while a request runs --- */

/* By index. False: no value (`*value` is then empty). */
bool bl_var_get(bl_request *r, int index, bl_str *value);
/* By name, lower-cased: for Lua, SSI. Mentioned or not. *known: such a variable exists at all. */
bool bl_var_get_by_name(bl_request *r, bl_str name, bl_str *value, bool *known);
/* Sets; the value must live as long as the request. By name: false when unknown or not settable. */
void bl_var_set(bl_request *r, int index, bl_str value);
bool bl_var_set_by_name(bl_request *r, bl_str name, bl_str value);
/* The slot index of a known name, or -1. */
int bl_var_find(bl_http *http, bl_str name);
/* For Lua, which remembers it by name: the number of a row, mentioned or not, or -1. */
int bl_var_number(bl_http *http, bl_str name);
bool bl_var_get_numbered(bl_request *r, int number, bl_str *value);
const bl_variable *bl_var_row(bl_http *http, int index);
/* How many names have an index: slots of a request. */
size_t bl_var_count(const bl_http *http);
/* Forget what has been found, as an internal redirect does for volatile ones. */
void bl_var_flush(bl_request *r);

#endif
