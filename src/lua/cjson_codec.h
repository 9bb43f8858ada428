/* What the three parts of the JSON codec share: the settings of one module instance, and the two
 * functions that do the work. cjson.c owns the settings, cjson_decode.c reads text, cjson_encode.c
 * writes it.
 *
 * Neither direction runs Lua code: tables are read and written raw, so a metamethod cannot see a
 * half-built value. A finalizer can run whenever Lua allocates, though, and may call the codec
 * again; that is why the encoder's buffer has a `busy` mark and the decoder keeps all its state on
 * the stack. */
#ifndef BL_LUA_CJSON_CODEC_H
#define BL_LUA_CJSON_CODEC_H

#include "core/base.h"

#include <lua.h>

#define BL_CJSON_MAGIC 0x6a736f6eu

/* Memory the encoder writes to; grows, and is kept between calls unless the user forbids it. */
typedef struct bl_cjson_buffer {
    char *p;
    size_t size;
    bool busy;
} bl_cjson_buffer;

/* What to do with NaN and the infinities. */
typedef enum bl_cjson_invalid {
    BL_CJSON_REFUSE,
    BL_CJSON_ALLOW,
    BL_CJSON_AS_NULL,
} bl_cjson_invalid;

/* One module instance; a userdata that is the upvalue of each of its functions. */
typedef struct bl_cjson {
    uint32_t magic;
    bool safe; /* errors of a conversion are returned, not thrown */

    bool decode_invalid_numbers;
    bool decode_array_with_array_mt;
    bool decode_allow_comment;
    int decode_max_depth;

    bl_cjson_invalid encode_invalid_numbers;
    bool encode_keep_buffer;
    bool encode_empty_table_as_object;
    bool encode_escape_forward_slash;
    bool encode_skip_unsupported_value_types;
    bool sparse_convert;
    int sparse_ratio;
    int sparse_safe;
    int encode_max_depth;
    int encode_number_precision;
    char *indent; /* NULL: compact output */
    size_t indent_len;

    /* The metatables that mark arrays; the registry keeps them alive as long as the VM. */
    const void *array_mt;
    const void *empty_array_mt;

    bl_cjson_buffer buffer;
} bl_cjson;

/* Registry keys of the two metatables, and the address that stands for cjson.empty_array. */
extern char bl_cjson_array_mt, bl_cjson_empty_array_mt, bl_cjson_empty_array;

/* Metatable name of a buffer that is a userdata of its own. */
#define BL_CJSON_BUFFER_MT "bulan.cjson.buffer"

/* Decodes `len` bytes at `text` (zero-terminated behind its end, as Lua strings are). Pushes the
 * value and returns true, or pushes a message and returns false; below, the stack is as before.
 * Throws only when memory runs out. */
bool bl_cjson_decode(lua_State *L, const bl_cjson *cjson, const char *text, size_t len);

/* Encodes the value at the top of the stack and replaces it by the text (true) or by a message
 * (false). Throws only when memory runs out. */
bool bl_cjson_encode(lua_State *L, bl_cjson *cjson);

/* Frees a buffer's memory; it may be used again. */
void bl_cjson_buffer_free(bl_cjson_buffer *buffer);

#endif
