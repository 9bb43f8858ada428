/* Between the decoder and the file that words its errors: what both know of a document. */
#ifndef BL_LUA_CJSON_DECODE_H
#define BL_LUA_CJSON_DECODE_H

#include "lua/cjson_codec.h"

typedef struct bl_cjson_decoder {
    lua_State *L;
    const bl_cjson *cjson;
    const char *start;
    const char *end; /* at the zero byte behind the text */
    int depth;
} bl_cjson_decoder;

/* Pushes "Expected <expected> but found <token> at character <n>" for the token at `p`. Returns
 * NULL. */
const char *bl_cjson_fail(bl_cjson_decoder *d, const char *expected, const char *p);

/* Pushes the message for the bracket at `p`, which nests too deeply. Returns NULL. */
const char *bl_cjson_fail_depth(bl_cjson_decoder *d, const char *p);

/* Whether a number that JSON does not know, other than by its digits, may start at `p`: a plus
 * sign, "inf", "nan". */
bool bl_cjson_starts_odd(const char *p);

/* Whether the number at `p` has no leading zero and is not hexadecimal, infinite or NaN. */
bool bl_cjson_is_strict(const char *p);

#endif
