/* What is built into this program, in one place (src/modules.c): the words that -V prints, which
 * tools and test suites look for, and the names under which other servers load the same things. */
#ifndef BL_PROCESS_FEATURES_H
#define BL_PROCESS_FEATURES_H

/* "--with-http_ssl_module" …; ends with NULL. */
extern const char *const bl_feature_words[];

/* File names that load_module takes and that are here already: "ndk_http_module.so" …; NULL. */
extern const char *const bl_feature_modules[];

#endif
