/* SPDX-License-Identifier: MIT */
/*
 * Run in a PV Linux: pages are what the process made of them, alone or shared,
 * over forks, protections, moves and a thousand small changes; /proc/self/maps
 * says so too.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tap.h"

#define PAGE  4096ul
#define PAGES 2048ul

static sigjmp_buf back;

static void on_fault(int sig)
{
    siglongjmp(back, sig);
}

static bool faults(volatile char *p, bool write)
{
    if (sigsetjmp(back, 1))
        return true;
    if (write)
        *p = 7;
    else
        (void)*p;
    return false;
}

static char *anonymous(size_t pages, int flags)
{
    char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
                   MAP_ANONYMOUS | flags, -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return p;
}

static void fill(char *p, size_t pages, unsigned int seed)
{
    for (size_t i = 0; i < pages; i++)
        *(uint64_t *)(p + i * PAGE + (i * 8) % PAGE) = seed + i;
}

static size_t wrong(const char *p, size_t pages, unsigned int seed)
{
    size_t n = 0;

    for (size_t i = 0; i < pages; i++)
        n += *(const uint64_t *)(p + i * PAGE + (i * 8) % PAGE) != seed + i;
    return n;
}

/* ---- copy on write ---- */

static char *area;

static bool child_writes(void)
{
    bool right = !wrong(area, PAGES, 1);

    fill(area, PAGES, 500);
    return right && !wrong(area, PAGES, 500);
}

static void copy_on_write(void)
{
    bool right = true;

    area = anonymous(PAGES, MAP_PRIVATE);
    fill(area, PAGES, 1);
    for (int i = 0; i < 8; i++)
        right &= in_child(child_writes);
    ok(right, "eight children saw their parent's pages and wrote their own");
    ok(!wrong(area, PAGES, 1), "the parent's are as they were");
    munmap(area, PAGES * PAGE);
}

/* Parent and child write alternate pages of one area at the same time. */
static void both_write(void)
{
    size_t bad = 0;
    int status = 0;

    area = anonymous(512, MAP_PRIVATE);
    fill(area, 512, 1);
    for (int i = 0; i < 20; i++) {
        pid_t pid = fork();

        fill(area, 512, pid ? 100 + i : 900 + i);
        bad += wrong(area, 512, pid ? 100 + i : 900 + i);
        if (!pid)
            _exit(bad != 0);
        waitpid(pid, &status, 0);
        bad += status != 0;
    }
    ok(!bad, "parent and child wrote at the same time, twenty times");
    munmap(area, 512 * PAGE);
}

static bool child_shares(void)
{
    fill(area, 64, 77);
    return true;
}

static void shared(void)
{
    area = anonymous(64, MAP_SHARED);
    ok(in_child(child_shares) && !wrong(area, 64, 77),
       "a shared page has what the child wrote");
    munmap(area, 64 * PAGE);
}

/* ---- protection ---- */

static void protection(void)
{
    char *p = anonymous(64, MAP_PRIVATE);
    int bad = 0;

    fill(p, 64, 3);
    for (int i = 0; i < 400; i++) {
        char *page = p + (i * 7 % 64) * PAGE;

        mprotect(page, PAGE, PROT_READ);
        bad += !faults(page, true) || faults(page, false);
        mprotect(page, PAGE, PROT_NONE);
        bad += !faults(page, false);
        mprotect(page, PAGE, PROT_READ | PROT_WRITE);
        bad += faults(page + 4095, true);
        page[4095] = 0;
    }
    ok(!bad, "each of 1200 changes of protection holds at once (%d did not)",
       bad);
    ok(!wrong(p, 64, 3), "and leaves the pages as they were");
    munmap(p, 64 * PAGE);
}

static void moves(void)
{
    char *p = anonymous(256, MAP_PRIVATE), *q;

    fill(p, 256, 9);
    q = mremap(p, 256 * PAGE, 4096 * PAGE, MREMAP_MAYMOVE);
    ok(q != MAP_FAILED && !wrong(q, 256, 9) && !q[4000 * PAGE],
       "an area that is moved and grows keeps its pages");
    ok(q == p || faults(p, false), "nothing is left where it was");
    madvise(q, 128 * PAGE, MADV_DONTNEED);
    ok(!*(uint64_t *)q && wrong(q, 256, 9) == 128,
       "what is given back comes again as zeroes, the rest stays");
    munmap(q, 4096 * PAGE);
}

static void code(void)
{
    static const unsigned char insns[] = {0xb8, 42, 0, 0, 0, 0xc3};
    unsigned char *p = (unsigned char *)anonymous(1, MAP_PRIVATE);
    int (*f)(void) = (int (*)(void))p, bad = 0;

    memcpy(p, insns, sizeof(insns));
    for (int i = 0; i < 50; i++) {
        mprotect(p, PAGE, PROT_READ | PROT_WRITE);
        p[1] = (unsigned char)i;
        mprotect(p, PAGE, PROT_READ | PROT_EXEC);
        bad += f() != i;
    }
    ok(!bad, "code that is written anew is what runs");
    munmap(p, PAGE);
}

/* A walk over many tables: no two pages may be one. */
static void sparse(void)
{
    size_t step = 3ul << 20, bad = 0;
    char *p = mmap(NULL, 300 * step, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 300; i++)
            *(size_t *)(p + i * step) = i * 31 + round;
        for (size_t i = 0; i < 300; i++)
            bad += *(size_t *)(p + i * step) != i * 31 + round;
        munmap(p + 100 * step, 50 * step);
        bad += !faults(p + 120 * step, false);
        mmap(p + 100 * step, 50 * step, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        bad += *(size_t *)(p + 120 * step) != 0;
    }
    ok(!bad, "pages far apart are each its own");
    munmap(p, 300 * step);
}

static void deep_stack(int more)
{
    volatile char here[PAGE];

    here[0] = (char)more;
    if (more)
        deep_stack(more - 1);
    if (here[0] != (char)more)
        exit(3);
}

/* ---- /proc/self/maps ---- */

static void maps(void)
{
    FILE *f = fopen("/proc/self/maps", "r");
    int lines = 0, bad = 0, vdso = 0, stack = 0, text = 0;
    unsigned long from, to, last = 0, here = (unsigned long)&lines;
    char line[512], mode[8];

    while (f && fgets(line, sizeof(line), f)) {
        bad += sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3;
        lines++;
        bad += from >= to || (from < last && !strstr(line, "vsyscall"));
        bad += to > 0x7ffffffff000 && !strstr(line, "vsyscall");
        last = to;
        vdso += strstr(line, "[vdso]") && !strcmp(mode, "r-xp");
        stack += strstr(line, "[stack]") && here >= from && here < to;
        text += (unsigned long)maps >= from && (unsigned long)maps < to &&
                !strcmp(mode, "r-xp");
    }
    if (f)
        fclose(f);
    ok(lines > 5 && !bad, "/proc/self/maps: %d areas in order, %d not", lines,
       bad);
    ok(vdso == 1 && stack == 1 && text == 1,
       "with the vDSO, this stack, and code that is not written");
}

int main(void)
{
    signal(SIGSEGV, on_fault);
    copy_on_write();
    both_write();
    shared();
    protection();
    moves();
    code();
    sparse();
    deep_stack(1500);
    ok(true, "the stack grew by 6 MiB");
    maps();
    return tap_done();
}
