/* Asking whether a certificate is still good: OCSP over HTTP (RFC 6960, its appendix A).
 *
 *   responder's URL ── resolver ── connect ── GET ── the whole answer ── verified ── done
 *
 * Used for stapling (tls_staple.c) and for clients' certificates (tls_ocsp.c). An answer counts
 * only when its signature, its times and the certificate that it speaks of are right. */
#ifndef BL_EVENT_OCSP_H
#define BL_EVENT_OCSP_H

#include "event/conn.h"
#include "event/resolver.h"

#include <openssl/ocsp.h>

typedef struct bl_ocsp bl_ocsp;

/* A question; zeroed by who makes it. */
struct bl_ocsp {
    /* set by the asker; all of it stays until the end */
    X509 *certificate, *issuer;
    X509_STORE *store;      /* whom the responder's certificate is checked with … */
    STACK_OF(X509) * chain; /* … certificates on the way; NULL: none */
    bool unchecked;         /* the responder's certificate may be any */
    bl_str responder;       /* URL; p NULL: the one that the certificate names */
    bl_resolver *resolver;  /* NULL: the system's */
    uint64_t resolver_ms;   /* 0: the resolver's default */
    bl_log *log;
    void (*done)(bl_ocsp *ask); /* once, from the loop or from within bl_ocsp_start */
    void *data;

    /* results, good until done returns */
    int status;          /* V_OCSP_CERTSTATUS_…; -1: not known, the reason was logged */
    int64_t next_update; /* Unix time; 0: not said */
    bl_str response;     /* DER */

    /* its own */
    bl_pool *pool;
    bl_str host, uri;
    int port;
    bl_resolve resolve;
    bl_addr *addrs;
    int addr_count, addr_at;
    bl_conn *conn;
    bl_timer timer;
    bl_chain out;
    char *in;
    size_t in_len;
};

void bl_ocsp_start(bl_ocsp *ask);
/* Asks no more; done will not be called. Nothing happens when it was, or none was started. */
void bl_ocsp_cancel(bl_ocsp *ask);

/* The parts of a responder's URL; NULL, or what is wrong with it. Pure. */
const char *bl_ocsp_url(bl_str url, bl_str *host, int *port, bl_str *path);

/* From a whole HTTP response to its body; NULL, or what is wrong. *more: the head, or the body that
 * its Content-Length announces, is not whole. Pure. */
const char *bl_ocsp_parse(bl_str bytes, bl_str *body, bool *more);

#endif
