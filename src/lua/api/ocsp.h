/* ngx.ocsp, through the FFI: what is asked of the responder of a certificate, what it answers, and
 * the answer as a staple (RFC 6960, RFC 6066 section 8). Chains are the DER of certificates one
 * behind the other: the certificate, then its issuer. Texts that are results are error messages;
 * NULL is success. */
#ifndef BL_LUA_API_OCSP_H
#define BL_LUA_API_OCSP_H

#include <stdbool.h>
#include <stddef.h>

/* *len is the room in `url`, then the length; 0: the certificate names none. */
const char *bl_lua_ffi_ocsp_responder(const char *chain, size_t chain_len, char *url, size_t *len);
const char *bl_lua_ffi_ocsp_request(const char *chain, size_t chain_len, unsigned char *to,
                                    size_t *len);
/* *next_update: Unix time; 0: the response does not say. */
const char *bl_lua_ffi_ocsp_validate(const char *response, size_t response_len, const char *chain,
                                     size_t chain_len, double *next_update);
/* For the current handshake. *asked: the client wants it. */
const char *bl_lua_ffi_ocsp_staple(const char *response, size_t len, bool *asked);

#endif
