/* Networks: "10.0.0.0/8", "2001:db8::/32", one address, "unix:". Pure. */
#ifndef BL_EVENT_CIDR_H
#define BL_EVENT_CIDR_H

#include "event/addr.h"

typedef struct bl_cidr {
    sa_family_t family; /* AF_INET, AF_INET6, AF_UNIX */
    uint8_t bits;
    uint8_t bytes[16];
} bl_cidr;

typedef enum bl_cidr_result {
    BL_CIDR_OK,
    BL_CIDR_LOW_BITS, /* good, but bits behind the network's were set; they are cleared */
    BL_CIDR_INVALID,
} bl_cidr_result;

bl_cidr_result bl_cidr_parse(bl_str text, bl_cidr *to);

/* Is the address in the network? An IPv4 address mapped into IPv6 is taken as IPv4. */
bool bl_cidr_match(const bl_cidr *network, const struct sockaddr *sa);

/* The network of that address alone; false for other families. */
bool bl_cidr_of(const struct sockaddr *sa, bl_cidr *to);

#endif
