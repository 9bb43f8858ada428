/* Whether what wants a place in a cache is worth it: the manners of caches with few, fixed places
 * for things that mostly come again and sometimes never do (http/section.h, lua/recall.h).
 *
 * A thing is taken when it seems to come for the second time running. One that was of use stays for
 * as many comers as it was used. Places whose things turn out to be of no use wait longer and
 * longer before they take the next one: a client whose every request is new costs little. */
#ifndef BL_CORE_HABIT_H
#define BL_CORE_HABIT_H

#include "core/base.h"

typedef struct bl_habit {
    uint32_t seen; /* hash, or a sample of it, of the last that came in vain */
    uint16_t hits;
    uint16_t wait; /* for so many comers */
    uint16_t vain; /* things taken one after the other without any use */
} bl_habit;

/* What is there was of use. */
static inline void bl_habit_hit(bl_habit *h)
{
    enum {
        HITS_MAX = 100
    };
    h->hits = (uint16_t)BL_MIN(h->hits + 1, HITS_MAX);
    h->vain = 0;
}

/* Something else has come: true if it is to be taken. */
static inline bool bl_habit_takes(bl_habit *h, uint32_t hash)
{
    enum {
        VAIN_MAX = 8 /* then one in 256 is tried */
    };
    if (h->seen != hash) {
        h->seen = hash;
        return false;
    }
    if (h->hits > 0) {
        h->hits--;
        return false;
    }
    if (h->wait > 0) {
        h->wait--;
        return false;
    }
    h->vain = (uint16_t)BL_MIN(h->vain + 1, VAIN_MAX);
    h->wait = (uint16_t)((1u << h->vain) - 2);
    return true;
}

#endif
