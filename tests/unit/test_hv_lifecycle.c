/* SPDX-License-Identifier: MIT */
/*
 * Proves a domain's life as hv keeps it: ids, references that outlive it,
 * pauses that are counted and bounded, shutdown once, flags as Xen gives them;
 * regions for backends in flight; and a guest's clocks and run states, which
 * must be right whatever the TSC's rate and be read without tearing.
 */
#include "hv_host.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>
#include <xen/sched.h>
#include <xen/domctl.h>
#include "hv/client/kxen.h"
#include "hv/domctl.h"
#include "hv/inflight.h"
#include "hv/runstate.h"

/* As Xen's: negative is the default, 0 none. */
static void test_grant_limits(void **state)
{
    struct domain_create_args a = {
        .max_vcpus = 1, .max_grant_frames = -1, .max_maptrack_frames = 0};
    struct domain *d;

    (void)state;
    assert_int_equal(domain_create(&hvt, &a, &d), 0);
    assert_int_equal(d->gnttab_nr, 32);
    a.max_grant_frames = 0;
    assert_int_equal(domain_create(&hvt, &a, &d), 0);
    assert_int_equal(d->gnttab_nr, 0);
    a.max_grant_frames = 65;
    assert_int_equal(domain_create(&hvt, &a, &d), -EINVAL);
}

static void test_ids(void **state)
{
    struct domain_create_args a = {.max_vcpus = 1,
                                   .domid = 7,
                                   .max_grant_frames = -1,
                                   .max_maptrack_frames = -1};
    struct domain *d, *e, *f;

    (void)state;
    assert_int_equal(domain_create(&hvt, &a, &d), 0);
    assert_int_equal(domain_create(&hvt, &a, &e), -EEXIST);
    a.domid = 0;
    hvt.next_domid = 7;
    assert_int_equal(domain_create(&hvt, &a, &e), 0);
    assert_int_equal(e->domid, 8);
    hvt.next_domid = DOMID_FIRST_RESERVED;
    assert_int_equal(domain_create(&hvt, &a, &f), 0);
    assert_int_equal(f->domid, 1);
    a.domid = DOMID_FIRST_RESERVED;
    assert_int_equal(domain_create(&hvt, &a, &f), -EINVAL);
    a.domid = 0;
    a.max_vcpus = MAX_VCPUS + 1;
    assert_int_equal(domain_create(&hvt, &a, &f), -EINVAL);
    f = domain_get_next(&hvt, 2);
    assert_ptr_equal(f, d);
    domain_put(f);
    assert_null(domain_get_next(&hvt, 9));
}

static void test_reference_outlives(void **state)
{
    struct domain *d = hvt_domain(2), *again;
    domid_t id = d->domid;

    (void)state;
    again = domain_get(&hvt, id);
    assert_ptr_equal(again, d);
    domain_destroy(d);
    assert_null(domain_get(&hvt, id));
    /* The memory is there as long as somebody holds the domain. */
    memset(domain_frame(again, 0), 1, 4096);
    assert_int_equal(domain_set_max_mem(again, HVT_KIB), -ESRCH);
    domain_destroy(again); /* once is enough */
    domain_put(again);
}

static void test_dying_gets_no_memory(void **state)
{
    struct domain *d = hvt_domain_bare(1), *ref = domain_get(&hvt, d->domid);

    (void)state;
    domain_destroy(d);
    assert_int_equal(domain_set_max_mem(ref, HVT_KIB), -ESRCH);
    domain_put(ref);
}

static uint32_t flags(struct domain *d)
{
    struct xen_domctl_getdomaininfo i;

    domctl_fill_info(d, &i);
    return i.flags;
}

