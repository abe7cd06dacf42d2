/* SPDX-License-Identifier: MIT */
/*
 * Run in a PV Linux: what a fault, a trap and a signal look like to the process
 * that gets them, and that it goes on as if nothing had been.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#include "tap.h"

#define PAGE 4096

static sigjmp_buf back;
static siginfo_t seen;
static greg_t seen_regs[NGREG];

static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)sig;
    seen = *info;
    memcpy(seen_regs, uc->uc_mcontext.gregs, sizeof(seen_regs));
    siglongjmp(back, 1);
}

static void catch (int sig, void (*f)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | flags};

    sigaction(sig, &sa, NULL);
}

/* The signal that f raises, 0 if none. */
static int raised(void (*f)(void *), void *arg)
{
    memset(&seen, 0, sizeof(seen));
    if (!sigsetjmp(back, 1))
        f(arg);
    return seen.si_signo;
}

static void do_read(void *p)
{
    (void)*(volatile char *)p;
}

static void do_write(void *p)
{
    *(volatile char *)p = 1;
}

static void do_call(void *p)
{
    ((void (*)(void))p)();
}

/* ---- page faults ---- */

static void fault(const char *what, void (*f)(void *), void *p, int code,
                  unsigned int error)
{
    int sig = raised(f, p);

    ok(sig == SIGSEGV && seen.si_code == code && seen.si_addr == p &&
           seen_regs[REG_TRAPNO] == 14 &&
           (unsigned int)seen_regs[REG_ERR] == error &&
           (void *)seen_regs[REG_CR2] == p,
       "%s: signal %d, code %d, address %p, error %llx", what, sig,
       seen.si_code, seen.si_addr, seen_regs[REG_ERR]);
}

static void page_faults(void)
{
    char *p =
        mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    do_read(p);
    munmap(p + 2 * PAGE, PAGE);
    fault("a read of nothing", do_read, p + 2 * PAGE + 123, SEGV_MAPERR, 4);
    fault("a write to nothing", do_write, p + 2 * PAGE + 7, SEGV_MAPERR, 6);
    fault("a write to what is read-only", do_write, p + 5, SEGV_ACCERR, 7);
    fault("a call of data", do_call, p + 16, SEGV_ACCERR, 0x15);
    fault("a null pointer", do_read, NULL, SEGV_MAPERR, 4);
    mprotect(p, PAGE, PROT_NONE);
    fault("a read of what is closed", do_read, p + 9, SEGV_ACCERR, 4);
    mprotect(p, PAGE, PROT_READ | PROT_WRITE);
    ok(!raised(do_write, p) && *p == 1, "what was closed is open again");
}

/* Linux tells nobody whether a kernel's address is mapped. */
static void kernel_addresses(void)
{
    static const uintptr_t where[] = {
        0xffffffff81000000, 0xffff888000001000, 0xffff808000000000,
        0xffff810000000000, 0xffff818000000000, 0xffffffffff5ff000,
    };
    unsigned int i;

    for (i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
        int sig = raised(do_write, (void *)where[i]);

        ok(sig == SIGSEGV && seen.si_addr == (void *)where[i] &&
               seen.si_code == SEGV_MAPERR,
           "a write to %p: signal %d, code %d, address %p", (void *)where[i],
           sig, seen.si_code, seen.si_addr);
    }
    i = raised(do_read, (void *)0x800000000000);
    ok(i == SIGSEGV && !seen.si_addr && seen.si_code == SI_KERNEL &&
           seen_regs[REG_TRAPNO] == 13,
       "what is no address at all is a protection fault");
}

static void bus_error(void)
{
    char name[] = "/tmp/busXXXXXX";
    int fd = mkstemp(name), sig;
    char *p;

    if (ftruncate(fd, PAGE))
        perror("ftruncate");
    p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ok(!raised(do_write, p), "a file's last page can be written");
    sig = raised(do_write, p + PAGE + 3);
    ok(sig == SIGBUS && seen.si_code == BUS_ADRERR &&
           seen.si_addr == p + PAGE + 3,
       "beyond its end is SIGBUS: signal %d, code %d", sig, seen.si_code);
    unlink(name);
    close(fd);
}

