/* Escaping, base64, digests and times for Lua: called through the FFI by lualib/resty/core/{uri,
 * base64,hash,time}.lua. Results go to memory of the caller's, whose size the comments tell. */
#ifndef BL_LUA_API_ENCODE_H
#define BL_LUA_API_ENCODE_H

#include "core/base.h"

#include <time.h>

/* ngx.escape_uri: type 0 escapes all but what a URI may hold, 2 (the default) all but what a
 * component may. At most 3 * len bytes. */
size_t bl_lua_escape_uri(char *to, const char *s, size_t len, int type);
/* ngx.unescape_uri: %XX, and '+' as a space. At most len bytes. */
size_t bl_lua_unescape_uri(char *to, const char *s, size_t len);
size_t bl_lua_base64_encode(char *to, const char *s, size_t len, bool padding, bool url);
/* -1: malformed. At most len / 4 * 3 + 3 bytes. */
long bl_lua_base64_decode(char *to, const char *s, size_t len, bool url, bool mime);
/* At most 2 * len + 2 bytes. */
size_t bl_lua_quote_sql(char *to, const char *s, size_t len);
/* resty.template's escape: " > / < ' and &, with `braces` { and }, too. At most 6 * len bytes. */
size_t bl_lua_escape_html(char *to, const char *s, size_t len, bool braces);

uint32_t bl_lua_crc32(const char *s, size_t len);
void bl_lua_md5(unsigned char *to, const char *s, size_t len);            /* 16 bytes */
void bl_lua_sha1(unsigned char *to, const char *s, size_t len);           /* 20 bytes */
void bl_lua_hmac_sha1(unsigned char *to, const char *key, size_t key_len, /* 20 bytes */
                      const char *s, size_t len);
void bl_lua_hex(char *to, const unsigned char *s, size_t len); /* 2 * len bytes */

double bl_lua_now_seconds(void);  /* cached, with milliseconds */
double bl_lua_time_seconds(void); /* cached, whole */
double bl_lua_monotonic_ms(void); /* cached */
void bl_lua_update_time(void);
/* "2026-11-22 12:00:00" (19 bytes) local or UTC; only the date with len 10. */
void bl_lua_local_time(char *to);
void bl_lua_utc_time(char *to);
size_t bl_lua_http_time(char *to, double t);              /* at most 32 bytes */
size_t bl_lua_cookie_time(char *to, double t);            /* at most 32 bytes */
double bl_lua_parse_http_time(const char *s, size_t len); /* -1: none */

#endif
