/* SPDX-License-Identifier: MIT */
/*
 * Proves that dom0's reader takes xl.cfg as xl does: its grammar (numbers in
 * three bases, both quotes, lists over lines, +=, separators, comments), the
 * meaning and defaults of the keys, overrides from the command line, and that
 * each mistake is reported with file, line, column, what was expected and what
 * was found, under the line with a caret.  Every prefix of a full
 * configuration, and every one with a byte spoilt, is read without harm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <jansson.h>
#include "dom0/config.h"

#define BASE "name = 'g'\nkernel = \"/k\"\nmemory = 64\n"

static const char full[] =
    "# a guest\n"
    "name = \"full\"; uuid = '12345678-9abc-4def-8123-456789ABCDEF'\n"
    "type = \"pv\"\n"
    "kernel = '/boot/vmlinuz'\n"
    "ramdisk = \"/boot/initrd\"\n"
    "root = \"/dev/xvda1 ro\"\n"
    "extra = 'quiet'\n"
    "extra += \" x=\\x41\\102\\t\\\"\"\n"
    "memory = 0x100\n"
    "maxmem = 01000\n"
    "vcpus = 2 ; maxvcpus = 4\n"
    "cpus = \"0-3,^1\"\n"
    "event_channels = 300\n"
    "max_grant_frames = 5 ; max_maptrack_frames = 0\n"
    "disk = [ '/a.img,raw,xvda,w',   # the first\n"
    "\n"
    "         \"format=raw, vdev=xvdb, access=ro, target=/b,c.img\",\n"
    "       ]\n"
    "disk += [ 'phy:/dev/x,hda1,r' ]\n"
    "vif = [ 'mac=00:16:3e:01:02:03,bridge=br0,rate=10Mb/s', '' ]\n"
    "trapped = [ \"uart\", \"ata,target=/t,ro\", "
    "\"virtio,target=/v,ioeventfd\" ]\n"
    "on_poweroff = \"preserve\"\n"
    "on_reboot = 'rename-restart'\n"
    "on_watchdog = 'restart'\n"
    "on_crash = \"coredump-destroy\"\n";

static struct domain_config *parse_with(const char *text,
                                        const char *const *overrides)
{
    struct domain_config *cfg = NULL;
    struct config_error err;
    int rc =
        domain_config_parse("t.cfg", text, strlen(text), overrides, &cfg, &err);

    if (rc)
        print_error("%s\n", err.text);
    assert_int_equal(rc, 0);
    return cfg;
}

static struct domain_config *parse(const char *text)
{
    return parse_with(text, NULL);
}

/* Expects a failure at line:column whose text holds `words`. */
static void fails_at(const char *text, unsigned line, unsigned column,
                     const char *words)
{
    struct domain_config *cfg = NULL;
    struct config_error err;
    int rc = domain_config_parse("t.cfg", text, strlen(text), NULL, &cfg, &err);

    assert_int_equal(rc, -EINVAL);
    if (err.line != line || err.column != column || !strstr(err.text, words))
        print_error("wanted %u:%u '%s', got: %s\n", line, column, words,
                    err.text);
    assert_int_equal(err.line, line);
    assert_int_equal(err.column, column);
    assert_non_null(strstr(err.text, words));
}

static void check_full(const struct domain_config *cfg)
{
    assert_string_equal(cfg->name, "full");
    assert_string_equal(cfg->uuid, "12345678-9abc-4def-8123-456789abcdef");
    assert_string_equal(cfg->kernel, "/boot/vmlinuz");
    assert_string_equal(cfg->ramdisk, "/boot/initrd");
    assert_string_equal(cfg->cmdline, "root=/dev/xvda1 ro quiet x=AB\t\"");
    assert_int_equal(cfg->memory_mib, 256);
    assert_int_equal(cfg->maxmem_mib, 512);
    assert_int_equal(cfg->vcpus, 2);
    assert_int_equal(cfg->maxvcpus, 4);
    assert_string_equal(cfg->cpus, "0-3,^1");
    assert_int_equal(cfg->event_channels, 300);
    assert_int_equal(cfg->max_grant_frames, 5);
    assert_int_equal(cfg->max_maptrack_frames, 0);
    assert_int_equal(cfg->on_poweroff, DOMAIN_ACTION_PRESERVE);
    assert_int_equal(cfg->on_reboot, DOMAIN_ACTION_RENAME_RESTART);
    assert_int_equal(cfg->on_watchdog, DOMAIN_ACTION_RESTART);
    assert_int_equal(cfg->on_crash, DOMAIN_ACTION_COREDUMP_DESTROY);
}

