/* SPDX-License-Identifier: MIT */
#include "xenstore/core/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore_lib.h>

#define PATH_CHARS                                                             \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-/_@"
#define HOME "/local/domain/"

/* Length of a leading "/local/domain/<digits>/", else 0. */
static size_t home_prefix(const char *path)
{
    size_t digits;

    if (strncmp(path, HOME, sizeof(HOME) - 1))
        return 0;
    digits = strspn(path + sizeof(HOME) - 1, "0123456789");
    if (!digits || digits > 5 || path[sizeof(HOME) - 1 + digits] != '/')
        return 0;
    return sizeof(HOME) + digits;
}

bool path_valid(const char *path, bool special, size_t max_len)
{
    size_t len = strlen(path);

    if (path[0] != '/' && !(special && path[0] == '@'))
        return false;
    if (len >= STORE_PATH_BYTES || len > home_prefix(path) + max_len)
        return false;
    if (len > 1 && path[len - 1] == '/')
        return false;
    return !strstr(path, "//") && strspn(path, PATH_CHARS) == len;
}

size_t path_home_len(uint32_t domid)
{
    return snprintf(NULL, 0, HOME "%u/", domid);
}

int path_canonical(char buf[STORE_PATH_BYTES], const char *path, uint32_t domid,
                   bool special, size_t max_len)
{
    const char *home = HOME;
    int n;

    if (path[0] == '/' || path[0] == '@')
        n = snprintf(buf, STORE_PATH_BYTES, "%s", path);
    else if (strlen(path) > XENSTORE_REL_PATH_MAX)
        return -EINVAL;
    else
        n = snprintf(buf, STORE_PATH_BYTES, "%s%u/%s", home, domid, path);
    if (n >= STORE_PATH_BYTES || !path_valid(buf, special, max_len))
        return -EINVAL;
    return 0;
}

int number_parse(const char *s, uint64_t max, uint64_t *value)
{
    char *end;

    if (*s < '0' || *s > '9')
        return -EINVAL;
    errno = 0;
    *value = strtoull(s, &end, 10);
    return errno || *end || *value > max ? -EINVAL : 0;
}

int perm_parse(struct store_perm *perm, const char *s)
{
    uint64_t id;

    switch (*s) {
    case 'r':
        perm->perms = XS_PERM_READ;
        break;
    case 'w':
        perm->perms = XS_PERM_WRITE;
        break;
    case 'b':
        perm->perms = XS_PERM_READ | XS_PERM_WRITE;
        break;
    case 'n':
        perm->perms = XS_PERM_NONE;
        break;
    default:
        return -EINVAL;
    }
    if (number_parse(s + 1, UINT16_MAX, &id))
        return -EINVAL;
    perm->id = id;
    return 0;
}

int perm_format(char *buf, size_t size, const struct store_perm *perm)
{
    return snprintf(buf, size, "%c%u", "nrwb"[perm->perms & 3], perm -> id);
}
