/* Where PEM texts come from: files, or "data:TEXT".
 *
 * While a configuration is read, each file is read once and remembered, so that a thousand servers
 * with one certificate don't read it a thousand times (and a FIFO serves them all). Afterwards
 * what is remembered is wiped; with ssl_object_cache_inheritable it stays, and serves the next
 * configuration as long as the file is the same one and was not modified. */
#ifndef BL_EVENT_TLS_SOURCE_H
#define BL_EVENT_TLS_SOURCE_H

#include "conf/conf.h"

#include <openssl/bio.h>

/* `source` is an absolute path or "data:…"; `cf` NULL: no configuration is being read. The errors
 * in OpenSSL's queue are this call's alone. NULL: they say why. */
BIO *bl_tls_source_open(bl_conf *cf, bl_str source);
/* The configuration is read. */
void bl_tls_source_done(bool keep);

#endif
