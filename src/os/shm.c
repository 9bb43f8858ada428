#include "os/shm.h"

#include <sys/mman.h>

void *bl_shm_map(size_t size)
{
    void *memory;

    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void bl_shm_unmap(void *memory, size_t size)
{
    BL_ASSERT(munmap(memory, size) == 0);
}
