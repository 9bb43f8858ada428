/* MIME types by file name extension: the `types` block. */
#ifndef BL_HTTP_MIME_H
#define BL_HTTP_MIME_H

#include "http/http.h"

typedef struct bl_mime_table bl_mime_table;

/* bl_array * of bl_mime_type. */
extern const bl_type bl_type_types;

/* html, gif and jpeg: what there is without a `types` block. */
bl_array *bl_mime_defaults(bl_conf *cf);
bl_mime_table *bl_mime_table_new(bl_conf *cf, const bl_array *types);
/* The type of an extension in any case; p NULL: unknown. */
bl_str bl_mime_find(const bl_mime_table *table, bl_str exten);

/* The type that the response has already, else that of the path: by r->exten from types, else
 * default_type. */
bl_str bl_mime_of(const bl_request *r);

/* A set of MIME types as gzip_types, sub_filter_types … list them ("*": any). Field: bl_mime_set *.
 */
typedef struct bl_mime_set bl_mime_set;
extern const bl_type bl_type_mime_set;
/* Whether a content type (parameters are ignored) is in it. */
bool bl_mime_set_has(const bl_mime_set *set, bl_str type);

#endif
