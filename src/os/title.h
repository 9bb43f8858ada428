/* The process's title, as ps shows it. */
#ifndef BL_OS_TITLE_H
#define BL_OS_TITLE_H

#include "core/str.h"

/* To be called first in main(): keeps copies of the arguments and of the environment, whose memory
 * the title will overwrite. Returns the copied argv. */
char **bl_title_init(int argc, char **argv);
void bl_title_set(const char *format, ...) BL_PRINTF(1, 2);

#endif
