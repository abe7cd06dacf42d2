/* SPDX-License-Identifier: MIT */
/*
 * Proves that the nodes dom0 plans for a domain are those that libxl writes:
 * the paths and values a frontend and a backend look for, with the permissions
 * that keep a guest to its own, and each state after what it announces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "dom0/devices.h"

#define UUID "12345678-9abc-def0-1234-56789abcdef0"

static const char config_text[] =
    "name = \"web\"\nkernel = \"/boot/k.elf\"\nmemory = 64\nmaxmem = 128\n"
    "vcpus = 1\nmaxvcpus = 2\nuuid = \"" UUID "\"\nextra = \"x=1\"\n"
    "disk = [ \"/img/a.raw,raw,xvda,w\", \"/img/b.raw,raw,xvdb,r\" ]\n"
    "vif = [ \"bridge=br0\" ]\n";

static const struct builder_result built = {.store_frame = 700,
                                            .console_frame = 701,
                                            .store_port = 1,
                                            .console_port = 2};

struct fixture {
    struct domain_config *cfg;
    struct plan plan;
};

static int setup(void **state)
{
    static struct fixture f;
    struct config_error err;

    memset(&f, 0, sizeof(f));
    f.plan.domid = 3;
    *state = &f;
    return domain_config_parse("web.cfg", config_text, strlen(config_text),
                               NULL, &f.cfg, &err);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    plan_free(&f->plan);
    domain_config_free(f->cfg);
    return 0;
}

static void expect_node(const struct plan *plan, const char *path,
                        const char *value)
{
    const struct node *node = plan_find(plan, path);

    if (!node)
        fail_msg("%s is not planned", path);
    else if (value)
        assert_string_equal(node->value, value);
    else
        assert_null(node->value);
}

static size_t place_of(const struct plan *plan, const char *path)
{
    size_t i;

    for (i = 0; i < plan->nr; i++)
        if (!strcmp(plan->nodes[i].path, path))
            return i;
    fail_msg("%s is not planned", path);
    return 0;
}

static enum node_perms perms_of(const struct plan *plan, const char *path)
{
    return plan->nodes[place_of(plan, path)].perms;
}

static void domain_nodes(void **state)
{
    struct fixture *f = *state;
    struct plan *p = &f->plan;

    plan_domain(p, f->cfg, &built, 1000);
    expect_node(p, "/local/domain/3/name", "web");
    expect_node(p, "/local/domain/3/domid", "3");
    expect_node(p, "/local/domain/3/vm", "/vm/" UUID);
    expect_node(p, "/vm/" UUID "/name", "web");
    expect_node(p, "/vm/" UUID "/start_time", "1000");
    expect_node(p, "/local/domain/3/memory/target", "65536");
    expect_node(p, "/local/domain/3/memory/static-max", "131072");
    expect_node(p, "/local/domain/3/cpu/0/availability", "online");
    expect_node(p, "/local/domain/3/cpu/1/availability", "offline");
    expect_node(p, "/local/domain/3/store/port", "1");
    expect_node(p, "/local/domain/3/store/ring-ref", "700");
    expect_node(p, "/local/domain/3/control/shutdown", "");
    assert_false(p->failed);
}

/* The guest may write where it must, and nowhere else. */
static void domain_permissions(void **state)
{
    static const char *const own[] = {
        "control/shutdown", "data", "drivers", "attr", "error", "feature"};
    static const char *const ours[] = {"control", "memory", "device"};
    struct fixture *f = *state;
    char path[96];
    size_t i;

    plan_domain(&f->plan, f->cfg, &built, 0);
    for (i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        snprintf(path, sizeof(path), "/local/domain/3/%s", own[i]);
        assert_int_equal(perms_of(&f->plan, path), NODE_RW);
    }
    for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        snprintf(path, sizeof(path), "/local/domain/3/%s", ours[i]);
        assert_int_equal(perms_of(&f->plan, path), NODE_RO);
    }
    assert_int_equal(perms_of(&f->plan, "/local/domain/3"), NODE_RO);
    assert_int_equal(perms_of(&f->plan, "/libxl/3"), NODE_PRIVATE);
}