/* ---- instructions ---- */

#define INSN(name, code)                                                       \
    static void name(void *arg)                                                \
    {                                                                          \
        (void)arg;                                                             \
        asm volatile(code ::: "rax", "rcx", "rdx", "memory");                  \
    }

INSN(insn_ud2, "ud2")
INSN(insn_int3, "int3")
INSN(insn_int3_long, ".byte 0xcd, 3")
INSN(insn_int1, ".byte 0xf1")
INSN(insn_into, "int $4")
INSN(insn_int66, "int $0x42")
INSN(insn_int128, "mov $20, %%eax; int $0x80") /* getpid, to i386 */
INSN(insn_hlt, "hlt")
INSN(insn_cli, "cli")
INSN(insn_in, "in $0x71, %%al")
INSN(insn_out, "out %%al, $0x80")
INSN(insn_doorbell, "out %%eax, $0xea")
INSN(insn_cr3, "mov %%cr3, %%rax")
INSN(insn_dr7, "mov %%dr7, %%rax")
INSN(insn_rdmsr, "mov $0xc0000080, %%ecx; rdmsr")
INSN(insn_lidt, "lidt (%%rsp)")
INSN(insn_ltr, "mov $0x28, %%eax; ltr %%ax")
INSN(insn_vmcall, "int $0x82")
INSN(insn_iret, "mov $0x10, %%eax; mov %%eax, %%ss")
INSN(insn_xsetbv, "xor %%ecx, %%ecx; xor %%edx, %%edx; mov $7, %%eax; xsetbv")
INSN(insn_div, "xor %%edx, %%edx; mov $5, %%eax; xor %%ecx, %%ecx; div %%ecx")
INSN(insn_idiv, "mov $0x80000000, %%eax; cltd; mov $-1, %%ecx; idiv %%ecx")

struct insn_case {
    const char *name;
    void (*f)(void *);
    int signal, code;
    unsigned int trap;
    bool at; /* si_addr is the instruction's, else 0 */
};

static const struct insn_case insns[] = {
    {"ud2", insn_ud2, SIGILL, ILL_ILLOPN, 6, true},
    {"int3", insn_int3, SIGTRAP, SI_KERNEL, 3, false},
    {"int $3", insn_int3_long, SIGTRAP, SI_KERNEL, 3, false},
    {"int1", insn_int1, SIGTRAP, TRAP_BRKPT, 1, true},
    {"int $4", insn_into, SIGSEGV, SI_KERNEL, 4, false},
    {"int $0x42", insn_int66, SIGSEGV, SI_KERNEL, 13, false},
    {"int $0x82", insn_vmcall, SIGSEGV, SI_KERNEL, 13, false},
    {"hlt", insn_hlt, SIGSEGV, SI_KERNEL, 13, false},
    {"cli", insn_cli, SIGSEGV, SI_KERNEL, 13, false},
    {"in", insn_in, SIGSEGV, SI_KERNEL, 13, false},
    {"out", insn_out, SIGSEGV, SI_KERNEL, 13, false},
    {"out to a doorbell", insn_doorbell, SIGSEGV, SI_KERNEL, 13, false},
    {"mov from cr3", insn_cr3, SIGSEGV, SI_KERNEL, 13, false},
    {"mov from dr7", insn_dr7, SIGSEGV, SI_KERNEL, 13, false},
    {"rdmsr", insn_rdmsr, SIGSEGV, SI_KERNEL, 13, false},
    {"lidt", insn_lidt, SIGSEGV, SI_KERNEL, 13, false},
    {"ltr", insn_ltr, SIGSEGV, SI_KERNEL, 13, false},
    {"mov to ss", insn_iret, SIGSEGV, SI_KERNEL, 13, false},
    {"xsetbv", insn_xsetbv, SIGSEGV, SI_KERNEL, 13, false},
    {"div by 0", insn_div, SIGFPE, FPE_INTDIV, 0, true},
    {"idiv beyond range", insn_idiv, SIGFPE, FPE_INTDIV, 0, true},
};

