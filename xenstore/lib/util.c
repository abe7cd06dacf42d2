/* SPDX-License-Identifier: MIT */
/* The calls of <xenstore_lib.h>: where the daemon is, and text forms. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

#define XEN_RUNDIR "/var/run/xenstored"

/* Present where libkxen is linked in too; it knows of --run-dir. */
extern const char *kxen_run_dir(void) __attribute__((weak));

const char *xs_daemon_rundir(void)
{
    const char *dir = getenv("XENSTORED_RUNDIR");

    return dir ? dir : XEN_RUNDIR;
}

/* Kxen's socket if it was asked for or is there. */
static bool kxen_socket(char *buf, size_t size)
{
    const char *dir = getenv("KXEN_RUN_DIR"), *user = getenv("XDG_RUNTIME_DIR");
    bool asked = dir && *dir;

    if (kxen_run_dir)
        dir = kxen_run_dir();
    if (asked || kxen_run_dir) {
        snprintf(buf, size, "%s/xenstored/socket", dir);
        if (asked || !access(buf, F_OK))
            return true;
    }
    snprintf(buf, size, "%s/kxen/xenstored/socket", user ? user : "");
    if (user && !access(buf, F_OK))
        return true;
    snprintf(buf, size, "/run/kxen/xenstored/socket");
    return !access(buf, F_OK);
}

const char *xs_daemon_socket(void)
{
    static __thread char buf[4096];
    const char *path = getenv("XENSTORED_PATH");

    if (path)
        return path;
    if (!getenv("XENSTORED_RUNDIR") && kxen_socket(buf, sizeof(buf)))
        return buf;
    snprintf(buf, sizeof(buf), "%s/socket", xs_daemon_rundir());
    return buf;
}

const char *xs_daemon_socket_ro(void)
{
    static __thread char buf[4096];
    const char *path = getenv("XENSTORED_PATH");

    snprintf(buf, sizeof(buf), "%s%s", path ? path : xs_daemon_rundir(),
             path ? "" : "/socket_ro");
    return buf;
}

bool xs_write_all(int fd, const void *data, unsigned int len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            data = (const char *)data + n;
            len -= n;
        }
    }
    return true;
}

static bool letter_to_perm(char c, unsigned int *perms)
{
    static const char letters[] = "nrwb";
    const char *p = c ? strchr(letters, c) : NULL;

    if (!p)
        return false;
    *perms = p - letters;
    return true;
}

bool xs_strings_to_perms(struct xs_permissions *perms, unsigned int num,
                         const char *strings)
{
    const char *p = strings;

    for (unsigned int i = 0; i < num; i++) {
        char *end;

        if (!letter_to_perm(*p, &perms[i].perms) || !isdigit(p[1])) {
            errno = EINVAL;
            return false;
        }
        perms[i].id = strtol(p + 1, &end, 0);
        if (*end) {
            errno = EINVAL;
            return false;
        }
        p = end + 1;
    }
    return true;
}

bool xs_path_is_subpath(const char *parent, const char *child)
{
    size_t len = strlen(parent);

    /* "/" is above all; "@..." only above itself. */
    while (len && parent[len - 1] == '/')
        len--;
    if (strncmp(child, parent, len))
        return false;
    return child[len] == '/' || child[len] == '\0';
}
