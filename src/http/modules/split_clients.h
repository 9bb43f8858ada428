/* split_clients: a variable whose values are spread over clients by percentages. */
#ifndef BL_HTTP_MODULES_SPLIT_CLIENTS_H
#define BL_HTTP_MODULES_SPLIT_CLIENTS_H

#include "http/http.h"

extern bl_module bl_split_clients_module;

/* MurmurHash2 (Austin Appleby) with seed 0: decides, as it does in other servers, who gets what. */
uint32_t bl_split_clients_hash(bl_str s);

#endif
