/* expires: the fields Expires and Cache-Control. */
#ifndef BL_HTTP_MODULES_EXPIRES_H
#define BL_HTTP_MODULES_EXPIRES_H

#include "http/value.h"

typedef struct bl_expires {
    enum {
        BL_EXPIRES_OFF,
        BL_EXPIRES_ACCESS,   /* `seconds` from now */
        BL_EXPIRES_MODIFIED, /* `seconds` from the last modification */
        BL_EXPIRES_DAILY,    /* at `seconds` of the local day */
        BL_EXPIRES_EPOCH,
        BL_EXPIRES_MAX,
        BL_EXPIRES_VALUE, /* what `value` says at run time */
    } kind;
    int64_t seconds;
    bl_value *value;
} bl_expires;

/* expires [modified] TIME | epoch | max | off; field: bl_expires *. */
extern const bl_type bl_type_expires;

/* Sets the fields of the response. */
void bl_expires_apply(bl_request *r, const bl_expires *e);

#endif