static void check_full_devices(const struct domain_config *cfg)
{
    assert_int_equal(cfg->nr_disks, 3);
    assert_string_equal(cfg->disks[0].target, "/a.img");
    assert_int_equal(cfg->disks[0].devid, 51712);
    assert_false(cfg->disks[0].readonly);
    assert_string_equal(cfg->disks[1].target, "/b,c.img");
    assert_int_equal(cfg->disks[1].devid, 51728);
    assert_true(cfg->disks[1].readonly);
    assert_int_equal(cfg->disks[2].devid, 769);
    assert_int_equal(cfg->nr_vifs, 2);
    assert_string_equal(cfg->vifs[0].bridge, "br0");
    assert_memory_equal(cfg->vifs[0].mac, "\x00\x16\x3e\x01\x02\x03", 6);
    assert_int_equal(cfg->vifs[0].rate_bytes, 62500);
    assert_false(cfg->vifs[1].has_mac);
    assert_int_equal(cfg->nr_trapped, 3);
    assert_int_equal(cfg->trapped[0].kind, TRAPPED_UART);
    assert_int_equal(cfg->trapped[1].kind, TRAPPED_ATA);
    assert_true(cfg->trapped[1].readonly);
    assert_string_equal(cfg->trapped[2].target, "/v");
    assert_true(cfg->trapped[2].ioeventfd);
}

static void test_full(void **state)
{
    struct domain_config *cfg = parse(full);

    (void)state;
    check_full(cfg);
    check_full_devices(cfg);
    assert_int_equal(cfg->nr_warnings, 0);
    domain_config_free(cfg);
}

static void test_defaults(void **state)
{
    struct domain_config *cfg = parse("name='a'\nkernel='k'"), *other;

    (void)state;
    assert_int_equal(cfg->memory_mib, 32);
    assert_int_equal(cfg->nr_warnings, 1);
    assert_int_equal(cfg->vcpus, 1);
    assert_int_equal(cfg->maxvcpus, 1);
    assert_null(cfg->cpus);
    assert_int_equal(cfg->event_channels, 1023);
    assert_int_equal(cfg->max_grant_frames, -1);
    assert_int_equal(cfg->max_maptrack_frames, -1);
    assert_string_equal(cfg->cmdline, "");
    assert_null(cfg->ramdisk);
    assert_int_equal(cfg->on_poweroff, DOMAIN_ACTION_DESTROY);
    assert_int_equal(cfg->on_reboot, DOMAIN_ACTION_RESTART);
    assert_int_equal(cfg->on_crash, DOMAIN_ACTION_DESTROY);
    other = parse("name='a'\nkernel='k'");
    assert_string_not_equal(cfg->uuid, other->uuid);
    assert_int_equal(cfg->uuid[14], '4');
    domain_config_free(cfg);
    domain_config_free(other);
}

static void test_cmdline_stands_alone(void **state)
{
    struct domain_config *cfg = parse(BASE "extra='e'\ncmdline='c'");

    (void)state;
    assert_string_equal(cfg->cmdline, "c");
    assert_int_equal(cfg->nr_warnings, 1);
    domain_config_free(cfg);
    cfg = parse(BASE "extra='e'");
    assert_string_equal(cfg->cmdline, "e");
    domain_config_free(cfg);
    cfg = parse(BASE "root='/dev/xvda'");
    assert_string_equal(cfg->cmdline, "root=/dev/xvda");
    domain_config_free(cfg);
}

