/* SPDX-License-Identifier: MIT */
/*
 * Proves that the domain builder fills a domain's memory as the PV boot
 * contract says, without a hypervisor: the page tables are walked as a CPU
 * would, and through them every part is found where start_info puts it, with
 * page tables read-only, for kernels with and without INIT_P2M and
 * MOD_START_PFN, low and high, with identity and scattered frames.  Memory that
 * is too small, by one page or by much, is refused with what would do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <unistd.h>
#include "dom0/builder.h"
#include "tests/unit/test_elf_maker.h"

#define LINUX_BASE 0xffffffff80000000ull
#define PVGRUB     "/usr/lib/grub-xen/grub-x86_64-xen.bin"
#define PAGE       4096ull
#define ADDR       0x000ffffffffff000ull

/* A domain under test and all it was made from. */
struct guest {
    struct image kernel, ramdisk;
    struct elf_kernel elf;
    struct builder_input in;
    struct builder_layout l;
    uint8_t *mem;
    uint64_t mem_frames;
    xen_pfn_t *p2m; /* NULL: identity */
    struct vcpu_guest_context ctx;
};

static const struct builder_ids ids = {0x12345000, 7, 9};

static void guest_free(struct guest *g)
{
    image_free(&g->kernel);
    image_free(&g->ramdisk);
    free(g->mem);
    free(g->p2m);
}

static void set_input(struct guest *g, uint64_t mib)
{
    g->in = (struct builder_input){
        .kernel = &g->kernel,
        .elf = &g->elf,
        .ramdisk = g->ramdisk.len ? &g->ramdisk : NULL,
        .cmdline = "console=hvc0 x",
        .nr_pages = mib << 8,
    };
}

/* Pages in reverse order, a frame in two, to tell pfn from mfn. */
static void scatter(struct guest *g)
{
    uint64_t n = g->in.nr_pages;

    g->mem_frames = 2 * n;
    g->p2m = calloc(n, sizeof(*g->p2m));
    for (uint64_t i = 0; i < n; i++)
        g->p2m[i] = 2 * (n - 1 - i) + 1;
}

static void build(struct guest *g)
{
    struct image_error err = {""};

    if (!g->mem_frames)
        g->mem_frames = g->in.nr_pages;
    g->mem = calloc(g->mem_frames, PAGE);
    assert_non_null(g->mem);
    if (builder_layout(&g->in, &g->l, &err) ||
        builder_write(&g->in, &g->l, &ids, g->mem, g->mem_frames, g->p2m, &err))
        fail_msg("%s", err.text);
    builder_context(&g->in, &g->l, g->p2m, &g->ctx);
}

/* The entry that maps va, 0 when nothing does. */
static uint64_t walk(const struct guest *g, uint64_t va)
{
    uint64_t entry = g->ctx.ctrlreg[3] | 0x67;

    for (int shift = 39; shift >= 12; shift -= 9) {
        if (!(entry & 1))
            return 0;
        assert_int_equal(entry & 0x65, 0x65);
        assert_true((entry & ADDR) >> 12 < g->mem_frames);
        memcpy(&entry, g->mem + (entry & ADDR) + (va >> shift & 511) * 8, 8);
    }
    return entry;
}

static uint64_t mfn(const struct guest *g, uint64_t pfn)
{
    return g->p2m ? g->p2m[pfn] : pfn;
}

/* The memory at va, which must be mapped; valid to the end of its page. */
static void *at(const struct guest *g, uint64_t va)
{
    uint64_t entry = walk(g, va);

    assert_true(entry & 1);
    return g->mem + (entry & ADDR) + (va & (PAGE - 1));
}

static void check_bytes(const struct guest *g, uint64_t va, const uint8_t *want,
                        size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (*(uint8_t *)at(g, va + i) != want[i])
            fail_msg("byte %zu of what lies at %lx is wrong", i, va);
}

