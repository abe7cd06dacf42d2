/* SPDX-License-Identifier: MIT */
#include "xenstore/core/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore_lib.h>

#define HOME "/local/domain/"

/* What a path may consist of. */
static const bool path_chars[256] = {
    ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['0' ... '9'] = true,
    ['-'] = true,         ['/'] = true,         ['_'] = true,
    ['@'] = true,
};

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

/* Its length if nothing but what a path may have is in it, else 0. */
static size_t path_length(const char *path)
{
    unsigned char last = '\0';
    size_t len = 0;

    for (; path[len]; last = path[len++])
        if (!path_chars[(unsigned char)path[len]] ||
            (path[len] == '/' && last == '/'))
            return 0;
    return len;
}

bool path_valid(const char *path, bool special, size_t max_len)
{
    size_t len = path_length(path);

    if (path[0] != '/' && !(special && path[0] == '@'))
        return false;
    if (!len || len >= STORE_PATH_BYTES || (len > 1 && path[len - 1] == '/'))
        return false;
    return len <= max_len || len <= home_prefix(path) + max_len;
}

size_t path_home_len(uint32_t domid)
{
    return snprintf(NULL, 0, HOME "%u/", domid);
}

int path_canonical(char buf[STORE_PATH_BYTES], const char *path, uint32_t domid,
                   bool special, size_t max_len)
{
    size_t len = strlen(path), home = 0;

    if (path[0] != '/' && path[0] != '@') {
        if (len > XENSTORE_REL_PATH_MAX)
            return -EINVAL;
        home = sprintf(buf, HOME "%u/", domid);
    }
    if (home + len >= STORE_PATH_BYTES)
        return -EINVAL;
    memcpy(buf + home, path, len + 1);
    return path_valid(buf, special, max_len) ? 0 : -EINVAL;
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