static void test_strings_are_numbers(void **state)
{
    struct domain_config *cfg =
        parse("name=5\nkernel='k'\nmemory=\"128\"\r\n;;\n\t vcpus='0x2'#c");

    (void)state;
    assert_string_equal(cfg->name, "5");
    assert_int_equal(cfg->memory_mib, 128);
    assert_int_equal(cfg->maxmem_mib, 128);
    assert_int_equal(cfg->vcpus, 2);
    assert_int_equal(cfg->maxvcpus, 2);
    domain_config_free(cfg);
}

static void test_overrides(void **state)
{
    const char *const overrides[] = {
        "name=other",           "memory=99",
        "extra = a b=c 'd'",    "disk=['/x,raw,xvdc,r']",
        "kernel='/q'; vcpus=3", NULL,
    };
    struct domain_config *cfg =
        parse_with(BASE "disk=['/y,raw,xvda,w']", overrides);

    (void)state;
    assert_string_equal(cfg->name, "other");
    assert_int_equal(cfg->memory_mib, 99);
    assert_string_equal(cfg->cmdline, "a b=c 'd'");
    assert_int_equal(cfg->nr_disks, 1);
    assert_string_equal(cfg->disks[0].vdev, "xvdc");
    assert_string_equal(cfg->kernel, "/q");
    assert_int_equal(cfg->vcpus, 3);
    assert_int_equal(cfg->nr_warnings, 0);
    domain_config_free(cfg);
}

static void test_override_error(void **state)
{
    const char *const overrides[] = {"memory 5", NULL};
    struct domain_config *cfg;
    struct config_error err;

    (void)state;
    assert_int_equal(
        domain_config_parse("t.cfg", BASE, strlen(BASE), overrides, &cfg, &err),
        -EINVAL);
    assert_string_equal(err.file, "command line");
    assert_int_equal(err.column, 8);
}

static void test_warnings(void **state)
{
    struct domain_config *cfg =
        parse(BASE "colour='red'\nnodes=\"0\"\nmemory=65\n");

    (void)state;
    assert_int_equal(cfg->nr_warnings, 3);
    assert_non_null(strstr(cfg->warnings[0], "t.cfg:6: 'memory' is set again"));
    assert_non_null(strstr(cfg->warnings[1], "unknown key 'colour'"));
    assert_non_null(strstr(cfg->warnings[2], "'nodes' has no effect"));
    assert_int_equal(cfg->memory_mib, 65);
    domain_config_free(cfg);
}

static void test_syntax_errors(void **state)
{
    (void)state;
    fails_at("memory = = 3", 1, 10, "expected a value");
    fails_at("memory = = 3", 1, 10, "found '='");
    fails_at("a = 1\nmemory 3", 2, 8, "expected '=' or '+=' after the key");
    fails_at("name = 'x", 1, 8, "closing ' for this string");
    fails_at("name = \"x\ny\"", 1, 8, "closing \"");
    fails_at("memory = 512M", 1, 13, "expected the end of the line");
    fails_at("disk = [ 'a' 'b' ]", 1, 14, "expected ',' or ']'");
    fails_at("disk = [ 'a',\n 'b'\n", 1, 8, "expected a ']'");
    fails_at("disk = [ , ]", 1, 10, "expected a value");
    fails_at("= 3", 1, 1, "expected a key");
    fails_at("a = 1\n\n  @", 3, 3, "found '@'");
    fails_at("a = '\\q'", 1, 6, "after the backslash");
    fails_at("a = '\\x4'", 1, 6, "two hexadecimal digits");
    fails_at("a = '\\0'", 1, 6, "no zero byte");
    fails_at("a = '\\777'", 1, 6, "octal");
    fails_at("a = \x01", 1, 5, "byte 0x01");
    fails_at("a += [ 1 ]\na += 'x'", 2, 6, "expected a [ list ]");
    fails_at("a = 'x'\na += [ 1 ]", 2, 6, "expected a \"string\"");
    fails_at("a = [[[[[[[[[[1]]]]]]]]]]", 1, 13, "at most 8 deep");
    fails_at("a = [ 1", 1, 5, "expected a ']'");
    fails_at("a = [", 1, 5, "expected a");
}

