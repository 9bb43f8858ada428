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

bl_rlock_state bl_rlock_outcome(int error)
{
    if (error == EBUSY)
        return BL_RLOCK_BUSY;
    BL_ASSERT(error == EOWNERDEAD);
    return BL_RLOCK_ORPHANED;
}

void bl_rlock_heal(bl_rlock *lock)
{
    BL_ASSERT(pthread_mutex_consistent(&lock->mutex) == 0);
}
