/* Header sections that come again.
 *
 * A client on a kept connection mostly sends the same fields with each request, byte for byte, and
 * a browser sends a dozen. Cutting them up costs more than all else that the server does for a
 * small response; comparing them with what was cut up before costs next to nothing.
 *
 *            bytes of a section ─ sample ─> place ─ all bytes equal? ─> where its fields are
 *
 * The places are few and fixed, and a section has to come twice before it is remembered
 * (core/habit.h). What clients send can't make this grow.
 *
 * Only what has passed all checks is remembered, and only if no setting has a say in it (its names
 * are plain), so that a section which is found is right whatever server it is for. */
#ifndef BL_HTTP_SECTION_H
#define BL_HTTP_SECTION_H

#include "http/header.h"

enum {
    BL_SECTION_FIELDS_MAX = 64, /* sections with more fields are not remembered */
};

/* `rest` is what has been received behind the request line. True: it is a section that was
 * remembered, whole and nothing more, and its fields are in the list, which was empty. */
bool bl_section_recall(bl_headers *headers, bl_pool *pool, bl_str rest);

/* Once a section has been cut up into the list: it stands in one piece at `section`, with the empty
 * line at its end. */
void bl_section_remember(const bl_headers *headers, bl_str section);

#endif
