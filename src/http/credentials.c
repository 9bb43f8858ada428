#include "http/credentials.h"
#include "core/base64.h"

bool bl_credentials(bl_request *r, bl_str *user, bl_str *password)
{
    bl_header *h = bl_headers_known(&r->in, BL_H_AUTHORIZATION);

    if (h == NULL || !bl_str_istarts(h->value, BL_STR("Basic ")))
        return false;
    bl_str encoded = bl_str_trim(bl_str_of(h->value.p + 6, h->value.len - 6));
    char *text = bl_pool_bytes(r->pool, encoded.len + 4);
    ssize_t len = bl_base64_decode(text, encoded, false, false);
    bl_str both = bl_str_of(text, len < 0 ? 0 : (size_t)len);
    ssize_t colon = bl_str_chr(both, ':');
    if (colon < 0)
        return false;
    *user = bl_str_of(text, (size_t)colon);
    *password = bl_str_of(text + colon + 1, both.len - (size_t)colon - 1);
    return user->len != 0;
}
