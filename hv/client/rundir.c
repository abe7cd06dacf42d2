/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "hv/client/kxen.h"

/* Process-wide by nature, as the environment that it stands for. */
static char chosen[256];

static const char *from_environment(void)
{
    static char xdg[256];
    const char *p = getenv("KXEN_RUN_DIR");

    if (p && *p)
        return p;
    p = getenv("XDG_RUNTIME_DIR");
    if (p && *p && snprintf(xdg, sizeof(xdg), "%s/kxen", p) < (int)sizeof(xdg))
        return xdg;
    return "/run/kxen";
}

const char *kxen_run_dir(void)
{
    return chosen[0] ? chosen : from_environment();
}

int kxen_set_run_dir(const char *path)
{
    if (strlen(path) >= sizeof(chosen))
        return -ENAMETOOLONG;
    strcpy(chosen, path);
    return 0;
}

int kxen_path(char *buf, size_t size, const char *leaf)
{
    int n = snprintf(buf, size, "%s/%s", kxen_run_dir(), leaf);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}