/* Every page of the main map, and nothing before and behind it. */
static void check_main_map(const struct guest *g)
{
    uint64_t va = g->l.virt_base, tables = 0;

    for (uint64_t pfn = 0; va != g->l.virt_end; pfn++, va += PAGE) {
        bool table =
            pfn >= g->l.tables.pfn && pfn < g->l.tables.pfn + g->l.tables.nr;
        uint64_t want = mfn(g, pfn) << 12 | (table ? 0x65 : 0x67);

        assert_int_equal(walk(g, va), want);
        tables += table;
    }
    assert_int_equal(tables, g->l.tables.nr);
    assert_int_equal(walk(g, g->l.virt_end), 0);
    if (g->l.virt_base)
        assert_int_equal(walk(g, g->l.virt_base - PAGE), 0);
    assert_int_equal(g->l.virt_end & ((4 << 20) - 1), 0);
    assert_true(g->l.virt_end - (g->l.stack.vaddr + PAGE) >= 512 * 1024);
}

/* No table was counted in vain: the last of the pool holds something. */
static void check_tables_used(const struct guest *g,
                              const struct builder_range *tables)
{
    static const uint8_t zero[PAGE];

    for (uint64_t i = 0; i < tables->nr; i++)
        assert_memory_not_equal(g->mem + mfn(g, tables->pfn + i) * PAGE, zero,
                                PAGE);
}

static void check_p2m(const struct guest *g, const struct start_info *si)
{
    for (uint64_t pfn = 0; pfn < g->in.nr_pages; pfn++) {
        uint64_t *entry = at(g, si->mfn_list + pfn * 8);

        assert_int_equal(*entry, mfn(g, pfn));
    }
}

static const struct start_info *check_start_info(const struct guest *g)
{
    const struct start_info *si = at(g, g->ctx.user_regs.rsi);

    assert_string_equal(si->magic, "xen-3.0-x86_64");
    assert_int_equal(si->nr_pages, g->in.nr_pages);
    assert_int_equal(si->shared_info, ids.shared_info);
    assert_int_equal(si->store_mfn, mfn(g, g->l.store.pfn));
    assert_int_equal(si->store_evtchn, 7);
    assert_int_equal(si->console.domU.mfn, mfn(g, g->l.console.pfn));
    assert_int_equal(si->console.domU.evtchn, 9);
    assert_int_equal(si->nr_pt_frames, g->l.tables.nr);
    assert_ptr_equal(at(g, si->pt_base), g->mem + g->ctx.ctrlreg[3]);
    assert_string_equal((const char *)si->cmd_line, "console=hvc0 x");
    assert_int_equal(si->flags & SIF_VIRT_P2M_4TOOLS, SIF_VIRT_P2M_4TOOLS);
    check_p2m(g, si);
    return si;
}

static void check_context(const struct guest *g)
{
    const struct vcpu_guest_context *c = &g->ctx;

    assert_int_equal(c->user_regs.rip, g->elf.virt_entry);
    assert_int_equal(c->user_regs.rsp, g->l.stack.vaddr + PAGE);
    assert_int_equal(c->user_regs.rsp & (PAGE - 1), 0);
    assert_int_equal(c->user_regs.cs, 0xe033);
    assert_int_equal(c->user_regs.ss, 0xe02b);
    assert_int_equal(c->user_regs.ds | c->user_regs.es, 0);
    assert_int_equal(c->user_regs.rflags, 0x200);
    assert_int_equal(c->flags, VGCF_in_kernel | VGCF_online);
    assert_int_equal(walk(g, c->user_regs.rsp - 8) & 2, 2);
}

static void check_all(const struct guest *g)
{
    for (unsigned i = 0; i < g->elf.nr_segments; i++)
        check_bytes(g, g->elf.segments[i].vaddr,
                    g->kernel.data + g->elf.segments[i].offset,
                    g->elf.segments[i].filesz);
    check_main_map(g);
    check_tables_used(g, &g->l.tables);
    check_tables_used(g, &g->l.p2m_tables);
    check_start_info(g);
    check_context(g);
}

