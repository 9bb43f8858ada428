/* Rights and limits that a worker takes on: user, groups, resource limits, priority. Each returns
 * 0 or an errno. */
#ifndef BL_OS_LIMITS_H
#define BL_OS_LIMITS_H

#include "core/base.h"

int bl_limits_files(int64_t count); /* RLIMIT_NOFILE */
int bl_limits_core(int64_t bytes);  /* RLIMIT_CORE */
int bl_limits_priority(int nice);
/* Group, the user's supplementary groups, user; and core dumps stay possible. `*what` names the
 * call that failed. */
int bl_limits_user(const char *name, uid_t user, gid_t group, const char **what);

#endif
