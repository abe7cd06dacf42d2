/* SPDX-License-Identifier: MIT */
/*
 * Run in a PV Linux: vector registers.  Several processes, each with a pattern
 * of its own in all the registers that the processor has, wait in a loop for
 * their turn to be over, are preempted, make system calls and take signals
 * whose handlers use the registers too; no register may ever change.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define PROCESSES 6

struct regs {
    uint8_t z[32][64];
    uint64_t k[8];
};

static struct regs in __attribute__((aligned(64)));
static struct regs out __attribute__((aligned(64)));
static volatile sig_atomic_t ticks;

#define EACH16(f)                                                              \
    f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13)  \
        f(14) f(15)
#define EACH16_HIGH(f)                                                         \
    f(16) f(17) f(18) f(19) f(20) f(21) f(22) f(23) f(24) f(25) f(26) f(27)    \
        f(28) f(29) f(30) f(31)
#define EACH_K(f) f(1) f(2) f(3) f(4) f(5) f(6) f(7)

#define X_IN(n)  "movaps " #n "*64(%[in]), %%xmm" #n "\n\t"
#define X_OUT(n) "movaps %%xmm" #n ", " #n "*64(%[out])\n\t"
#define Y_IN(n)  "vmovaps " #n "*64(%[in]), %%ymm" #n "\n\t"
#define Y_OUT(n) "vmovaps %%ymm" #n ", " #n "*64(%[out])\n\t"
#define Z_IN(n)  "vmovaps " #n "*64(%[in]), %%zmm" #n "\n\t"
#define Z_OUT(n) "vmovaps %%zmm" #n ", " #n "*64(%[out])\n\t"
#define K_IN(n)  "kmovq 2048+8*" #n "(%[in]), %%k" #n "\n\t"
#define K_OUT(n) "kmovq %%k" #n ", 2048+8*" #n "(%[out])\n\t"

/* Some 100 us of spinning, then sched_yield(). */
#define WAIT                                                                   \
    "mov $60000, %%ecx\n\t"                                                    \
    "1: dec %%ecx\n\t"                                                         \
    "jnz 1b\n\t"                                                               \
    "mov $24, %%eax\n\t"                                                       \
    "syscall\n\t"

#define OPERANDS                                                               \
    ::[in] "r"(&in), [out] "r"(&out) : "rax", "rcx", "r11", "memory", "cc"

static void turn_sse(void)
{
    asm volatile(EACH16(X_IN) WAIT EACH16(X_OUT) OPERANDS);
}

static void turn_avx(void)
{
    asm volatile(EACH16(Y_IN) WAIT EACH16(Y_OUT) OPERANDS);
}

static void turn_avx512(void)
{
    asm volatile(EACH16(Z_IN) EACH16_HIGH(Z_IN) EACH_K(K_IN) WAIT EACH16(Z_OUT)
                     EACH16_HIGH(Z_OUT) EACH_K(K_OUT) OPERANDS);
}

struct kind {
    const char *name;
    void (*turn)(void);
    unsigned int xcr0;
    unsigned int nr, size; /* registers, and bytes of each */
    bool masks;
};

static const struct kind kinds[] = {
    {"SSE", turn_sse, 3, 16, 16, false},
    {"AVX", turn_avx, 7, 16, 32, false},
    {"AVX-512", turn_avx512, 0xe7, 32, 64, true},
};

/* What the kernel has switched on; 0 without xgetbv. */
static unsigned int xcr0(void)
{
    unsigned int a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 3;
    asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static bool has(const struct kind *k)
{
    unsigned int a, b, c, d;

    if ((xcr0() & k->xcr0) != k->xcr0)
        return false;
    if (k->size < 64)
        return true;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX512F) &&
           (b & bit_AVX512BW);
}

static const struct kind *kind;

/* Makes a mess of the registers: the kernel has saved them, or has not. */
static void on_tick(int sig)
{
    (void)sig;
    if (kind->size == 64)
        asm volatile("vpternlogd $255, %%zmm1, %%zmm1, %%zmm1\n\t"
                     "vpxord %%zmm31, %%zmm31, %%zmm31\n\t"
                     "kxnorq %%k1, %%k1, %%k1" ::
                         : "memory");
    else if (kind->size == 32)
        asm volatile("vxorps %%ymm1, %%ymm1, %%ymm1" ::: "xmm1");
    else
        asm volatile("xorps %%xmm1, %%xmm1" ::: "xmm1");
    ticks++;
}

static unsigned int differences(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < kind->nr; i++)
        n += memcmp(in.z[i], out.z[i], kind->size) != 0;
    for (unsigned int i = 1; kind->masks && i < 8; i++)
        n += in.k[i] != out.k[i];
    return n;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int run(int number, int ms)
{
    struct itimerval on = {{0, 3000}, {0, 3000}};
    int64_t end = now_ms() + ms;
    unsigned int bad = 0, mxcsr = 0x1f80 | (number % 4) << 13, seen;
    uint16_t cw = 0x37f & ~0x300, cw_seen;

    signal(SIGALRM, on_tick);
    setitimer(ITIMER_REAL, &on, NULL);
    asm volatile("ldmxcsr %0; fldcw %1" ::"m"(mxcsr), "m"(cw));
    for (int i = 0; now_ms() < end || (ticks < 10 && i < 20000); i++) {
        memset(&in, number * 16 + i % 16, sizeof(in));
        for (int k = 0; k < 8; k++)
            in.k[k] = ~0ull / (unsigned int)(number + k + i % 9 + 1);
        kind->turn();
        bad += differences();
    }
    asm volatile("stmxcsr %0; fnstcw %1" : "=m"(seen), "=m"(cw_seen));
    bad += (seen & ~0x3fu) != mxcsr || cw_seen != cw;
    return bad ? 1 : ticks < 10 ? 2 : 0;
}

static void test(const struct kind *k)
{
    int status, bad = 0, lazy = 0;

    kind = k;
    for (int i = 0; i < PROCESSES; i++)
        if (!fork())
            _exit(run(i + 1, 1200));
    while (wait(&status) > 0) {
        bad += !WIFEXITED(status) || WEXITSTATUS(status) == 1;
        lazy += WIFEXITED(status) && WEXITSTATUS(status) == 2;
    }
    ok(!bad && !lazy,
       "%d processes kept their %s registers (%d did not, %d had no signals)",
       PROCESSES, k->name, bad, lazy);
}

int main(void)
{
    printf("# XCR0 %#x\n", xcr0());
    for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (has(&kinds[i]))
            test(&kinds[i]);
        else
            skip(kinds[i].name, "this processor does not have them");
    return tap_done();
}
