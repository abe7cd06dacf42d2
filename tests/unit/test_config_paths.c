/* SPDX-License-Identifier: MIT */
/*
 * Proves where the files named in a configuration are looked for: a relative
 * path from the working directory if it is there, else beside the
 * configuration, else (to be missed there) from the working directory again;
 * an absolute one is left as it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dom0/dom0.h"

static char base[128], cwd[160], near[160];

static void touch(const char *dir, const char *leaf)
{
    char path[320];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, leaf);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void makes(const char *given, const char *file, const char *dir)
{
    struct domain_config cfg = {.kernel = strdup(given)};
    char want[512];

    snprintf(want, sizeof(want), "%s%s%s", dir, *dir ? "/" : "", given);
    assert_int_equal(config_resolve_paths(&cfg, cwd, file), 0);
    assert_string_equal(cfg.kernel, want);
    free(cfg.kernel);
}

static void test_precedence(void **state)
{
    char file[320];

    (void)state;
    snprintf(base, sizeof(base), "%s/paths-XXXXXX",
             getenv("KXEN_TEST_TMP") ? getenv("KXEN_TEST_TMP") : "/tmp");
    assert_non_null(mkdtemp(base));
    snprintf(cwd, sizeof(cwd), "%s/cwd", base);
    snprintf(near, sizeof(near), "%s/cwd/near", base);
    assert_int_equal(mkdir(cwd, 0700), 0);
    assert_int_equal(mkdir(near, 0700), 0);
    snprintf(file, sizeof(file), "%s/a.cfg", near);
    touch(cwd, "both");
    touch(near, "both");
    touch(near, "only-near");
    makes("both", file, cwd);
    makes("only-near", file, near);
    makes("neither", file, cwd);
    makes("both", "near/a.cfg", cwd);
    makes("only-near", "near/a.cfg", near);
    makes("/both", file, "");
    snprintf(file, sizeof(file), "rm -r %s", base);
    assert_int_equal(system(file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_precedence)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
