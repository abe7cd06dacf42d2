/* SPDX-License-Identifier: MIT */
/*
 * Paths as clients write them.  One that is taken is absolute, clean, within
 * every limit, and stays itself when it is given again.
 */
#include "tests/fuzz/fuzz.h"

static void check_good(const char *path, bool special, size_t max)
{
    char again[STORE_PATH_BYTES];
    size_t len = strlen(path);

    fuzz_check(len < STORE_PATH_BYTES);
    fuzz_check(path[0] == '/' || (special && path[0] == '@'));
    fuzz_check(len == 1 || path[len - 1] != '/');
    fuzz_check(!strstr(path, "//"));
    fuzz_check(path_valid(path, special, max));
    fuzz_check(!path_canonical(again, path, 9, special, max));
    fuzz_check(!strcmp(path, again));
    if (path[0] == '/')
        fuzz_check(path_parent_len(path, len) <= len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char buf[STORE_PATH_BYTES], *text;
    bool special;
    size_t max;

    if (size < 2)
        return 0;
    special = data[0] & 1;
    max = data[0] & 2 ? data[1] : XENSTORE_ABS_PATH_MAX;
    text = malloc(size - 1);
    fuzz_check(text);
    memcpy(text, data + 2, size - 2);
    text[size - 2] = '\0';
    if (!path_canonical(buf, text, data[1], special, max))
        check_good(buf, special, max);
    free(text);
    return 0;
}
