/* Responses of OCSP responders, and their URLs: what is taken for a body lies within the bytes, and
 * more bytes never take back a whole one. */
#include "event/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(bl_str url)
{
    bl_str host, path;
    int port;

    if (bl_ocsp_url(url, &host, &port, &path) != NULL)
        return;
    BL_ASSERT(host.len > 0 && port >= 0 && port <= 65535);
    BL_ASSERT(path.len > 0 && path.p[0] == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_str bytes = bl_str_of((const char *)data, size), body = BL_STR_NONE;
    bool more, whole = false;

    check_url(bytes);
    for (size_t len = 0; len <= size; len++) {
        const char *error = bl_ocsp_parse(bl_str_of(bytes.p, len), &body, &more);
        if (error == NULL && !more) {
            BL_ASSERT(body.p >= bytes.p && body.p + body.len <= bytes.p + len);
            whole = true;
        }
        BL_ASSERT(!whole || (error == NULL && !more));
    }
    return 0;
}