static void test_pauses(void **state)
{
    struct domain *d = hvt_domain(1);

    (void)state;
    assert_int_equal(domain_unpause_by_toolstack(d), -EINVAL);
    assert_true(domain_may_run(d));
    for (int i = 0; i < TOOLSTACK_PAUSES_MAX; i++)
        assert_int_equal(domain_pause_by_toolstack(d), 0);
    assert_int_equal(domain_pause_by_toolstack(d), -EOVERFLOW);
    assert_true(flags(d) & XEN_DOMINF_paused);
    for (int i = 0; i < TOOLSTACK_PAUSES_MAX; i++) {
        assert_false(domain_may_run(d));
        assert_int_equal(domain_unpause_by_toolstack(d), 0);
    }
    assert_true(domain_may_run(d));
    /* hv's own pause is not the toolstack's to take back. */
    domain_pause(d);
    assert_int_equal(domain_unpause_by_toolstack(d), -EINVAL);
    assert_false(flags(d) & XEN_DOMINF_paused);
    domain_unpause(d);
}

static void test_flags(void **state)
{
    struct domain *d = hvt_domain_bare(2);

    (void)state;
    assert_int_equal(flags(d), XEN_DOMINF_paused);
    assert_int_equal(flags(hvt.dom0), XEN_DOMINF_running);
    assert_int_equal(domain_set_max_mem(d, HVT_KIB), 0);
    d->vcpu[0]->up = d->vcpu[0]->initialised = true;
    assert_int_equal(domain_unpause_by_toolstack(d), 0);
    assert_int_equal(flags(d), XEN_DOMINF_running);
    atomic_store(&d->vcpu[0]->where, VCPU_ASLEEP);
    assert_int_equal(flags(d), XEN_DOMINF_blocked);
    domain_shutdown(d, SHUTDOWN_suspend);
    domain_shutdown(d, SHUTDOWN_crash); /* too late */
    assert_int_equal(flags(d),
                     XEN_DOMINF_blocked | XEN_DOMINF_shutdown |
                         SHUTDOWN_suspend << XEN_DOMINF_shutdownshift);
}

