#include "os/affinity.h"

#include <unistd.h>

void bl_affinity_allowed(cpu_set_t *set)
{
    CPU_ZERO(set);
    if (sched_getaffinity(0, sizeof *set, set) == 0 && CPU_COUNT(set) > 0)
        return;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    CPU_ZERO(set);
    for (long i = 0; i < BL_MAX(online, 1) && i < CPU_SETSIZE; i++)
        CPU_SET((size_t)i, set);
}

int bl_affinity_count(void)
{
    cpu_set_t set;

    bl_affinity_allowed(&set);
    return CPU_COUNT(&set);
}

const char *bl_affinity_parse(bl_str mask, cpu_set_t *set)
{
    CPU_ZERO(set);
    for (size_t i = 0; i < mask.len; i++) {
        char c = mask.p[mask.len - 1 - i];
        if (c != '0' && c != '1')
            return mask.p + mask.len - 1 - i;
        if (c == '1' && i < CPU_SETSIZE)
            CPU_SET(i, set);
    }
    return NULL;
}

void bl_affinity_nth(const cpu_set_t *among, int index, cpu_set_t *set)
{
    int count = CPU_COUNT(among);

    CPU_ZERO(set);
    if (count == 0)
        return;
    index %= count;
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, among) && index-- == 0) {
            CPU_SET(i, set);
            return;
        }
    }
}

static cpu_set_t at_start;
static bool was_set;

bool bl_affinity_set(const cpu_set_t *set)
{
    if (!was_set)
        bl_affinity_allowed(&at_start);
    was_set = true;
    return sched_setaffinity(0, sizeof *set, set) == 0;
}

void bl_affinity_reset(void)
{
    if (was_set)
        sched_setaffinity(0, sizeof at_start, &at_start);
}
