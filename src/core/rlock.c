#include "core/rlock.h"

#include <errno.h>

void bl_rlock_init(bl_rlock *lock)
{
    pthread_mutexattr_t attr;

    BL_ASSERT(pthread_mutexattr_init(&attr) == 0);
    BL_ASSERT(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED) == 0);
    BL_ASSERT(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0);
    BL_ASSERT(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK) == 0);
    BL_ASSERT(pthread_mutex_init(&lock->mutex, &attr) == 0);
    pthread_mutexattr_destroy(&attr);
}

static bl_rlock_state outcome(int error)
{
    if (BL_LIKELY(error == 0))
        return BL_RLOCK_HELD;
    if (error == EBUSY)
        return BL_RLOCK_BUSY;
    BL_ASSERT(error == EOWNERDEAD);
    return BL_RLOCK_ORPHANED;
}

bl_rlock_state bl_rlock_take(bl_rlock *lock)
{
    return outcome(pthread_mutex_lock(&lock->mutex));
}

bl_rlock_state bl_rlock_try(bl_rlock *lock)
{
    return outcome(pthread_mutex_trylock(&lock->mutex));
}

void bl_rlock_heal(bl_rlock *lock)
{
    BL_ASSERT(pthread_mutex_consistent(&lock->mutex) == 0);
}

void bl_rlock_drop(bl_rlock *lock)
{
    BL_ASSERT(pthread_mutex_unlock(&lock->mutex) == 0);
}
