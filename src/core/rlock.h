/* A lock in shared memory that survives its owner. It is a robust, process-shared mutex: the kernel
 * itself notes that an owner died, however it died, and hands the lock with that news to the next
 * who asks. So there is no polling for dead processes and no confusion by a reused process id. A
 * lock that nobody else wants costs one atomic operation to take and one to drop.
 *
 *     if (bl_rlock_take(&zone->lock) == BL_RLOCK_ORPHANED) {
 *         ... make the guarded data consistent, from any state ...
 *         bl_rlock_heal(&zone->lock);
 *     }
 *     ...
 *     bl_rlock_drop(&zone->lock);
 *
 * A process that dies while it heals leaves the lock orphaned again, so healing must be able to
 * start over. */
#ifndef BL_CORE_RLOCK_H
#define BL_CORE_RLOCK_H

#include "core/base.h"

#include <pthread.h>

typedef struct bl_rlock {
    pthread_mutex_t mutex;
} bl_rlock;

typedef enum bl_rlock_state {
    BL_RLOCK_HELD,     /* taken */
    BL_RLOCK_ORPHANED, /* taken, but the last owner died with it */
    BL_RLOCK_BUSY,     /* not taken: another has it (only bl_rlock_try) */
} bl_rlock_state;

/* Prepares a lock in zero-filled memory shared by the processes that will use it. */
void bl_rlock_init(bl_rlock *lock);

/* What pthread's answer means; panics over what can only be a mistake, like taking it twice. */
BL_COLD bl_rlock_state bl_rlock_outcome(int error);

/* Waits for the lock. Not recursive: taking it twice is a panic. */
static inline bl_rlock_state bl_rlock_take(bl_rlock *lock)
{
    int error = pthread_mutex_lock(&lock->mutex);

    return BL_LIKELY(error == 0) ? BL_RLOCK_HELD : bl_rlock_outcome(error);
}

/* The same without waiting. */
static inline bl_rlock_state bl_rlock_try(bl_rlock *lock)
{
    int error = pthread_mutex_trylock(&lock->mutex);

    return BL_LIKELY(error == 0) ? BL_RLOCK_HELD : bl_rlock_outcome(error);
}

/* Says that the data under an orphaned lock, which the caller holds, is consistent again. */
void bl_rlock_heal(bl_rlock *lock);

/* Gives the lock up. An orphaned one must have been healed. */
static inline void bl_rlock_drop(bl_rlock *lock)
{
    BL_ASSERT(pthread_mutex_unlock(&lock->mutex) == 0);
}

#endif
