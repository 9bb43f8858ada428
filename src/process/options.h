/* The command line: the options of nginx, with their words. */
#ifndef BL_PROCESS_OPTIONS_H
#define BL_PROCESS_OPTIONS_H

#include "conf/generation.h"

/* Fills bl_opts, with the built-in defaults for what is not given; paths get the current directory
 * where they need one. False after "bulan: invalid option …" was printed. */
bool bl_options_read(char **argv);

/* What -v, -V and -h print, on stderr. */
void bl_options_version(bool configure);
void bl_options_help(void);

#endif
