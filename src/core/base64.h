/* Base64 (RFC 4648), both alphabets. */
#ifndef BL_CORE_BASE64_H
#define BL_CORE_BASE64_H

#include "core/str.h"

#define BL_BASE64_SIZE(len) (((len) + 2) / 3 * 4)

/* Writes BL_BASE64_SIZE(s.len) bytes at most; returns the length. `url`: '-' and '_', section 5. */
size_t bl_base64_encode(char *to, bl_str s, bool padding, bool url);

/* Writes at most s.len / 4 * 3 + 3 bytes; returns the length, or -1 when malformed. Padding may
 * lack. `mime`: bytes outside the alphabet are passed over. */
ssize_t bl_base64_decode(char *to, bl_str s, bool url, bool mime);

#endif
