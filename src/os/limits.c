#include "os/limits.h"

#include <errno.h>
#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static int set_limit(int which, int64_t value)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)value, .rlim_max = (rlim_t)value};

    return setrlimit(which, &limit) == 0 ? 0 : errno;
}

int bl_limits_files(int64_t count)
{
    return set_limit(RLIMIT_NOFILE, count);
}

int bl_limits_core(int64_t bytes)
{
    return set_limit(RLIMIT_CORE, bytes);
}

int bl_limits_priority(int nice)
{
    return setpriority(PRIO_PROCESS, 0, nice) == 0 ? 0 : errno;
}

int bl_limits_user(const char *name, uid_t user, gid_t group, const char **what)
{
    *what = "setgid()";
    if (setgid(group) != 0)
        return errno;
    *what = "initgroups()";
    if (initgroups(name, group) != 0)
        return errno;
    *what = "setuid()";
    if (setuid(user) != 0)
        return errno;
#ifdef __linux__
    *what = "prctl(PR_SET_DUMPABLE)";
    if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
        return errno;
#endif
    return 0;
}
