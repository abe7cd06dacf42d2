/* SPDX-License-Identifier: MIT */
/*
 * Proves that a domain's memory is what hv says it is: sizes and limits, what
 * populate and decrease give and take, the hole of the APIC, no more than was
 * agreed; and that a guest's page tables, however hostile, lead hv to nothing
 * but the guest's own memory.
 */
#include "hv_host.h"

#include <fcntl.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include "hv/pv/pv.h"

#define PTE_P  1ull
#define PTE_RW 2ull
#define PTE_PS 0x80ull

static void test_sizes(void **state)
{
    struct domain *d = hvt_domain_bare(1);

    (void)state;
    assert_int_equal(domain_set_max_mem(d, 0), -EINVAL);
    assert_int_equal(domain_set_max_mem(d, 3), -EINVAL);
    assert_int_equal(domain_set_max_mem(d, (1ull << 30) + 4), -EINVAL);
    assert_int_equal(domain_populate(d, 1, NULL), -EINVAL);
    assert_int_equal(domain_set_max_mem(d, HVT_KIB), 0);
    assert_int_equal(domain_set_max_mem(d, HVT_KIB + 4), -ENOMEM);
    assert_int_equal(domain_set_max_mem(hvt.dom0, HVT_KIB), -EEXIST);
    assert_int_equal(d->max_pages, 2048);
    assert_true(d->nr_frames > d->max_pages);
    assert_null(domain_frame(d, d->nr_frames));
    assert_null(domain_frame(d, ~0ull));
    assert_false(domain_owns_frame(d, 0));
}

static void test_more_than_the_host_has(void **state)
{
    struct domain *d = hvt_domain_bare(1);
    struct sysinfo si;

    (void)state;
    if (sysinfo(&si) || (uint64_t)si.totalram * si.mem_unit >> 40)
        skip(); /* it has a TiB */
    assert_int_equal(domain_set_max_mem(d, 1ull << 30), -ENOMEM);
    assert_int_equal(domain_set_max_mem(d, HVT_KIB), 0);
}

static void test_sealed(void **state)
{
    struct domain *d = hvt_domain(1);

    (void)state;
    /* Who holds the descriptor cannot take memory from under hv. */
    assert_int_equal(ftruncate(d->mem_fd, 4096), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl(d->mem_fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
}

static void test_populate(void **state)
{
    struct domain *d = hvt_domain_bare(1);
    uint64_t gfns[2048];

    (void)state;
    assert_int_equal(domain_set_max_mem(d, HVT_KIB), 0);
    assert_int_equal(domain_populate(d, 2049, gfns), -ENOMEM);
    assert_int_equal(d->tot_pages, 0);
    assert_int_equal(domain_populate(d, 2048, gfns), 0);
    for (unsigned int i = 0; i < 2048; i++)
        assert_int_equal(gfns[i], i);
    assert_int_equal(domain_populate(d, 1, gfns), -ENOMEM);
    assert_int_equal(d->tot_pages, 2048);
    assert_true(domain_owns_frame(d, 2047));
    assert_false(domain_owns_frame(d, 2048));
    assert_false(domain_owns_frame(d, d->shared_info_gfn));
}

/* The list of frames goes behind the argument. */
static long reserve(struct domain *d, unsigned int cmd, unsigned int order,
                    unsigned long n, const uint64_t *frames)
{
    struct xen_memory_reservation r = {
        .nr_extents = n,
        .extent_order = order,
        .domid = DOMID_SELF,
    };
    uint64_t list = HVT_ARG + 4096;

    memcpy(hvt_at(d, list), frames, n * 8);
    r.extent_start.p = (xen_pfn_t *)list;
    return hvt_call(d, __HYPERVISOR_memory_op, cmd, &r, sizeof(r), 0);
}

static void test_decrease_and_back(void **state)
{
    struct domain *d = hvt_domain(1);
    uint64_t out[3] = {100, 2000, 5000}, in[2] = {7000, 7001}, *list;

    (void)state;
    memset(domain_frame(d, 100), 0xa5, 4096);
    /* The third is not the guest's: two are taken. */
    assert_int_equal(reserve(d, XENMEM_decrease_reservation, 0, 3, out), 2);
    assert_int_equal(d->tot_pages, 2046);
    assert_false(domain_owns_frame(d, 100));
    assert_int_equal(*(uint64_t *)domain_frame(d, 100), 0);
    assert_int_equal(reserve(d, XENMEM_decrease_reservation, 0, 1, out), 0);
    assert_int_equal(reserve(d, XENMEM_populate_physmap, 0, 2, in), 2);
    list = hvt_at(d, HVT_ARG + 4096);
    assert_int_equal(list[0], 100);
    assert_int_equal(list[1], 2000);
    assert_int_equal(reserve(d, XENMEM_populate_physmap, 0, 1, in), 0);
    assert_int_equal(d->tot_pages, 2048);
}

static void test_extents(void **state)
{
    struct domain *d = hvt_domain(1);
    uint64_t at[1] = {512}, odd[1] = {2047};

    (void)state;
    assert_int_equal(reserve(d, XENMEM_decrease_reservation, 9, 1, at), 1);
    assert_int_equal(d->tot_pages, 2048 - 512);
    /* Over the end: nothing is taken. */
    assert_int_equal(reserve(d, XENMEM_decrease_reservation, 1, 1, odd), 0);
    assert_int_equal(reserve(d, XENMEM_populate_physmap, 10, 1, at), 0);
    assert_int_equal(d->tot_pages, 2048 - 512);
    assert_int_equal(reserve(d, XENMEM_populate_physmap, 9, 1, at), 1);
    assert_int_equal(*(uint64_t *)hvt_at(d, HVT_ARG + 4096), 512);
    assert_int_equal(reserve(d, XENMEM_populate_physmap, 63, 1, at), 0);
    assert_int_equal(d->tot_pages, 2048);
}

static void test_other_domains(void **state)
{
    struct domain *d = hvt_domain(1), *other = hvt_domain(1);
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = other->domid};
    domid_t self = DOMID_SELF;

    (void)state;
    assert_int_equal(hvt_call(d, __HYPERVISOR_memory_op,
                              XENMEM_decrease_reservation, &r, sizeof(r), 0),
                     0);
    assert_int_equal(hvt_call(d, __HYPERVISOR_memory_op,
                              XENMEM_current_reservation, &self, 2, 0),
                     2048);
    assert_int_equal(hvt_call(d, __HYPERVISOR_memory_op,
                              XENMEM_maximum_reservation, &other->domid, 2, 0),
                     -EPERM);
}

static void test_copy(void **state)
{
    struct domain *d = hvt_domain(1);
    struct caller c = hvt_guest(d);
    char buf[9000], back[9000] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(buf); i++)
        buf[i] = i * 7;
    /* Over two page borders, which are apart in memory. */
    hvt_table(d, 3)[21] = 300ull << 12 | 7;
    assert_int_equal(
        copy_to_guest(&c, GUEST_ADDR(HVT_VA + 20 * 4096 + 77), buf, 9000), 0);
    assert_memory_equal(domain_frame(d, 300), buf + 4096 - 77, 4096);
    assert_int_equal(
        copy_from_guest(&c, back, GUEST_ADDR(HVT_VA + 20 * 4096 + 77), 9000),
        0);
    assert_memory_equal(buf, back, 9000);
}

