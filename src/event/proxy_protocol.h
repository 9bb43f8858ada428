/* The PROXY protocol, versions 1 and 2 (the haproxy project's proxy-protocol.txt): who the client
 * is, said by the balancer in front of us. Reading is pure (bl_proxy_protocol_parse); waiting is
 * not. */
#ifndef BL_EVENT_PROXY_PROTOCOL_H
#define BL_EVENT_PROXY_PROTOCOL_H

#include "event/conn.h"

typedef struct bl_proxy_protocol {
    bl_str src_addr, dst_addr; /* text; empty for UNKNOWN and LOCAL */
    int src_port, dst_port;
    bl_str tlvs; /* as received */
} bl_proxy_protocol;

/* Bytes that the header takes at the front of `in`; 0: incomplete; -1: malformed. Strings are
 * copied to `pool`. */
ssize_t bl_proxy_protocol_parse(bl_pool *pool, bl_str in, bl_proxy_protocol *out);

/* The same with memory of its own. */
bl_proxy_protocol *bl_proxy_protocol_copy(bl_pool *pool, const bl_proxy_protocol *pp);

/* Reads it from the connection (exactly its bytes, by peeking) into c->proxy_protocol, then calls
 * `done`. */
void bl_proxy_protocol_read(bl_conn *c, int64_t timeout_ms, void (*done)(bl_conn *c, bool ok));

/* A TLV's value by type; false: absent. Sub-TLVs of PP2_TYPE_SSL: `sub` > 0. */
bool bl_proxy_protocol_tlv(const bl_proxy_protocol *pp, int type, int sub, bl_str *value);

/* Writes a version 1 header for a connection to an upstream; returns the length (at most 107). */
size_t bl_proxy_protocol_write(bl_conn *client, char *to);

#endif
