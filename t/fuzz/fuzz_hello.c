/* Client hellos: what is taken out of one lies within it, and whatever comes, the handshake goes
 * on, waits or fails. The input: the bytes that a client sends. */
#include "event/tls.h"
#include "fuzz.h"

#include <openssl/ssl.h>

static int on_hello(SSL *ssl, int *alert, void *data)
{
    const bl_str *in = data;
    bl_str name = bl_tls_hello_name(ssl), session = bl_tls_hello_session(ssl);

    (void)alert;
    BL_ASSERT(name.len < in->len && session.len <= 32);
    BL_ASSERT(name.len == 0 || bl_str_find(*in, bl_str_of(name.p, BL_MIN(name.len, 8u))) >= 0);
    return SSL_CLIENT_HELLO_ERROR;
}

/* The bytes as one record of a handshake, so that a mutation of a length is not the end of it. */
static void write_record(BIO *to, bl_str in)
{
    unsigned char head[9] = {22, 3, 1, 0, 0, 1, 0, 0, 0};
    size_t len = BL_MIN(in.len, 16000u), record = len + 4;

    head[3] = (unsigned char)(record >> 8);
    head[4] = (unsigned char)record;
    head[7] = (unsigned char)(len >> 8);
    head[8] = (unsigned char)len;
    BIO_write(to, head, sizeof head);
    BIO_write(to, in.p, (int)len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SSL_CTX *ctx;
    bl_str in = bl_str_of((const char *)data, size);

    if (ctx == NULL)
        ctx = SSL_CTX_new(TLS_server_method());
    BL_ASSERT(ctx != NULL);
    SSL_CTX_set_client_hello_cb(ctx, on_hello, &in);
    SSL *ssl = SSL_new(ctx);
    BIO *from = BIO_new(BIO_s_mem()), *to = BIO_new(BIO_s_mem());
    write_record(from, in);
    SSL_set_bio(ssl, from, to);
    SSL_set_accept_state(ssl);
    BL_ASSERT(SSL_do_handshake(ssl) <= 0);
    SSL_free(ssl);
    return 0;
}
