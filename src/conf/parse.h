/* From words to a tree (conf/tree.h). Pure: `include` is a directive like any other here; the
 * loader (conf/load.h) puts the files in its place.
 *
 * Errors do not end the parsing. After one, what is left of the directive is passed over up to `;`
 * or its block's end, so that each error of a file is named once. */
#ifndef BL_CONF_PARSE_H
#define BL_CONF_PARSE_H

#include "conf/diag.h"
#include "conf/lex.h"

enum {
    BL_PARSE_DEPTH = 64, /* blocks in blocks */
};

/* Parses file->text. The directives become the children of the node that is returned (it has no
 * words); errors go to `diag`. */
bl_conf_node *bl_conf_parse(bl_pool *pool, const bl_conf_file *file, bl_diag *diag);

#endif
