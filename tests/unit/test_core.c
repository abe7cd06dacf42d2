/* SPDX-License-Identifier: MIT */
/*
 * Proves that a memory dump shows what page tables map, each run once, in
 * order, and that hostile tables (loops, one table everywhere, frames that are
 * not there, superpages over all) end it soon with a bounded result; and that
 * the file is an ELF core with the registers, holes and addresses it should
 * have, and can be given up or run out of space.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dom0/core_file.h"
#include "dom0/core_walk.h"

#define PAGES  1024u /* the guest's */
#define FRAMES 1040u
#define P      1ull
#define PS     0x80ull
#define UPPER  0xffffff8000000000ull /* L4 slot 511, L3 slot 0 */

struct guest {
    struct core_mem mem;
    uint64_t (*t)[512];
};

static void guest_make(struct guest *g)
{
    size_t len = FRAMES * CORE_PAGE;

    g->mem = (struct core_mem){.nr_frames = FRAMES, .nr_pages = PAGES};
    g->mem.fd = memfd_create("guest", MFD_CLOEXEC);
    assert_true(g->mem.fd >= 0);
    assert_int_equal(ftruncate(g->mem.fd, len), 0);
    g->t = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, g->mem.fd, 0);
    assert_true(g->t != MAP_FAILED);
}

static void guest_end(struct guest *g)
{
    munmap(g->t, FRAMES * CORE_PAGE);
    close(g->mem.fd);
}

static uint64_t to(uint64_t gfn)
{
    return gfn << 12 | P;
}

/* Tables 1..4 so that va's slot of the L1 in frame 4 is used. */
static void guest_tables(struct guest *g)
{
    g->t[1][511] = g->t[1][0] = to(2);
    g->t[2][0] = to(3);
    g->t[3][0] = to(4);
}

static void test_runs(void **state)
{
    struct core_map map = {0};
    struct guest g;
    unsigned i;

    (void)state;
    guest_make(&g);
    guest_tables(&g);
    for (i = 0; i < 10; i++)
        g.t[4][i] = to(100 + i);
    g.t[4][20] = to(100);
    g.t[4][21] = to(PAGES);  /* hv's own */
    g.t[4][22] = to(FRAMES); /* nowhere */
    g.t[4][23] = to(1) & ~P; /* not present */
    assert_int_equal(core_walk(&map, &g.mem, 1 << 12, NULL), 0);
    /* The same L3 is in both halves. */
    assert_int_equal(map.nr, 4);
    assert_int_equal(map.runs[0].va, 0);
    assert_int_equal(map.runs[0].gfn, 100);
    assert_int_equal(map.runs[0].nr, 10);
    assert_int_equal(map.runs[1].va, 20 * CORE_PAGE);
    assert_int_equal(map.runs[1].nr, 1);
    assert_int_equal(map.runs[2].va, UPPER);
    assert_int_equal(map.runs[2].nr, 10);
    assert_false(map.cut);
    core_map_free(&map);
    guest_end(&g);
}

static void test_m2p(void **state)
{
    struct core_map map = {0};
    struct guest g;
    uint64_t *m2p;

    (void)state;
    guest_make(&g);
    guest_tables(&g);
    g.t[4][0] = to(100);
    g.t[4][1] = to(101);
    g.t[4][2] = to(102);
    g.t[4][5] = to(200); /* the M2P, at va 5 pages; its second page is not */
    g.t[200][100] = 7;
    g.t[200][101] = 8;
    g.t[200][102] = ~0ull;
    m2p = core_read_m2p(&g.mem, 1 << 12, 5 * CORE_PAGE);
    assert_non_null(m2p);
    assert_int_equal(m2p[100], 7);
    assert_int_equal(m2p[102], 102);
    assert_int_equal(m2p[600], 600);
    g.t[1][511] = 0;
    assert_int_equal(core_walk(&map, &g.mem, 1 << 12, m2p), 0);
    assert_int_equal(map.nr, 3);
    assert_int_equal(map.runs[0].pfn, 7);
    assert_int_equal(map.runs[0].nr, 2);
    assert_int_equal(map.runs[1].pfn, 102);
    free(m2p);
    core_map_free(&map);
    guest_end(&g);
}

/* One table that is its own child everywhere: 2^36 mappings. */
static void test_loop(void **state)
{
    struct core_map map = {0};
    struct guest g;
    unsigned i;

    (void)state;
    guest_make(&g);
    for (i = 0; i < 512; i++)
        g.t[1][i] = to(1);
    assert_int_equal(core_walk(&map, &g.mem, 1 << 12, NULL), 0);
    assert_true(map.cut);
    assert_true(map.nr <= 16);
    assert_true(map.aliases > 0);
    core_map_free(&map);
    guest_end(&g);
}

/* Nothing but superpages, each over all there is. */
static void test_superpages(void **state)
{
    struct core_map map = {0};
    struct guest g;
    unsigned i;

    (void)state;
    guest_make(&g);
    for (i = 0; i < 512; i++) {
        g.t[1][i] = to(2);
        g.t[2][i] = P | PS;
    }
    assert_int_equal(core_walk(&map, &g.mem, 1 << 12, NULL), 0);
    assert_true(map.cut);
    assert_true(map.nr <= CORE_RUNS_MAX);
    core_map_free(&map);
    guest_end(&g);
}

