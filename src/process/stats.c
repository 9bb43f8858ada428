#include "process/stats.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static bl_stats before_open;
static bl_stats *rows;
static int count;

bl_stats *bl_stats_mine = &before_open;

void bl_stats_open(int workers)
{
    size_t size = (size_t)workers * sizeof *rows;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return; /* counted per process then */
    rows = memory;
    count = workers;
}

void bl_stats_attach(int worker)
{
    if (rows == NULL || worker < 0 || worker >= count)
        return;
    bl_stats_mine = &rows[worker];
    bl_stats_mine->pid = getpid();
    bl_stats_mine->reading = bl_stats_mine->writing = bl_stats_mine->waiting = 0;
}

int64_t bl_stats_pid(int worker)
{
    return rows && worker >= 0 && worker < count ? rows[worker].pid : 0;
}

static void add(bl_stats *sum, const bl_stats *row)
{
#define X(name, about) sum->name += __atomic_load_n(&row->name, __ATOMIC_RELAXED);
    BL_STATS_COUNTERS(X)
#undef X
}

bl_stats bl_stats_sum(void)
{
    bl_stats sum = {0};

    if (rows == NULL)
        add(&sum, bl_stats_mine);
    for (int i = 0; i < count; i++)
        add(&sum, &rows[i]);
    return sum;
}
