/* Certificates and keys that a program hands over: any bytes are some or none, nobody is asked for
 * a password, and DER has room where PEM was. The first byte says whether it is PEM. */
#include "fuzz.h"
#include "lua/api/tls_cert.h"

static void check_der(bl_str pem)
{
    const char *error = NULL;
    unsigned char *der = malloc(pem.len + 1);
    int len = bl_lua_ffi_tls_cert_der(pem.p, pem.len, der, &error);

    BL_ASSERT(len <= (int)pem.len && (len >= 0 || error != NULL));
    if (len > 0) {
        void *chain = bl_lua_ffi_tls_parse_cert((char *)der, (size_t)len, false, &error);
        BL_ASSERT(chain != NULL);
        bl_lua_ffi_tls_free_cert(chain);
    }
    len = bl_lua_ffi_tls_key_der(pem.p, pem.len, "password", der, &error);
    BL_ASSERT(len <= (int)pem.len && (len >= 0 || error != NULL));
    free(der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str in = bl_str_of((const char *)data, size);
    bool pem = fuzz_byte(&in) & 1;
    bl_str text = fuzz_copy(in);
    const char *error = NULL;

    void *chain = bl_lua_ffi_tls_parse_cert(text.p, text.len, pem, &error);
    BL_ASSERT(chain != NULL || error != NULL);
    if (chain)
        bl_lua_ffi_tls_free_cert(chain);
    void *key = bl_lua_ffi_tls_parse_key(text.p, text.len, pem, &error);
    BL_ASSERT(key != NULL || error != NULL);
    bl_lua_ffi_tls_free_key(key);
    if (pem)
        check_der(text);
    free(text.p);
    return 0;
}
