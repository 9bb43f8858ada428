#include "lua/api/ocsp.h"
#include "lua/api/tls_cert.h"
#include "lua/handshake.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>

typedef STACK_OF(X509) chain_t;

static char message[128];

static const char *say(const char *format, ...) BL_PRINTF(1, 2);

static const char *say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return message;
}

static bool has_issuer(const chain_t *chain, const char **error)
{
    if (sk_X509_num(chain) < 2)
        *error = "no issuer certificate in chain";
    else if (X509_check_issued(sk_X509_value(chain, 1), sk_X509_value(chain, 0)) != X509_V_OK)
        *error = "issuer certificate not next to leaf";
    else
        return true;
    return false;
}

/* A chain that holds its issuer; NULL and *error. */
static chain_t *pair_of(const char *data, size_t len, const char **error)
{
    chain_t *chain = bl_lua_ffi_tls_parse_cert(data, len, false, error);

    if (chain == NULL || has_issuer(chain, error))
        return chain;
    bl_lua_ffi_tls_free_cert(chain);
    return NULL;
}

const char *bl_lua_ffi_ocsp_responder(const char *data, size_t data_len, char *url, size_t *len)
{
    const char *error = NULL;
    chain_t *chain = bl_lua_ffi_tls_parse_cert(data, data_len, false, &error);
    size_t room = *len;

    *len = 0;
    if (chain == NULL)
        return error;
    STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(sk_X509_value(chain, 0));
    if (sk_OPENSSL_STRING_num(urls) > 0 && has_issuer(chain, &error)) {
        const char *first = sk_OPENSSL_STRING_value(urls, 0);
        *len = BL_MIN(strlen(first), room);
        memcpy(url, first, *len);
        if (strlen(first) > room)
            error = "truncated";
    }
    X509_email_free(urls);
    bl_lua_ffi_tls_free_cert(chain);
    ERR_clear_error();
    return error;
}

/* ------------------------------------------------------------- requests */

static OCSP_REQUEST *request_for(const chain_t *chain)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, sk_X509_value(chain, 0), sk_X509_value(chain, 1));

    if (request && id && OCSP_request_add0_id(request, id))
        return request;
    OCSP_CERTID_free(id);
    OCSP_REQUEST_free(request);
    return NULL;
}

const char *bl_lua_ffi_ocsp_request(const char *data, size_t data_len, unsigned char *to,
                                    size_t *len)
{
    const char *error = NULL;
    chain_t *chain = pair_of(data, data_len, &error);
    OCSP_REQUEST *request = chain ? request_for(chain) : NULL;
    int size = request ? i2d_OCSP_REQUEST(request, NULL) : 0;

    if (chain && size <= 0)
        error = "OCSP_request_add0_id() failed";
    else if (chain && (size_t)size > *len)
        error = say("output buffer too small: %d > %d", size, (int)*len);
    else if (chain)
        i2d_OCSP_REQUEST(request, &to);
    *len = (size_t)size;
    OCSP_REQUEST_free(request);
    bl_lua_ffi_tls_free_cert(chain);
    ERR_clear_error();
    return error;
}

/* ------------------------------------------------------------- responses */

static double unix_time(const ASN1_GENERALIZEDTIME *time)
{
    struct tm tm;

    return time && ASN1_TIME_to_tm(time, &tm) ? (double)timegm(&tm) : 0;
}

static const char *check_status(OCSP_BASICRESP *basic, const chain_t *chain, double *next_update)
{
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, sk_X509_value(chain, 0), sk_X509_value(chain, 1));
    ASN1_GENERALIZEDTIME *next = NULL;
    int status = 0;
    bool found = id && OCSP_resp_find_status(basic, id, &status, NULL, NULL, NULL, &next) == 1;

    OCSP_CERTID_free(id);
    if (!found)
        return "certificate status not found in the OCSP response";
    *next_update = unix_time(next);
    if (status == V_OCSP_CERTSTATUS_GOOD)
        return NULL;
    return say("certificate status \"%s\" in the OCSP response", OCSP_cert_status_str(status));
}

/* Its signature must be that of a certificate in the response or the chain; whether that one may
 * sign is for the client to judge. */
static const char *check_response(OCSP_RESPONSE *response, chain_t *chain, double *next_update)
{
    int status = OCSP_response_status(response);

    if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return say("OCSP response not successful (%d: %s)", status,
                   OCSP_response_status_str(status));
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    if (basic == NULL)
        return "OCSP_response_get1_basic() failed";
    const char *error = "OCSP_basic_verify() failed";
    if (OCSP_basic_verify(basic, chain, NULL, OCSP_NOVERIFY) == 1)
        error = check_status(basic, chain, next_update);
    OCSP_BASICRESP_free(basic);
    return error;
}

const char *bl_lua_ffi_ocsp_validate(const char *data, size_t data_len, const char *chain_data,
                                     size_t chain_len, double *next_update)
{
    const unsigned char *p = (const unsigned char *)data;
    const char *error = "d2i_OCSP_RESPONSE() failed";
    OCSP_RESPONSE *response =
        data_len <= INT_MAX ? d2i_OCSP_RESPONSE(NULL, &p, (long)data_len) : NULL;

    *next_update = 0;
    if (response) {
        chain_t *chain = pair_of(chain_data, chain_len, &error);
        if (chain)
            error = check_response(response, chain, next_update);
        bl_lua_ffi_tls_free_cert(chain);
    }
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return error;
}

const char *bl_lua_ffi_ocsp_staple(const char *data, size_t len, bool *asked)
{
    const char *error = NULL;
    bl_tls *tls = bl_lua_handshake_tls(&error);

    *asked = tls && SSL_get_tlsext_status_type(tls->ssl) == TLSEXT_STATUSTYPE_ocsp;
    if (!*asked)
        return error;
    return bl_tls_staple(bl_lua_handshake_conn(), bl_str_of((char *)data, len))
               ? NULL
               : "SSL_set_tlsext_status_ocsp_resp() failed";
}
