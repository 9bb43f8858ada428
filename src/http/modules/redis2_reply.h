/* Where so many replies of a Redis server end: a line, a counted text, or a counted array of
 * replies, which are so many more that are awaited. Pure: nothing is kept but counts. */
#ifndef BL_HTTP_MODULES_REDIS2_REPLY_H
#define BL_HTTP_MODULES_REDIS2_REPLY_H

#include "core/str.h"

typedef struct bl_redis2_replies {
    int64_t awaited;   /* replies; 0: all are whole */
    char type;         /* of the line that is being read; 0: at its start */
    bool negative;     /* its number */
    int64_t number;    /* … so far */
    int64_t text_left; /* bytes of a counted text, with its end */
} bl_redis2_replies;

void bl_redis2_replies_await(bl_redis2_replies *replies, int64_t count);
/* Can a reply begin so? */
bool bl_redis2_replies_begin(char c);
/* Takes what belongs to the awaited replies off the front of `in`: *used bytes. BL_OK: they are
 * whole; BL_AGAIN: all was taken, more must come; BL_ERROR: no reply is like that. */
bl_status bl_redis2_replies_take(bl_redis2_replies *replies, bl_str in, size_t *used);

#endif
