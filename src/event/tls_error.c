#include "event/tls_error.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>

static size_t add_error(char *to, size_t room, unsigned long code, const char *data, int flags)
{
    char text[256];

    ERR_error_string_n(code, text, sizeof text);
    bool more = data && *data && (flags & ERR_TXT_STRING);
    int n = snprintf(to, room, " %s%s%s", text, more ? ":" : "", more ? data : "");
    return BL_MIN((size_t)BL_MAX(n, 0), room - 1);
}

char *bl_tls_error_text(char *to)
{
    size_t len = 5, room = BL_TLS_ERROR_MAX - 2;
    const char *data;
    unsigned long code;
    int flags;

    memcpy(to, "(SSL:", 5);
    while ((code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        if (len < room)
            len += add_error(to + len, room - len, code, data, flags);
    }
    if (len == 5) {
        to[0] = '\0';
        return to;
    }
    to[len++] = ')';
    to[len] = '\0';
    return to;
}

static const char *message(const char *format, va_list args)
{
    static char text[BL_TLS_ERROR_MAX + 1024];
    char errors[BL_TLS_ERROR_MAX];
    size_t room = sizeof text - BL_TLS_ERROR_MAX;

    bl_tls_error_text(errors);
    int n = vsnprintf(text, room, format, args);
    size_t len = BL_MIN((size_t)BL_MAX(n, 0), room - 1);
    snprintf(text + len, sizeof text - len, "%s%s", errors[0] ? " " : "", errors);
    return text;
}

const char *bl_tls_error_message(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *text = message(format, args);
    va_end(args);
    return text;
}

bool bl_tls_error_report(bl_conf *cf, const bl_conf_node *node, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bl_conf_error(cf, node, 0, "%s", message(format, args));
    va_end(args);
    return false;
}

/* What only we can have done wrong, among what the library of the protocol itself reports. */
static bool is_our_fault(unsigned long code)
{
    if (ERR_SYSTEM_ERROR(code) || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
        return true;
    switch (ERR_GET_LIB(code)) {
    case ERR_LIB_SSL:
    case ERR_LIB_X509:
    case ERR_LIB_X509V3:
    case ERR_LIB_ASN1:
    case ERR_LIB_RSA:
    case ERR_LIB_EC:
    case ERR_LIB_EVP:
    case ERR_LIB_PROV:
    case ERR_LIB_DH:
    case ERR_LIB_BN:
        return ERR_GET_REASON(code) == ERR_R_INTERNAL_ERROR;
    default:
        return true;
    }
}

/* What our own hooks have said about a peer that we chose. */
static bool is_our_verdict(unsigned long code)
{
    int reason = ERR_GET_REASON(code);

    return ERR_GET_LIB(code) == ERR_LIB_SSL &&
           (reason == SSL_R_CERTIFICATE_VERIFY_FAILED || reason == SSL_R_CALLBACK_FAILED ||
            reason == SSL_R_CERT_CB_ERROR);
}

static bl_log_level level_of(const bl_conn *c)
{
    unsigned long code = ERR_peek_error();

    if (code != 0 && is_our_fault(code))
        return BL_LOG_CRIT;
    if (c->listener)
        return BL_LOG_INFO;
    return is_our_verdict(code) ? BL_LOG_CRIT : BL_LOG_ERR;
}

void bl_tls_error_log(bl_conn *c, const char *what)
{
    char errors[BL_TLS_ERROR_MAX];
    bl_log_level level = level_of(c);
    bool broken = c->tls && c->tls->io_error;

    bl_tls_error_text(errors);
    bl_log_write(level, &c->log, broken ? c->tls->io_error : 0, "%s failed%s%s", what,
                 errors[0] ? " " : "", errors);
}
