/* Range requests (RFC 9110 section 14). */
#ifndef BL_HTTP_MODULES_RANGE_H
#define BL_HTTP_MODULES_RANGE_H

#include "core/array.h"
#include "http/http.h"

extern bl_module bl_range_module;
extern const bl_filter bl_range_filter;

typedef struct bl_range {
    off_t from, to; /* bytes from..to-1 */
    bl_str head;    /* of its part in a multipart response */
} bl_range;

typedef enum bl_range_result {
    BL_RANGE_OK,
    BL_RANGE_IGNORE, /* the whole is to be sent: too many ranges, or they cover more than all */
    BL_RANGE_BAD,    /* 416 */
} bl_range_result;

/* Reads a Range value for a body of `length` bytes into `ranges` (bl_range), at most `max`. */
bl_range_result bl_range_parse(bl_str value, off_t length, int64_t max, bl_array *ranges);

#endif