/* Neighbours never follow each other: as many runs as there can be. */
static void test_too_many_runs(void **state)
{
    struct core_map map = {0};
    struct guest g;
    unsigned i, t;

    (void)state;
    guest_make(&g);
    guest_tables(&g);
    for (t = 4; t < 4 + 200; t++) {
        g.t[3][t - 4] = to(t);
        for (i = 0; i < 512; i++)
            g.t[t][i] = to((i * 7 + t * 3) % PAGES);
    }
    assert_int_equal(core_walk(&map, &g.mem, 1 << 12, NULL), 0);
    assert_true(map.nr <= CORE_RUNS_MAX);
    for (i = 1; i < map.nr; i++)
        assert_true(map.runs[i - 1].va + map.runs[i - 1].nr * CORE_PAGE <=
                    map.runs[i].va);
    core_map_free(&map);
    guest_end(&g);
}

/* Tables of random words, a thousand times: no more than time is lost. */
static void test_random(void **state)
{
    struct guest g;
    unsigned n, i;

    (void)state;
    srandom(4);
    guest_make(&g);
    for (n = 0; n < 300; n++) {
        struct core_map map = {0};

        for (i = 0; i < 4096; i++)
            g.t[1 + random() % 16][random() % 512] =
                (uint64_t)(random() % (FRAMES + 8)) << 12 |
                (random() & (0xfff | PS | P));
        assert_int_equal(
            core_walk(&map, &g.mem, (uint64_t)(random() % 20) << 12, NULL), 0);
        assert_true(map.nr <= CORE_RUNS_MAX);
        for (i = 0; i < map.nr; i++)
            assert_true(map.runs[i].gfn + map.runs[i].nr <= PAGES);
        core_map_free(&map);
    }
    guest_end(&g);
}

static const struct core_map one_run = {
    .runs = &(struct core_run){0xffffffff80000000, 3, 9, 2}, .nr = 1};

static int write_it(const struct core_mem *mem, int fd, atomic_ullong *done)
{
    static struct core_vcpu vcpus[2];
    struct core_info info = {.name = "a domain with a name of more letters",
                             .story = "v1: it was the butler",
                             .vcpus = vcpus,
                             .nr_vcpus = 2};

    vcpus[0].id = 1;
    vcpus[0].ctx.user_regs.rip = 0x1234;
    vcpus[0].ctx.flags = VGCF_in_kernel;
    vcpus[0].ctx.gs_base_kernel = 0x5678;
    vcpus[1].id = 0;
    return core_write(fd, mem, &one_run, &info, done);
}

static int scratch(void)
{
    const char *dir = getenv("KXEN_TEST_TMP");
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/core-XXXXXX", dir ? dir : "/tmp");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static void test_file(void **state)
{
    atomic_ullong done = 0;
    struct guest g;
    struct stat st;
    uint8_t *core;
    int fd = scratch();

    (void)state;
    guest_make(&g);
    strcpy((char *)g.t[3], "the page");
    assert_int_equal(write_it(&g.mem, fd, &done), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(done >= 3);
    /* Two pages, headers and the file system's own. */
    assert_true(st.st_blocks * 512 < 64 * CORE_PAGE);
    core = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(core != MAP_FAILED);

    const Elf64_Ehdr *e = (void *)core;
    const Elf64_Phdr *p = (void *)(core + e->e_phoff);
    const uint8_t *note = core + p[0].p_offset;
    struct elf_prstatus prs; /* not aligned in the file */
    struct user_regs_struct regs;

    memcpy(&prs, note + sizeof(Elf64_Nhdr) + 8 /* "CORE" */, sizeof(prs));
    memcpy(&regs, &prs.pr_reg, sizeof(regs));
    assert_memory_equal(e->e_ident, ELFMAG, SELFMAG);
    assert_int_equal(e->e_type, ET_CORE);
    assert_int_equal(e->e_phnum, 2);
    assert_int_equal(prs.pr_pid, 2);
    assert_int_equal(regs.rip, 0x1234);
    assert_int_equal(regs.gs_base, 0x5678);
    assert_non_null(memmem(note, p[0].p_filesz, "the butler", 10));
    assert_int_equal(p[1].p_vaddr, 0xffffffff80000000);
    assert_int_equal(p[1].p_paddr, 9 * CORE_PAGE);
    assert_int_equal(p[1].p_filesz, 2 * CORE_PAGE);
    assert_true(p[1].p_offset + p[1].p_filesz <= (uint64_t)st.st_size);
    assert_string_equal((char *)core + p[1].p_offset, "the page");
    munmap(core, st.st_size);
    close(fd);
    guest_end(&g);
}

static void test_failures(void **state)
{
    struct rlimit was, lim;
    atomic_ullong done = 0;
    atomic_bool abort = true;
    struct guest g;
    int fd = scratch();

    (void)state;
    guest_make(&g);
    memset(g.t[1], 1, 900 * CORE_PAGE);
    g.mem.abort = &abort;
    assert_int_equal(write_it(&g.mem, fd, &done), -ECANCELED);
    abort = false;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    lim = was;
    lim.rlim_cur = 64 * CORE_PAGE;
    setrlimit(RLIMIT_FSIZE, &lim);
    assert_int_equal(write_it(&g.mem, fd, &done), -EFBIG);
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(write_it(&g.mem, fd, &done), 0);
    close(fd);
    guest_end(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),          cmocka_unit_test(test_m2p),
        cmocka_unit_test(test_loop),          cmocka_unit_test(test_superpages),
        cmocka_unit_test(test_too_many_runs), cmocka_unit_test(test_random),
        cmocka_unit_test(test_file),          cmocka_unit_test(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
