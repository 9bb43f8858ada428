/* Finding a pattern in a stream that comes in pieces, without looking at a byte twice (Knuth,
 * Morris, Pratt): the state is how much of the pattern the bytes so far end with. Pure. */
#ifndef BL_LUA_API_SOCKET_MATCH_H
#define BL_LUA_API_SOCKET_MATCH_H

#include "core/str.h"

typedef struct bl_socket_match {
    size_t len;
    size_t *back; /* [n]: length of the longest proper border of the first n bytes */
    char *pattern;
} bl_socket_match;

/* One allocation, freed with bl_free. `pattern` is not empty. */
bl_socket_match *bl_socket_match_new(bl_str pattern);

/* Goes over `n` bytes from `state` on. Ends behind the pattern (*state is its length then), or as
 * soon as `room` bytes are known not to be part of a match (room counts from `before` such bytes
 * and bytes of the state), or at the end. Returns the number of bytes gone over.
 *
 *   settled bytes = bytes gone over in all - *state */
size_t bl_socket_match_run(const bl_socket_match *m, size_t *state, const char *p, size_t n,
                           size_t before, size_t room);

#endif