static void test_bad_addresses(void **state)
{
    static const uint64_t bad[] = {
        0,
        HVT_VA - 1,
        HVT_VA + (HVT_KIB << 10),     /* not mapped */
        HVT_VA + (HVT_KIB << 10) - 4, /* runs over the end */
        0x0000800000000000ull,        /* not canonical */
        0xffff7fffffffffffull,
        MON_VA, /* hv's slots */
        M2P_VA,
        ~0ull,
    };
    struct domain *d = hvt_domain(1);
    struct caller c = hvt_guest(d);
    uint64_t x;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(copy_from_guest(&c, &x, GUEST_ADDR(bad[i]), 8),
                         -EFAULT);
        assert_int_equal(copy_to_guest(&c, GUEST_ADDR(bad[i]), &x, 8), -EFAULT);
    }
}

static void test_hostile_tables(void **state)
{
    static const uint64_t pte[] = {
        0,
        6,                         /* not present */
        0x000ffffffffff000ull | 7, /* the end of the world */
        0x0000000100000000ull | 7, /* past the memory */
        1ull << 51 | 7,
    };
    struct domain *d = hvt_domain(1);
    struct caller c = hvt_guest(d);
    uint64_t x, saved;

    (void)state;
    for (unsigned int table = 0; table < 4; table++) {
        unsigned int i = table == 1 ? 1 : table == 3 ? 8 : 0;

        saved = hvt_table(d, table)[i];
        for (size_t k = 0; k < sizeof(pte) / sizeof(pte[0]); k++) {
            hvt_table(d, table)[i] = pte[k];
            assert_int_equal(copy_from_guest(&c, &x, GUEST_ADDR(HVT_ARG), 8),
                             -EFAULT);
        }
        hvt_table(d, table)[i] = saved;
    }
    /* A table that is its own child is walked four steps, no more. */
    hvt_table(d, 0)[0] = 0 << 12 | 7;
    assert_int_equal(copy_from_guest(&c, &x, GUEST_ADDR(0), 8), 0);
    d->vcpu[0]->cr3 = ~0ull;
    assert_int_equal(copy_from_guest(&c, &x, GUEST_ADDR(HVT_ARG), 8), -EFAULT);
}

static void test_large_and_read_only(void **state)
{
    struct domain *d = hvt_domain(1);
    struct caller c = hvt_guest(d);
    uint64_t x = 42;

    (void)state;
    hvt_table(d, 2)[5] = 2ull << 21 | PTE_P | PTE_RW | PTE_PS;
    hvt_table(d, 2)[6] = 900ull << 21 | PTE_P | PTE_RW | PTE_PS;
    assert_int_equal(
        copy_to_guest(&c, GUEST_ADDR(HVT_VA + (5 << 21) + 4096), &x, 8), 0);
    assert_int_equal(*(uint64_t *)domain_frame(d, 1025), 42);
    assert_int_equal(copy_to_guest(&c, GUEST_ADDR(HVT_VA + (6 << 21)), &x, 8),
                     -EFAULT);
    hvt_table(d, 3)[30] = 30ull << 12 | PTE_P;
    assert_int_equal(copy_to_guest(&c, GUEST_ADDR(HVT_VA + 30 * 4096), &x, 8),
                     -EFAULT);
    assert_int_equal(copy_from_guest(&c, &x, GUEST_ADDR(HVT_VA + 30 * 4096), 8),
                     0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, hvt_setup, hvt_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_sizes),
        T(test_more_than_the_host_has),
        T(test_sealed),
        T(test_populate),
        T(test_decrease_and_back),
        T(test_extents),
        T(test_other_domains),
        T(test_copy),
        T(test_bad_addresses),
        T(test_hostile_tables),
        T(test_large_and_read_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