static void instructions(void)
{
    unsigned int i;

    for (i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
        const struct insn_case *c = &insns[i];
        int sig = raised(c->f, NULL);

        ok(sig == c->signal && seen.si_code == c->code &&
               seen_regs[REG_TRAPNO] == c->trap &&
               (!c->at || seen.si_addr == (void *)seen_regs[REG_RIP]),
           "%s: signal %d, code %d, trap %lld", c->name, sig, seen.si_code,
           seen_regs[REG_TRAPNO]);
    }
    ok(!raised(insn_int128, NULL), "int $0x80 is a system call");
}

static void do_sse_divide(void *arg)
{
    volatile double zero = 0, one = 1;
    unsigned int mxcsr = 0x1f80 & ~0x200u; /* zero divide unmasked */

    (void)arg;
    asm volatile("ldmxcsr %0" ::"m"(mxcsr));
    one = one / zero;
}

static void float_error(void)
{
    unsigned int mxcsr = 0x1f80;
    int sig = raised(do_sse_divide, NULL);

    asm volatile("ldmxcsr %0" ::"m"(mxcsr));
    ok(sig == SIGFPE && seen.si_code == FPE_FLTDIV &&
           seen_regs[REG_TRAPNO] == 19,
       "1.0 / 0.0, unmasked: signal %d, code %d", sig, seen.si_code);
}

/* ---- stacks ---- */

static volatile int depth, deepest;

/* Each is interrupted by the next one: on the same alternate stack. */
static void on_nested(int sig, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    if (++depth > deepest)
        deepest = depth;
    if (sig < SIGRTMIN + 9)
        raise(sig + 1);
    depth--;
}

static void nested(void)
{
    int i;

    for (i = 0; i < 10; i++)
        catch (SIGRTMIN + i, on_nested, SA_ONSTACK);
    raise(SIGRTMIN);
    ok(deepest == 10 && !depth, "ten signals, each in the handler before");
}

static int overflow(volatile char *before, int more)
{
    volatile char here[1024];

    here[0] = *before;
    return more ? overflow(here, more - 1) + here[0] : 0;
}

static void do_overflow(void *arg)
{
    char c = 0;

    (void)arg;
    overflow(&c, 1 << 30);
}

static void stacks(void)
{
    static char alt[65536];
    stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
    int sig;

    sigaltstack(&ss, NULL);
    catch (SIGSEGV, on_signal, SA_ONSTACK);
    sig = raised(do_overflow, NULL);
    ok(sig == SIGSEGV &&
           labs((char *)seen.si_addr - (char *)seen_regs[REG_RSP]) < 65536,
       "a full stack is told on another: signal %d", sig);
    nested();
}

/* ---- registers ---- */

static volatile sig_atomic_t ticks;

static void on_tick(int sig)
{
    (void)sig;
    ticks++;
}

/* Sums with all registers in use; an interrupted one would come out wrong. */
__attribute__((noinline)) static uint64_t busy(uint64_t seed,
                                               unsigned int rounds)
{
    uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = ~seed;
    double x = 1.0;

    asm volatile("" ::: "memory"); /* each call is to be made */
    while (rounds--) {
        a += b * 0x9e3779b97f4a7c15u;
        b ^= c >> 7;
        c += d + rounds;
        d ^= e << 9;
        e += a;
        x = x * 1.0000001 + 0.25;
    }
    return a ^ b ^ c ^ d ^ e ^ (uint64_t)x;
}

static void under_ticks(void)
{
    struct itimerval on = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
    uint64_t want = busy(42, 3000000);
    int i, wrong = 0;

    signal(SIGALRM, on_tick);
    setitimer(ITIMER_REAL, &on, NULL);
    for (i = 0; i < 300 && (i < 15 || ticks < 100); i++)
        wrong += busy(42, 3000000) != want;
    setitimer(ITIMER_REAL, &off, NULL);
    ok(!wrong && ticks >= 20, "a sum is the same, interrupted %d times", ticks);
}

int main(void)
{
    static const int all[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    unsigned int i;

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        catch (all[i], on_signal, 0);
    page_faults();
    kernel_addresses();
    bus_error();
    instructions();
    float_error();
    stacks();
    under_ticks();
    return tap_done();
}
