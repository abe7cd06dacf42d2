/* SPDX-License-Identifier: MIT */
/*
 * Proves that disk specifications are read as xl-disk-configuration(5) says,
 * in their positional, key=value and deprecated forms, that virtual device
 * names give Xen's numbers, and the same for vif and trapped specifications.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include "dom0/disk_spec.h"
#include "dom0/trapped_spec.h"
#include "dom0/vif_spec.h"

static struct disk_spec disk(const char *text)
{
    struct disk_spec d;
    struct spec_error err;
    int rc = disk_spec_parse(text, &d, &err);

    if (rc)
        print_error("%s: %s\n", text, err.text);
    assert_int_equal(rc, 0);
    return d;
}

static void disk_fails(const char *text, size_t offset, const char *words)
{
    struct disk_spec d;
    struct spec_error err;

    assert_int_equal(disk_spec_parse(text, &d, &err), -EINVAL);
    if (err.offset != offset || !strstr(err.text, words))
        print_error("%s: wanted %zu '%s', got %zu %s\n", text, offset, words,
                    err.offset, err.text);
    assert_int_equal(err.offset, offset);
    assert_non_null(strstr(err.text, words));
    assert_null(d.target);
    assert_null(d.vdev);
}

static void expect(const char *text, const char *target, uint32_t devid,
                   enum disk_format format, bool readonly)
{
    struct disk_spec d = disk(text);

    if (target)
        assert_string_equal(d.target, target);
    else
        assert_null(d.target);
    assert_int_equal(d.devid, devid);
    assert_int_equal(d.format, format);
    assert_int_equal(d.readonly, readonly);
    disk_spec_free(&d);
}

static void test_positional(void **state)
{
    (void)state;
    expect("/a,raw,xvda,w", "/a", 51712, DISK_FORMAT_RAW, false);
    expect("/a,raw,xvda,rw", "/a", 51712, DISK_FORMAT_RAW, false);
    expect("/a,qcow2,sdb,r", "/a", 2064, DISK_FORMAT_QCOW2, true);
    expect("/a,,hdb", "/a", 832, DISK_FORMAT_RAW, false);
    expect("/a, vhd, hdc:disk, ro", "/a", 5632, DISK_FORMAT_VHD, true);
    expect(" /a b , raw , xvda , ", "/a b", 51712, DISK_FORMAT_RAW, false);
}

static void test_keys(void **state)
{
    (void)state;
    expect("vdev=xvdb,target=/a", "/a", 51728, DISK_FORMAT_RAW, false);
    expect("format=raw, vdev=xvda, access=ro, target=/x,y=z ", "/x,y=z", 51712,
           DISK_FORMAT_RAW, true);
    expect("/a,vdev=xvda", "/a", 51712, DISK_FORMAT_RAW, false);
    expect("vdev=xvda,/a,qed,r", "/a", 51712, DISK_FORMAT_QED, true);
    expect("format=,vdev=xvda,access=,target=/a", "/a", 51712, DISK_FORMAT_RAW,
           false);
    expect("vdev=hdc,cdrom,target=", NULL, 5632, DISK_FORMAT_EMPTY, true);
    expect(",empty,hdc:cdrom,r", NULL, 5632, DISK_FORMAT_EMPTY, true);
    expect("/i,raw,hdc,devtype=cdrom", "/i", 5632, DISK_FORMAT_RAW, true);
}

static void test_flags(void **state)
{
    struct disk_spec d =
        disk("/a,raw,xvda,w,no-discard,direct-io-safe,removable,"
             "backendtype=qdisk,backend=dd,script=block-x,specification=xen");

    (void)state;
    assert_false(d.discard);
    assert_true(d.direct_io_safe);
    assert_true(d.removable);
    assert_false(d.cdrom);
    assert_int_equal(d.backendtype, DISK_BACKEND_QDISK);
    assert_string_equal(d.backend, "dd");
    assert_string_equal(d.script, "block-x");
    disk_spec_free(&d);
    d = disk("/a,raw,xvda");
    assert_true(d.discard);
    disk_spec_free(&d);
}

static void test_deprecated(void **state)
{
    struct disk_spec d = disk("nbd:host:10809,xvda,w");

    (void)state;
    assert_string_equal(d.target, "host:10809");
    assert_string_equal(d.script, "block-nbd");
    disk_spec_free(&d);
    expect("phy:/dev/x,xvda,w", "/dev/x", 51712, DISK_FORMAT_RAW, false);
    expect("file:/a,hda1,r", "/a", 769, DISK_FORMAT_RAW, true);
    expect("raw:/a,sda,w", "/a", 2048, DISK_FORMAT_RAW, false);
    expect("tap:aio:/a,xvda,w", "/a", 51712, DISK_FORMAT_RAW, false);
    expect("tap2:qcow2:/a,xvda,w", "/a", 51712, DISK_FORMAT_QCOW2, false);
    expect("vhd:/a,xvda,r", "/a", 51712, DISK_FORMAT_VHD, true);
    expect("tap:tapdisk:qcow:/a,xvda,r", "/a", 51712, DISK_FORMAT_QCOW, true);
}

static void test_disk_errors(void **state)
{
    (void)state;
    disk_fails("", 0, "expected a vdev");
    disk_fails("/a,raw", 6, "expected a vdev");
    disk_fails("vdev=xvda", 9, "expected a target");
    disk_fails("/a,xvda,w", 3, "expected a format");
    disk_fails("/a,xvda,w", 3, "target,format,vdev,access");
    disk_fails("/a,raw,nope,w", 7, "virtual device");
    disk_fails("/a,raw,xvda,x", 12, "access mode");
    disk_fails("/a,raw,xvda,w,extra", 14, "at most");
    disk_fails("/a,raw,xvda,w,colour=red", 14, "found 'colour'");
    disk_fails("/a,raw,xvda,target=/b", 12, "only once");
    disk_fails("/a,raw,xvda,vdev=xvdb", 12, "only once");
    disk_fails("/a,raw,hdc:tape,w", 10, "':cdrom'");
    disk_fails("/a,raw,xvda,w,devtype=tape", 22, "cdrom or disk");
    disk_fails("/a,raw,xvda,w,backendtype=x", 26, "backendtype");
    disk_fails("/a,empty,xvda,w", 3, "no target");
    disk_fails("/a,raw,xvda,w,discard,no-discard", 22, "only once");
    disk_fails("/a,raw,xvda,w,specification=virtio", 28, "trapped");
    disk_fails("/a,raw,xvda,=x", 12, "name before '='");
    disk_fails("averyveryveryverylongparametername=1", 0, "a parameter");
}

static void test_vdev(void **state)
{
    static const struct {
        const char *name;
        uint32_t devid;
    } good[] = {
        {"xvda", 51712},
        {"xvda1", 51713},
        {"xvda15", 51727},
        {"xvdb", 51728},
        {"xvdp", 51952},
        {"xvdp15", 51967},
        {"xvdq", 268439552},
        {"xvdq1", 268439553},
        {"xvda16", 268435472},
        {"xvdaa", 268435456 + (26 << 8)},
        {"hda", 768},
        {"hda63", 831},
        {"hdb", 832},
        {"hdc", 5632},
        {"hdd1", 5697},
        {"sda", 2048},
        {"sdp15", 2303},
        {"d0", 51712},
        {"d0p0", 51712},
        {"d1p2", 51730},
        {"d16p255", 268439552 + 255},
        {"51712", 51712},
        {"0xca00", 51712},
        {"0", 0},
    };
    static const char *const bad[] = {
        "",       "x",          "xvd",      "xvd1",         "xvdA",
        "xvda0",  "xvda01",     "xvda1x",   "xvda256",      "hde",
        "hda64",  "sdq",        "sda16",    "dp1",          "d0p",
        "d0p1x",  "d01",        "d1048576", "51712x",       "-1",
        "d0p256", "xvdzzzzz",   " xvda",    "4294967296",   "xvda-1",
        "d0p-1",  "2147483648", "hda1 ",    "d99999999999",
    };
    uint32_t devid;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(vdev_to_devid(good[i].name, &devid), 0);
        assert_int_equal(devid, good[i].devid);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (!vdev_to_devid(bad[i], &devid))
            print_error("'%s' is taken\n", bad[i]);
        assert_int_equal(vdev_to_devid(bad[i], &devid), -EINVAL);
    }
}

static void vif_rate(const char *text, uint64_t bytes, uint32_t usecs)
{
    struct vif_spec vif;
    struct spec_error err;

    assert_int_equal(vif_spec_parse(text, &vif, &err), 0);
    assert_int_equal(vif.rate_bytes, bytes);
    assert_int_equal(vif.rate_usecs, usecs);
    vif_spec_free(&vif);
}

static void test_vif(void **state)
{
    struct vif_spec vif;
    struct spec_error err;

    (void)state;
    assert_int_equal(vif_spec_parse("type=vif, mac=00:16:3E:aa:bb:cc , "
                                    "bridge=b,ip=1.2.3.4 5.6.7.8,vifname=v,"
                                    "script=s,backend=d,devid=3,mtu=1500,"
                                    "gatewaydev=g,model=m",
                                    &vif, &err),
                     0);
    assert_memory_equal(vif.mac, "\x00\x16\x3e\xaa\xbb\xcc", 6);
    assert_string_equal(vif.ip, "1.2.3.4 5.6.7.8");
    assert_int_equal(vif.devid, 3);
    assert_int_equal(vif.mtu, 1500);
    vif_spec_free(&vif);
    vif_rate("rate=10Mb/s", 62500, 50000);
    vif_rate("rate=250KB/s", 12500, 50000);
    vif_rate("rate=1MB/s@20ms", 20000, 20000);
    vif_rate("rate=1GB/s@1s", 1000000000, 1000000);
}

static void test_vif_errors(void **state)
{
    static const char *const bad[] = {
        "mac=1",
        "mac=01:00:00:00:00:00",
        "type=ioemu",
        "rate=fast",
        "rate=0B/s",
        "rate=1MB/s@",
        "rate=1MB/s@x",
        "rate=1M/s",
        "rate=1b/s",
        "devid=x",
        "devid=65536",
        "mtu=67",
        "bridge=a,bridge=b",
        "colour=red",
        "word",
        "=",
        "rate=4294967295GB/s",
        "devid=",
    };
    struct vif_spec vif;
    struct spec_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int rc = vif_spec_parse(bad[i], &vif, &err);

        if (rc != -EINVAL)
            print_error("'%s' gives %d\n", bad[i], rc);
        assert_int_equal(rc, -EINVAL);
        assert_true(strlen(err.text) > 0);
    }
}

static void test_trapped(void **state)
{
    static const char *const bad[] = {
        "",
        "floppy",
        "uart,ro",
        "ata",
        "ata,ro",
        "virtio",
        "ata,target=",
        "ata,target=/a,target=/b",
        "kind=uart",
        "ata,x=y",
        "ata,ioeventfd,target=/a",
        "uart=",
    };
    struct trapped_spec dev;
    struct spec_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(trapped_spec_parse(bad[i], &dev, &err), -EINVAL);
    assert_int_equal(
        trapped_spec_parse("virtio, rw, target=/a b, ioeventfd", &dev, &err),
        0);
    assert_string_equal(dev.target, "/a b");
    assert_true(dev.ioeventfd);
    assert_false(dev.readonly);
    trapped_spec_free(&dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_positional),  cmocka_unit_test(test_keys),
        cmocka_unit_test(test_flags),       cmocka_unit_test(test_deprecated),
        cmocka_unit_test(test_disk_errors), cmocka_unit_test(test_vdev),
        cmocka_unit_test(test_vif),         cmocka_unit_test(test_vif_errors),
        cmocka_unit_test(test_trapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
