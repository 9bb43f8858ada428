/* From a text to an entry: exact keys in any case, host names with wildcards, regular expressions.
 * What `map` looks up in. */
#ifndef BL_HTTP_MODULES_NAME_TABLE_H
#define BL_HTTP_MODULES_NAME_TABLE_H

#include "core/array.h"
#include "http/value.h"

typedef struct bl_name_table bl_name_table;

bl_name_table *bl_name_table_new(bl_conf *cf, bool hostnames);
/* Adds word 0 of `node` as a key (~regex, ~*regex; with hostnames *.x, .x and x.* too; a backslash
 * in front takes away any meaning). False: an error was reported. */
bool bl_name_table_add(bl_conf *cf, bl_name_table *table, const bl_conf_node *node,
                       const void *entry);
/* The entry, or NULL; exact before the longest *.x before the longest x.* before regexes in the
 * order written, whose groups are captured. */
const void *bl_name_table_find(bl_request *r, const bl_name_table *table, bl_str key);

#endif
