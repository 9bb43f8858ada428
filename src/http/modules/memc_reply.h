/* Replies of a memcached server. Pure. They are of three kinds, and an error may come instead:
 *
 *     value   "VALUE key flags LENGTH", the bytes, "END"; or "END" alone: 404
 *     line    "STORED" 201, "DELETED" 200, "NOT_FOUND" 404, 17 …
 *     list    lines up to "END"
 *     error   "ERROR", "CLIENT_ERROR …", "SERVER_ERROR …": 502 */
#ifndef BL_HTTP_MODULES_MEMC_REPLY_H
#define BL_HTTP_MODULES_MEMC_REPLY_H

#include "core/str.h"

typedef enum bl_memc_kind {
    BL_MEMC_VALUE,
    BL_MEMC_LINE,
    BL_MEMC_LIST,
} bl_memc_kind;

typedef struct bl_memc_reply {
    bl_memc_kind kind; /* what the command is answered with */
    /* the head */
    int status;
    bl_str line;    /* the first, without its end */
    bl_str flags;   /* of a value */
    int64_t length; /* of the body; -1: it ends with a line "END" */
    bool has_end;   /* behind the body stands the end of a value */
    size_t matched; /* of what ends a value or list, so far */
} bl_memc_reply;

/* The head of a reply from its first bytes; `kind` is set. BL_OK: *used bytes belong to no body;
 * BL_AGAIN: no line is whole yet; BL_ERROR: a value without a length (has_end), or no answer to
 * such a command. */
bl_status bl_memc_reply_head(bl_memc_reply *reply, bl_str text, size_t *used);
/* Goes over bytes of a list: the body, with its end. BL_OK: *used bytes, and it is whole; BL_AGAIN:
 * all of them, more must come. */
bl_status bl_memc_reply_list(bl_memc_reply *reply, bl_str in, size_t *used);
/* The same for what stands behind a value; BL_ERROR: it is something else. */
bl_status bl_memc_reply_end(bl_memc_reply *reply, bl_str in, size_t *used);

#endif