static void test_meaning_errors(void **state)
{
    (void)state;
    fails_at(BASE "memory = 0", 4, 10, "number from 1 to");
    fails_at(BASE "memory = 'x'", 4, 10, "found 'x'");
    fails_at(BASE "memory = 09", 4, 10, "found '09'");
    fails_at(BASE "memory = -1", 4, 10, "found '-1'");
    fails_at(BASE "memory = 99999999999999999999", 4, 10, "number from");
    fails_at(BASE "memory = [ 1 ]", 4, 10, "found a list");
    fails_at(BASE "maxmem = 10", 3, 10, "at most maxmem");
    fails_at(BASE "vcpus = 3\nmaxvcpus = 2", 4, 9, "at most maxvcpus");
    fails_at(BASE "vcpus = 129", 4, 9, "from 1 to 128");
    fails_at(BASE "cpus = '3-1'", 4, 8, "expected host CPUs");
    fails_at(BASE "max_event_channels = 1", 4, 22, "from 2 to 131071");
    fails_at(BASE "max_grant_frames = 0", 4, 20, "from 1 to 64");
    fails_at(BASE "max_maptrack_frames = -2", 4, 23, "from 0 to 4096");
    fails_at(BASE "type = 'hvm'", 4, 8, "paravirtual guests only");
    fails_at(BASE "type = 'pvh'", 4, 8, "paravirtual guests only");
    fails_at(BASE "builder = 'hvm'", 4, 11, "paravirtual guests only");
    fails_at(BASE "bootloader = 'pygrub'", 4, 1, "use kernel=");
    fails_at(BASE "on_crash = 'explode'", 4, 12, "rename-restart");
    fails_at(BASE "uuid = 'zz'", 4, 8, "expected a UUID");
    fails_at(BASE "name = 'a/b'", 4, 10, "without '/'");
    fails_at(BASE "name = ''", 4, 8, "1 to 127");
    fails_at(BASE "disk = '/a,raw,xvda,w'", 4, 8, "expected a list");
    fails_at(BASE "disk = [ [ 'x' ] ]", 4, 10, "found a list");
    fails_at(BASE "disk = [ '/a,raw,zzz,w' ]", 4, 18, "virtual device");
    fails_at(BASE "disk = [ '/a,raw,xvda,w',\n'/b,,xvda' ]", 5, 1, "earlier");
    fails_at(BASE "vif = [ 'mac=1' ]", 4, 14, "MAC address");
    fails_at(BASE "trapped = [ 'ata,ioeventfd' ]", 4, 18, "found 'ioeventfd'");
}

static void test_whole_file_errors(void **state)
{
    static char longest[3000];

    (void)state;
    fails_at("memory = 5", 0, 0, "expected a name");
    fails_at("name = 'x'", 0, 0, "expected a kernel");
    sprintf(longest, BASE "extra = '%01024d'", 0);
    fails_at(longest, 0, 0, "at most 1023 bytes");
    sprintf(longest, BASE "extra = '%01023d'", 0);
    domain_config_free(parse(longest));
}

static void test_message_shows_the_line(void **state)
{
    struct domain_config *cfg;
    struct config_error err;
    const char *text = "a = 1\n\tmemory = = 3\nb = 2";

    (void)state;
    domain_config_parse("my.cfg", text, strlen(text), NULL, &cfg, &err);
    assert_string_equal(err.file, "my.cfg");
    assert_string_equal(
        err.text,
        "my.cfg:2:11: expected a value: a \"string\", a number or a [ list ], "
        "found '='\n    \tmemory = = 3\n    \t         ^");
}