static void console_nodes(void **state)
{
    struct fixture *f = *state;
    struct plan *p = &f->plan;

    plan_console(p, &built);
    expect_node(p, "/local/domain/3/console/port", "2");
    expect_node(p, "/local/domain/3/console/ring-ref", "701");
    expect_node(p, "/local/domain/3/console/limit", "1048576");
    expect_node(p, "/local/domain/3/console/type", "xenconsoled");
    expect_node(p, "/local/domain/3/console/tty", "");
    expect_node(p, "/local/domain/0/backend/console/3/0/frontend",
                "/local/domain/3/console");
    /* A guest that could write its own ring-ref would map what it likes. */
    assert_int_equal(perms_of(p, "/local/domain/3/console"), NODE_RO);
}

static void disk_nodes(void **state)
{
    const char *be = "/local/domain/0/backend/vbd/3/51712";
    const char *fe = "/local/domain/3/device/vbd/51712";
    struct fixture *f = *state;
    struct plan *p = &f->plan;

    plan_disk(p, &f->cfg->disks[0]);
    plan_disk(p, &f->cfg->disks[1]);
    expect_node(p, "/local/domain/3/device/vbd/51712/backend", be);
    expect_node(p, "/local/domain/3/device/vbd/51712/backend-id", "0");
    expect_node(p, "/local/domain/3/device/vbd/51712/virtual-device", "51712");
    expect_node(p, "/local/domain/0/backend/vbd/3/51712/frontend", fe);
    expect_node(p, "/local/domain/0/backend/vbd/3/51712/frontend-id", "3");
    expect_node(p, "/local/domain/0/backend/vbd/3/51712/params", "/img/a.raw");
    expect_node(p, "/local/domain/0/backend/vbd/3/51712/mode", "w");
    expect_node(p, "/local/domain/0/backend/vbd/3/51728/mode", "r");
    expect_node(p, "/local/domain/0/backend/vbd/3/51712/online", "1");
    assert_int_equal(perms_of(p, fe), NODE_FRONT);
    assert_int_equal(perms_of(p, be), NODE_RO);
    assert_true(place_of(p, "/local/domain/0/backend/vbd/3/51712/state") >
                place_of(p, "/local/domain/0/backend/vbd/3/51712/params"));
    assert_true(place_of(p, "/local/domain/3/device/vbd/51712/state") >
                place_of(p, "/local/domain/3/device/vbd/51712/backend-id"));
}

/* Without mac= an interface still has the same address after a reboot. */
static void vif_mac_is_stable(void **state)
{
    struct fixture *f = *state;
    const char *mac;

    plan_vif(&f->plan, &f->cfg->vifs[0], 0, UUID);
    plan_vif(&f->plan, &f->cfg->vifs[0], 1, UUID);
    plan_vif(&f->plan, &f->cfg->vifs[0], 2, UUID);
    mac = plan_find(&f->plan, "/local/domain/3/device/vif/0/mac")->value;
    assert_memory_equal(mac, "00:16:3e:", 9);
    assert_string_not_equal(
        mac, plan_find(&f->plan, "/local/domain/3/device/vif/1/mac")->value);
    expect_node(&f->plan, "/local/domain/0/backend/vif/3/0/mac", mac);
    expect_node(&f->plan, "/local/domain/0/backend/vif/3/0/bridge", "br0");
}

static void last_entry_wins(void **state)
{
    struct fixture *f = *state;

    plan_add(&f->plan, NODE_RO, "1", "/a/%d", 1);
    plan_add_num(&f->plan, NODE_RW, -2, "/a/1");
    expect_node(&f->plan, "/a/1", "-2");
    assert_null(plan_find(&f->plan, "/a"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(domain_nodes), T(domain_permissions), T(console_nodes),
        T(disk_nodes),   T(vif_mac_is_stable),  T(last_entry_wins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