static void start(struct guest *g, struct maker *m, size_t ramdisk,
                  uint64_t mib)
{
    struct image_error err = {""};

    memset(g, 0, sizeof(*g));
    g->kernel = maker_image(m, sizeof(m->file));
    if (elf_parse(&g->kernel, &g->elf, &err))
        fail_msg("%s", err.text);
    if (ramdisk) {
        g->ramdisk = (struct image){strdup("/rd"), malloc(ramdisk), ramdisk};
        for (size_t i = 0; i < ramdisk; i++)
            g->ramdisk.data[i] = i * 7 + 1;
    }
    set_input(g, mib);
}

static void test_plain(void **state)
{
    struct maker m;
    struct guest g;

    (void)state;
    maker_init_pv(&m, 0);
    start(&g, &m, 0, 5);
    build(&g);
    check_all(&g);
    assert_int_equal(g.l.kernel.pfn, 2);
    assert_int_equal(g.l.virt_end, 4 << 20);
    assert_int_equal(g.l.tables.nr, 5); /* L4, L3, L2 and two L1s */
    assert_int_equal(check_start_info(&g)->mod_len, 0);
    assert_int_equal(check_start_info(&g)->first_p2m_pfn, 0);
    assert_true(g.l.p2m.pfn < g.l.start_info.pfn);
    assert_true(g.l.start_info.pfn < g.l.store.pfn);
    assert_true(g.l.store.pfn < g.l.console.pfn);
    assert_true(g.l.console.pfn < g.l.tables.pfn);
    guest_free(&g);
}

static void test_scattered(void **state)
{
    struct maker m;
    struct guest g;

    (void)state;
    maker_init_pv(&m, LINUX_BASE);
    start(&g, &m, 100001, 16);
    scatter(&g);
    build(&g);
    check_all(&g);
    guest_free(&g);
}

static void test_ramdisk_mapped(void **state)
{
    struct maker m;
    struct guest g;

    (void)state;
    maker_init_pv(&m, LINUX_BASE);
    start(&g, &m, 5 * PAGE + 1, 16);
    build(&g);
    check_all(&g);
    const struct start_info *si = check_start_info(&g);

    assert_int_equal(si->mod_len, 5 * PAGE + 1);
    assert_int_equal(si->flags & SIF_MOD_START_PFN, 0);
    assert_int_equal(si->mod_start, g.l.ramdisk.vaddr);
    check_bytes(&g, si->mod_start, g.ramdisk.data, g.ramdisk.len);
    guest_free(&g);
}

static void test_ramdisk_unmapped(void **state)
{
    struct maker m;
    struct guest g;

    (void)state;
    maker_init_pv(&m, LINUX_BASE);
    maker_note(&m, XEN_ELFNOTE_MOD_START_PFN, 1);
    start(&g, &m, 5 * PAGE + 1, 16);
    build(&g);
    check_all(&g);
    const struct start_info *si = check_start_info(&g);

    assert_int_equal(si->flags & SIF_MOD_START_PFN, SIF_MOD_START_PFN);
    assert_int_equal(si->mod_start, (g.l.virt_end - LINUX_BASE) >> 12);
    assert_memory_equal(g.mem + si->mod_start * PAGE, g.ramdisk.data,
                        g.ramdisk.len);
    guest_free(&g);
}

static void try_init_p2m(uint64_t base, uint64_t at_va, uint64_t tables)
{
    struct maker m;
    struct guest g;

    maker_init_pv(&m, base);
    maker_note(&m, XEN_ELFNOTE_INIT_P2M, at_va);
    maker_note(&m, XEN_ELFNOTE_MOD_START_PFN, 1);
    start(&g, &m, 3 * PAGE, 20);
    scatter(&g);
    build(&g);
    check_all(&g);
    const struct start_info *si = check_start_info(&g);

    assert_int_equal(si->mfn_list, at_va);
    assert_int_equal(si->first_p2m_pfn,
                     ((g.l.virt_end - base) >> 12) + g.l.ramdisk.nr);
    assert_int_equal(si->nr_p2m_frames, 10 + tables);
    assert_int_equal(g.l.p2m_tables.nr, tables);
    assert_int_equal(g.l.pages_used, si->first_p2m_pfn + si->nr_p2m_frames);
    guest_free(&g);
}

