/* Which processors a process may run on. */
#ifndef BL_OS_AFFINITY_H
#define BL_OS_AFFINITY_H

#include "core/str.h"

#include <sched.h>

/* Processors that this process may use: at least 1. */
int bl_affinity_count(void);

/* Reads a mask such as "0101": the rightmost digit is processor 0. Returns NULL, or the first byte
 * that is neither 0 nor 1. Digits over the system's limit are ignored. */
const char *bl_affinity_parse(bl_str mask, cpu_set_t *set);

/* The `index`th processor of those in `among`, counted round and round. */
void bl_affinity_nth(const cpu_set_t *among, int index, cpu_set_t *set);

/* All processors that this process may use. */
void bl_affinity_allowed(cpu_set_t *set);

/* False: errno. */
bool bl_affinity_set(const cpu_set_t *set);

/* Back to what the process was started with, if it has been set since. No more than system calls.
 */
void bl_affinity_reset(void);

#endif