static void test_long_lines_and_names(void **state)
{
    char text[5000], name[600];
    struct domain_config *cfg;
    struct config_error err;

    (void)state;
    memset(text, 'a', sizeof(text));
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    text[4000] = '@';
    assert_int_equal(
        domain_config_parse(name, text, sizeof(text), NULL, &cfg, &err),
        -EINVAL);
    assert_int_equal(err.column, 4001);
    assert_true(strlen(err.text) < 700);
}

static void test_every_prefix(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(full); len++) {
        char *copy = malloc(len + 1); /* exact, for the sanitizer */
        struct domain_config *cfg;
        struct config_error err;

        memcpy(copy, full, len);
        copy = realloc(copy, len ? len : 1);
        if (!domain_config_parse("p", copy, len, NULL, &cfg, &err))
            domain_config_free(cfg);
        else
            assert_true(strlen(err.text) > 0);
        free(copy);
    }
}

static void test_every_byte_spoilt(void **state)
{
    static const char spoil[] = "\0'\"\\[],=\n;#\xff+-";
    char copy[sizeof(full)];

    (void)state;
    for (size_t i = 0; i < sizeof(full) - 1; i++)
        for (size_t j = 0; j < sizeof(spoil) - 1; j++) {
            struct domain_config *cfg;
            struct config_error err;

            memcpy(copy, full, sizeof(full));
            copy[i] = spoil[j];
            if (!domain_config_parse("s", copy, sizeof(full) - 1, NULL, &cfg,
                                     &err))
                domain_config_free(cfg);
        }
}

static void test_json_round_trip(void **state)
{
    struct domain_config *cfg = parse(full), *again = NULL;
    json_t *json = domain_config_to_json(cfg), *json2;
    struct config_error err;

    (void)state;
    assert_non_null(json);
    assert_int_equal(domain_config_from_json(json, &again, &err), 0);
    check_full(again);
    check_full_devices(again);
    json2 = domain_config_to_json(again);
    assert_true(json_equal(json, json2));
    json_decref(json);
    json_decref(json2);
    domain_config_free(cfg);
    domain_config_free(again);
}

/* Each member of a record in turn gone, or something else. */
static void test_json_damaged(void **state)
{
    static const char *const optional[] = {"ramdisk",
                                           "root",
                                           "extra",
                                           "cpus",
                                           "event_channels",
                                           "max_grant_frames",
                                           "max_maptrack_frames"};
    struct domain_config *cfg = parse(full), *again;
    json_t *json = domain_config_to_json(cfg), *value;
    struct config_error err;
    const char *key;
    void *tmp;

    (void)state;
    json_object_foreach_safe(json, tmp, key, value)
    {
        json_t *copy = json_deep_copy(json);
        bool may_lack = false;

        for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
            may_lack |= !strcmp(optional[i], key);
        json_object_set_new(copy, key, json_real(0.5));
        assert_int_equal(domain_config_from_json(copy, &again, &err), -EINVAL);
        json_object_del(copy, key);
        if (!domain_config_from_json(copy, &again, &err)) {
            assert_true(may_lack);
            domain_config_free(again);
        }
        json_decref(copy);
    }
    json_decref(json);
    domain_config_free(cfg);
}

static void test_load(void **state)
{
    struct domain_config *cfg;
    struct config_error err;

    (void)state;
    assert_int_equal(domain_config_load("/no/such.cfg", NULL, &cfg, &err),
                     -ENOENT);
    assert_non_null(strstr(err.text, "/no/such.cfg: No such file"));
    assert_int_equal(domain_config_load("/", NULL, &cfg, &err), -EISDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_cmdline_stands_alone),
        cmocka_unit_test(test_strings_are_numbers),
        cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_override_error),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_syntax_errors),
        cmocka_unit_test(test_meaning_errors),
        cmocka_unit_test(test_whole_file_errors),
        cmocka_unit_test(test_message_shows_the_line),
        cmocka_unit_test(test_long_lines_and_names),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_every_byte_spoilt),
        cmocka_unit_test(test_json_round_trip),
        cmocka_unit_test(test_json_damaged),
        cmocka_unit_test(test_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