static void test_init_p2m(void **state)
{
    (void)state;
    try_init_p2m(LINUX_BASE, 0x8000000000, 3);
    /* Across the border of two L1s. */
    try_init_p2m(LINUX_BASE, 0x8000200000 - 5 * PAGE, 4);
    /* In the main map's L4 slot, then in its 1 GiB, too. */
    try_init_p2m(0, 0x4000000000, 2);
    try_init_p2m(0, 0x20000000, 1);
}

static void test_init_p2m_impossible(void **state)
{
    static const uint64_t bad[] = {0x8000000001, 0x1000, 0xffff800000000000,
                                   0x800000000000, UINT64_MAX - 0xfff};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct maker m;
        struct guest g;
        struct image_error err = {""};

        maker_init_pv(&m, 0);
        maker_note(&m, XEN_ELFNOTE_INIT_P2M, bad[i]);
        start(&g, &m, 0, 20);
        assert_int_equal(builder_layout(&g.in, &g.l, &err), -EINVAL);
        assert_non_null(strstr(err.text, "INIT_P2M"));
        guest_free(&g);
    }
}

static void test_no_room_for_the_map(void **state)
{
    static const uint64_t bad[] = {0xfffffffffffff000 - 0x10000,
                                   0xffff800000000000, 0x7ffffffe0000, 0x1234};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct maker m;
        struct guest g;
        struct image_error err = {""};

        maker_init_pv(&m, bad[i]);
        start(&g, &m, 0, 20);
        assert_int_equal(builder_layout(&g.in, &g.l, &err), -EINVAL);
        assert_non_null(strstr(err.text, "VIRT_BASE"));
        guest_free(&g);
    }
}

static void test_too_small(void **state)
{
    struct maker m;
    struct guest g;
    struct image_error err = {""};
    unsigned need;

    (void)state;
    maker_init_pv(&m, LINUX_BASE);
    start(&g, &m, 6 << 20, 5);
    assert_int_equal(builder_layout(&g.in, &g.l, &err), -ENOMEM);
    assert_non_null(strstr(err.text, "/made.elf: 5 MiB of memory are too "
                                     "small for it and its ramdisk"));
    need = atoi(strstr(err.text, "at least ") + 9);
    assert_int_equal(need, 8);
    set_input(&g, need);
    build(&g);
    guest_free(&g);
    start(&g, &m, 6 << 20, need);
    g.in.nr_pages--;
    assert_int_equal(builder_layout(&g.in, &g.l, &err), -ENOMEM);
    g.in.nr_pages = 1;
    assert_int_equal(builder_layout(&g.in, &g.l, &err), -ENOMEM);
    guest_free(&g);
    maker_segment(&m, 1)->p_memsz = 1 << 30;
    start(&g, &m, 0, 64);
    assert_int_equal(builder_layout(&g.in, &g.l, &err), -ENOMEM);
    guest_free(&g);
}

static void test_cmdline_too_long(void **state)
{
    char cmdline[MAX_GUEST_CMDLINE + 1];
    struct maker m;
    struct guest g;
    struct image_error err = {""};

    (void)state;
    memset(cmdline, 'c', sizeof(cmdline));
    cmdline[MAX_GUEST_CMDLINE] = '\0';
    maker_init_pv(&m, 0);
    start(&g, &m, 0, 5);
    g.in.cmdline = cmdline;
    assert_int_equal(builder_layout(&g.in, &g.l, &err), -EINVAL);
    assert_non_null(strstr(err.text, "command line"));
    cmdline[MAX_GUEST_CMDLINE - 1] = '\0';
    build(&g);
    guest_free(&g);
}

