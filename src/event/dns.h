/* DNS messages (RFC 1035; AAAA: RFC 3596; SRV: RFC 2782): queries built, answers parsed. Pure.
 *
 *   0         2       4         6         8         10        12
 *   | ID      | flags | QDCOUNT | ANCOUNT | NSCOUNT | ARCOUNT | questions, records …
 */
#ifndef BL_EVENT_DNS_H
#define BL_EVENT_DNS_H

#include "core/pool.h"

#include <netinet/in.h>

enum {
    BL_DNS_A = 1,
    BL_DNS_CNAME = 5,
    BL_DNS_PTR = 12,
    BL_DNS_AAAA = 28,
    BL_DNS_SRV = 33,
};

enum {
    /* Bytes of a name as text with a dot at the end, and one more. Two over what RFC 1035 allows:
     * servers that give such names are asked for them. */
    BL_DNS_NAME_MAX = 257,
    BL_DNS_QUERY_MAX = 12 + BL_DNS_NAME_MAX + 4, /* bytes of a query */
    BL_DNS_RECORDS_MAX = 512,                    /* of an answer; further ones are left out */
};

typedef struct bl_dns_record {
    bl_str owner; /* names are text, lower case, without the last dot */
    uint16_t type;
    uint32_t ttl;  /* seconds; what has the highest bit set counts as 0 (RFC 2181 section 8) */
    bl_str target; /* CNAME, PTR, SRV */
    uint16_t priority, weight, port; /* SRV */
    union {
        struct in_addr a;
        struct in6_addr aaaa;
    };
} bl_dns_record;

typedef struct bl_dns_answer {
    uint16_t id;
    int code; /* RCODE: 0 no error, 2 server failure, 3 no such name … */
    bool truncated;
    bl_str name; /* the question's */
    uint16_t type;
    bl_dns_record *records; /* of the answer section, of the types above */
    uint32_t count;
} bl_dns_answer;

/* Writes the query for `name` to the BL_DNS_QUERY_MAX bytes at `to`; returns its length. 0: no such
 * name can be: empty or too long, or one of its labels is. A dot at the end is let pass. */
size_t bl_dns_query(uint8_t *to, uint16_t id, bl_str name, uint16_t type);

/* Reads an answer, into the pool. False: it is no answer to one question, or it is malformed. */
bool bl_dns_parse(bl_pool *pool, bl_str message, bl_dns_answer *out);

/* What an answer says about a name. Aliases are followed within the answer.
 * `found` is called for each record of the answer's type. *last: the name at the end of the aliases
 * (`name` itself when there are none), *ttl: the least of all that were used. Returns the number of
 * records found; 0 with *last other than `name`: that is the name to ask for. */
uint32_t bl_dns_follow(const bl_dns_answer *answer, bl_str name, bl_str *last, uint32_t *ttl,
                       void (*found)(void *data, const bl_dns_record *record), void *data);

#endif