static void test_crash_reason(void **state)
{
    struct domain *d = hvt_domain(1);
    char longer[1000];

    (void)state;
    memset(longer, 'r', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    domain_crash(d, "first %s", longer);
    domain_crash(d, "second");
    assert_int_equal(strncmp(d->crash_reason, "first rrr", 9), 0);
    assert_int_equal(strlen(d->crash_reason), sizeof(d->crash_reason) - 1);
}

static void test_inflight(void **state)
{
    struct domain *d = hvt_domain_bare(1);
    char key[INFLIGHT_KEY_MAX + 1], *a, *b;
    int fd = inflight_get(d, "vbd", 8192), fd2;

    (void)state;
    assert_true(fd >= 0);
    a = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_int_equal(ftruncate(fd, 0), -1);
    close(fd);
    strcpy(a + 5000, "still here");
    assert_int_equal(inflight_get(d, "vbd", 4096), -EINVAL);
    fd2 = inflight_get(d, "vbd", 8192);
    /* Dropping it while somebody has just got it does him no harm. */
    assert_int_equal(inflight_drop(d, "vbd"), 0);
    assert_int_equal(inflight_drop(d, "vbd"), -ENOENT);
    b = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd2, 0);
    assert_string_equal(b + 5000, "still here");
    munmap(a, 8192);
    munmap(b, 8192);
    close(fd2);
    assert_int_equal(inflight_get(d, "", 4096), -EINVAL);
    assert_int_equal(inflight_get(d, "x", 0), -EINVAL);
    assert_int_equal(inflight_get(d, "x", INFLIGHT_SIZE + 1), -EINVAL);
    memset(key, 'k', sizeof(key));
    key[INFLIGHT_KEY_MAX] = 0;
    assert_int_equal(inflight_get(d, key, 4096), -EINVAL);
    for (int i = 0; i < INFLIGHT_MAX; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        fd = inflight_get(d, key, 1);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(inflight_get(d, "one more", 1), -ENOSPC);
}

/* ---- time ---- */

static uint64_t guest_time(const struct vcpu_time_info *t, uint64_t tsc)
{
    uint64_t delta = tsc - t->tsc_timestamp;

    delta = t->tsc_shift >= 0 ? delta << t->tsc_shift : delta >> -t->tsc_shift;
    return t->system_time +
           (uint64_t)((unsigned __int128)delta * t->tsc_to_system_mul >> 32);
}

static void test_tsc_scale(void **state)
{
    static const uint64_t khz[] = {1000,    100000,  999999,  1000000, 1000001,
                                   2000000, 2000001, 3187654, 9999999};
    struct domain *d = hvt_domain(1);
    struct vcpu *v = d->vcpu[0];
    const struct vcpu_time_info *t = &d->shared_info->vcpu_info[0].time;

    (void)state;
    for (size_t i = 0; i < sizeof(khz) / sizeof(khz[0]); i++) {
        uint64_t second, want = 1000000000;

        hvt_host.tsc_khz = khz[i];
        v->time_written_at = NULL;
        vcpu_update_time(v);
        assert_int_equal(t->version % 2, 0);
        second =
            guest_time(t, t->tsc_timestamp + khz[i] * 1000) - t->system_time;
        assert_in_range(second, want - 20, want + 20);
    }
}

static void test_clock(void **state)
{
    struct domain *d = hvt_domain(1);
    struct vcpu *v = d->vcpu[0];
    const struct vcpu_time_info *t = &d->shared_info->vcpu_info[0].time;
    uint64_t khz, tsc = __rdtsc(), ns = hv_system_time(&hvt), wall;

    (void)state;
    usleep(50000);
    khz = (__rdtsc() - tsc) * 1000000 / (hv_system_time(&hvt) - ns);
    hvt_host.tsc_khz = khz;
    vcpu_update_time(v);
    usleep(10000);
    ns = hv_system_time(&hvt);
    assert_in_range(guest_time(t, __rdtsc()), ns - 2000000, ns + 2000000);
    wall = (uint64_t)d->shared_info->wc_sec * 1000000000 +
           d->shared_info->wc_nsec + hv_system_time(&hvt);
    assert_in_range(wall / 1000000000, time(NULL) - 2, time(NULL) + 2);
    assert_int_equal(d->shared_info->wc_version % 2, 0);
    /* A guest that wrote an odd version gets an even one the next time. */
    ((struct vcpu_time_info *)t)->version = 7;
    v->time_written_at = NULL;
    vcpu_update_time(v);
    assert_int_equal(t->version % 2, 0);
}

static void test_runstate(void **state)
{
    struct domain *d = hvt_domain(1);
    struct vcpu *v = d->vcpu[0];
    struct vcpu_runstate_info *area = hvt_at(d, HVT_ARG), r;

    (void)state;
    atomic_store(&v->runstate_addr, HVT_ARG);
    runstate_set(v, RUNSTATE_running);
    assert_int_equal(area->state, RUNSTATE_running);
    usleep(2000);
    runstate_set(v, RUNSTATE_blocked);
    usleep(2000);
    runstate_get(v, &r);
    assert_int_equal(r.state, RUNSTATE_blocked);
    assert_true(r.time[RUNSTATE_running] >= 2000000);
    assert_true(r.time[RUNSTATE_blocked] >= 2000000);
    assert_int_equal(area->time[RUNSTATE_running], r.time[RUNSTATE_running]);
    assert_int_equal(area->state_entry_time, r.state_entry_time);
    /* With the update flag the result is the same, and the flag is off. */
    atomic_store(&d->vm_assist, 1ul << VMASST_TYPE_runstate_update_flag);
    runstate_set(v, RUNSTATE_running);
    assert_int_equal(area->state, RUNSTATE_running);
    assert_int_equal(area->state_entry_time & XEN_RUNSTATE_UPDATE, 0);
    /* An area that is no longer mapped is the guest's loss alone. */
    atomic_store(&v->runstate_addr, 0x1000);
    runstate_set(v, RUNSTATE_blocked);
    assert_int_equal(area->state, RUNSTATE_running);
}

static void test_vcpu_info(void **state)
{
    struct domain *d = hvt_domain(2);
    struct caller c = hvt_guest(d);
    struct vcpu_register_vcpu_info *r = hvt_at(d, HVT_ARG);
    struct vcpu_info *to = domain_frame(d, 500);
    uint64_t args[6] = {VCPUOP_register_vcpu_info, 1, HVT_ARG};

    (void)state;
    *r = (struct vcpu_register_vcpu_info){.mfn = 500};
    assert_int_equal(do_vcpu_op(&c, args), -EINVAL); /* it runs */
    d->vcpu[1]->up = false;
    r->mfn = d->shared_info_gfn + 1;
    assert_int_equal(do_vcpu_op(&c, args), -EINVAL);
    r->mfn = ~0ull;
    assert_int_equal(do_vcpu_op(&c, args), -EINVAL);
    r->mfn = 500;
    r->offset = 4096 - 8;
    assert_int_equal(do_vcpu_op(&c, args), -ENXIO);
    r->offset = 0;
    d->shared_info->vcpu_info[1].evtchn_upcall_mask = 1;
    assert_int_equal(do_vcpu_op(&c, args), 0);
    assert_ptr_equal(atomic_load(&d->vcpu[1]->vcpu_info), to);
    assert_int_equal(to->evtchn_upcall_mask, 1);
    assert_int_equal(to->evtchn_upcall_pending, 1);
    assert_int_equal(do_vcpu_op(&c, args), -EINVAL); /* only once */
}

/* ---- the log ---- */

static void test_log_ring(void **state)
{
    struct log_ring *r = log_ring_new(64);
    char buf[200];
    size_t n;

    (void)state;
    log_set_ring(r);
    hv_log("%s", "a line");
    n = log_read(buf, sizeof(buf), 0);
    assert_int_equal(n, strlen("(hv) a line\n"));
    assert_memory_equal(buf, "(hv) a line\n", n);
    assert_int_equal(log_read(buf, 3, 0), 3);
    assert_memory_equal(buf, "ne\n", 3); /* the newest win */
    for (int i = 0; i < 100; i++)
        hv_log("line %d", i);
    n = log_read(buf, sizeof(buf), 1);
    assert_int_equal(n, 64);
    assert_memory_equal(buf + n - 8, "line 99\n", 8);
    assert_int_equal(log_read(buf, sizeof(buf), 0), 0);
    hv_log("%0600d", 5); /* cut, not overrun */
    assert_int_equal(log_read(buf, sizeof(buf), 1), 64);
    assert_int_equal(buf[63], '\n');
    log_set_ring(NULL);
    log_ring_free(r);
    assert_int_equal(log_read(buf, sizeof(buf), 0), 0);
}

static void test_run_dir(void **state)
{
    char longer[400], buf[32];

    (void)state;
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("KXEN_RUN_DIR");
    assert_string_equal(kxen_run_dir(), "/run/kxen");
    setenv("XDG_RUNTIME_DIR", "/x", 1);
    assert_string_equal(kxen_run_dir(), "/x/kxen");
    setenv("KXEN_RUN_DIR", "", 1);
    assert_string_equal(kxen_run_dir(), "/x/kxen");
    setenv("KXEN_RUN_DIR", "/k", 1);
    assert_int_equal(kxen_path(buf, sizeof(buf), "hv.sock"), 0);
    assert_string_equal(buf, "/k/hv.sock");
    assert_int_equal(kxen_path(buf, 10, "hv.sock"), -ENAMETOOLONG);
    memset(longer, 'l', sizeof(longer));
    longer[399] = 0;
    assert_int_equal(kxen_set_run_dir(longer), -ENAMETOOLONG);
    assert_string_equal(kxen_run_dir(), "/k");
}

#define T(f) cmocka_unit_test_setup_teardown(f, hvt_setup, hvt_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_grant_limits),
        T(test_ids),
        T(test_reference_outlives),
        T(test_dying_gets_no_memory),
        T(test_pauses),
        T(test_flags),
        T(test_crash_reason),
        T(test_inflight),
        T(test_tsc_scale),
        T(test_clock),
        T(test_runstate),
        T(test_vcpu_info),
        cmocka_unit_test(test_log_ring),
        cmocka_unit_test(test_run_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
