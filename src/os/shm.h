/* Anonymous memory shared by a process and the children it forks afterwards. The master maps a zone
 * before it forks workers, so that the zone has the same address in each of them; nothing has a
 * name in the file system and nothing is left behind by a crash. */
#ifndef BL_OS_SHM_H
#define BL_OS_SHM_H

#include "core/base.h"

/* Maps `size` bytes (rounded up to whole pages of the system), zero-filled and page-aligned.
 * Returns NULL with errno set on failure. Memory is used only when it is touched. */
void *bl_shm_map(size_t size);

/* Takes the mapping away from this process; `size` as given to bl_shm_map. */
void bl_shm_unmap(void *memory, size_t size);

#endif
