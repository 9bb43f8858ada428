/* What every file of the house may rely on: the standard headers, the assertion that stays on in
 * production, and the few macros that C lacks. */
#ifndef BL_CORE_BASE_H
#define BL_CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define BL_COUNTOF(array) (sizeof(array) / sizeof((array)[0]))
#define BL_MIN(a, b)      ((a) < (b) ? (a) : (b))
#define BL_MAX(a, b)      ((a) > (b) ? (a) : (b))

/* Rounds `n` up to a multiple of `to`, a power of two. */
#define BL_ALIGN(n, to) (((n) + ((to)-1)) & ~(__typeof__(n))((to)-1))

/* The object of `type` whose `member` stands at `ptr`. */
#define BL_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define BL_LIKELY(x)   __builtin_expect(!!(x), 1)
#define BL_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define BL_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
/* Built with the address sanitizer: memory is not kept for reuse then, so that it sees late uses.
 */
#if defined(__SANITIZE_ADDRESS__)
#define BL_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BL_SANITIZED 1
#endif
#endif
#ifndef BL_SANITIZED
#define BL_SANITIZED 0
#endif

#define BL_UNUSED   __attribute__((unused))
#define BL_NORETURN __attribute__((noreturn))
#define BL_HOT      __attribute__((hot))
#define BL_COLD     __attribute__((cold, noinline))

/* An invariant: on in production too. A failure prints where, and what the process was serving
 * (see bl_panic_hook), then aborts: the master starts another worker. */
#define BL_ASSERT(condition)                                                                       \
    do {                                                                                           \
        if (BL_UNLIKELY(!(condition)))                                                             \
            bl_panic(__FILE__, __LINE__, __func__, #condition);                                    \
    } while (0)

/* A magic number as the first member of a struct that is reached through void pointers; the check
 * turns a wrong cast into a panic instead of a security bug. */
#define BL_CHECK(object, value) BL_ASSERT((object) != NULL && (object)->magic == (value))

BL_NORETURN BL_COLD void bl_panic(const char *file, int line, const char *function,
                                  const char *condition);

/* Called by bl_panic before it aborts; the HTTP room sets it to describe the current request. */
extern void (*bl_panic_hook)(void);
/* `debug_points stop`: the process stops before it aborts, for a debugger to look at it. */
extern bool bl_panic_stops;

/* Three outcomes of an operation that may have to wait. BL_AGAIN is never an error. */
typedef enum bl_status {
    BL_OK = 0,
    BL_AGAIN = 1,
    BL_ERROR = -1,
} bl_status;

#endif