static void test_frames_outside(void **state)
{
    struct maker m;
    struct guest g;
    struct image_error err = {""};

    (void)state;
    maker_init_pv(&m, 0);
    start(&g, &m, 0, 5);
    scatter(&g);
    build(&g);
    g.p2m[1000] = g.mem_frames;
    assert_int_equal(
        builder_write(&g.in, &g.l, &ids, g.mem, g.mem_frames, g.p2m, &err),
        -EFAULT);
    g.p2m[1000] = ~(xen_pfn_t)0;
    assert_int_equal(
        builder_write(&g.in, &g.l, &ids, g.mem, g.mem_frames, g.p2m, &err),
        -EFAULT);
    guest_free(&g);
}

/* Map borders: each ramdisk size moves the tables over another one. */
static void test_many_sizes(void **state)
{
    struct maker m;

    (void)state;
    maker_init_pv(&m, 0x40000000 - (8 << 20));
    for (size_t pages = 1; pages < 3000; pages += 97) {
        struct guest g;

        start(&g, &m, pages * PAGE, 24);
        build(&g);
        check_main_map(&g);
        check_tables_used(&g, &g.l.tables);
        guest_free(&g);
    }
}

/* What the ELF reader lets through cannot make the builder stray. */
static void test_hostile_kernels(void **state)
{
    static const uint64_t extreme[] = {
        0,
        1,
        0xfff,
        0x1000,
        0x500000,
        UINT32_MAX,
        (uint64_t)1 << 47,
        (uint64_t)1 << 63,
        UINT64_MAX - 0xfff,
        UINT64_MAX,
    };
    static uint8_t mem[5 << 20];
    struct maker m;

    (void)state;
    for (size_t i = 0; i < 0x400; i += 4)
        for (size_t j = 0; j < sizeof(extreme) / sizeof(extreme[0]); j++) {
            struct guest g = {0};
            struct image_error err;

            maker_init_pv(&m, LINUX_BASE);
            maker_note(&m, XEN_ELFNOTE_INIT_P2M, 0x8000000000);
            memcpy(m.file + i, &extreme[j], 8);
            g.kernel = maker_image(&m, sizeof(m.file));
            set_input(&g, 5);
            if (!elf_parse(&g.kernel, &g.elf, &err) &&
                !builder_layout(&g.in, &g.l, &err))
                assert_int_equal(builder_write(&g.in, &g.l, &ids, mem,
                                               sizeof(mem) / PAGE, NULL, &err),
                                 0);
            guest_free(&g);
        }
}

static void build_file(const char *path, const char *why, uint64_t mib)
{
    struct guest g = {0};
    struct image_error err = {""};

    if (access(path, R_OK)) {
        printf("skip: no %s (%s)\n", path, why);
        skip();
    }
    if (image_load_kernel(path, IMAGE_MAX_BYTES, &g.kernel, &err) ||
        elf_parse(&g.kernel, &g.elf, &err))
        fail_msg("%s", err.text);
    set_input(&g, mib);
    build(&g);
    check_all(&g);
    guest_free(&g);
}

static void test_pvgrub(void **state)
{
    (void)state;
    build_file(PVGRUB, "package grub-xen-host", 64);
}

/* An unpacked or gzip-packed Linux with CONFIG_XEN_PV, if one is named. */
static void test_linux(void **state)
{
    const char *path = getenv("KXEN_TEST_VMLINUX");

    (void)state;
    build_file(path ? path : "/boot/vmlinux", "name one in KXEN_TEST_VMLINUX",
               256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_scattered),
        cmocka_unit_test(test_ramdisk_mapped),
        cmocka_unit_test(test_ramdisk_unmapped),
        cmocka_unit_test(test_init_p2m),
        cmocka_unit_test(test_init_p2m_impossible),
        cmocka_unit_test(test_no_room_for_the_map),
        cmocka_unit_test(test_too_small),
        cmocka_unit_test(test_cmdline_too_long),
        cmocka_unit_test(test_frames_outside),
        cmocka_unit_test(test_many_sizes),
        cmocka_unit_test(test_hostile_kernels),
        cmocka_unit_test(test_pvgrub),
        cmocka_unit_test(test_linux),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
