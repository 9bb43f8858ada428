/* Between OpenSSL and the socket. Reading goes straight to the socket and keeps io.readable true to
 * fact. Writing never fails: records are staged in memory of the process, and bl_tls_bio_flush
 * sends what a call into OpenSSL has staged with one system call, keeping in the connection what
 * the socket does not take. So OpenSSL never "wants to write": a call that reads need not wait for
 * the other direction.
 *
 *   SSL_write ─ record ─┐
 *               record ─┼─ stage (one for the process) ─ send() ─ socket
 *               record ─┘                └ the rest ─ tls->unsent ─ on_write ─ send()
 */
#ifndef BL_EVENT_TLS_BIO_H
#define BL_EVENT_TLS_BIO_H

#include "event/tls.h"

/* NULL: out of memory. */
BIO *bl_tls_bio_new(bl_conn *c);

/* After each call into OpenSSL. OK: nothing is left; AGAIN: io.writable is false; ERROR: the socket
 * is broken (tls->io_error). */
bl_status bl_tls_bio_flush(bl_conn *c);
/* The connection ends: what is staged of it is dropped. */
void bl_tls_bio_forget(bl_conn *c);

#endif
