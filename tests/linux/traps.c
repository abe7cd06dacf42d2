/* SPDX-License-Identifier: MIT */
/*
 * Run as a process of a PV Linux: raises every trap that a process can raise,
 * and looks at the signal, its code and where it came from; goes on behind the
 * instruction each time.  Prints a line for each that is not right.
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <unistd.h>

#define TF 0x100

static volatile int got_signal, got_code, steps;
static volatile uintptr_t got_rip, got_addr;
static volatile uintptr_t go_on_at; /* 0: where it is */
static volatile int stepping;
static char signal_stack[65536];

static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *r = uc->uc_mcontext.gregs;

    if (stepping) {
        steps++;
        if (sig != SIGTRAP)
            got_signal = sig;
        return;
    }
    got_signal = sig;
    got_code = info->si_code;
    got_rip = r[REG_RIP];
    got_addr = (uintptr_t)info->si_addr;
    if (go_on_at)
        r[REG_RIP] = go_on_at;
}

static void report(const char *what, int sig, int code)
{
    if (got_signal != sig || (code && got_code != code))
        printf("WRONG %s: signal %d code %d rip %#lx\n", what, got_signal,
               got_code, (unsigned long)got_rip);
    got_signal = got_code = 0;
}

/* Each twice: the second time registers must have outlived the first. */
#define RAISE(what, sig, code, insn)                                           \
    for (int i = 0; i < 2; i++) {                                              \
        uintptr_t a, b = 0x1234567;                                            \
        __asm__ volatile("lea 1f(%%rip), %0; mov %0, %2\n\t" insn "\n1:"       \
                         : "=&a"(a), "+b"(b), "=m"(go_on_at)                   \
                         :                                                     \
                         : "rcx", "rdx", "r11", "memory", "cc");               \
        if (b != 0x1234567)                                                    \
            printf("WRONG %s: rbx is lost\n", what);                           \
        report(what, sig, code);                                               \
    }

static void raise_sse(void)
{
    unsigned int csr = 0x1f80 & ~0x200u, old;
    float zero = 0, one = 1;

    __asm__ volatile("stmxcsr %0" : "=m"(old));
    __asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, %0\n\t"
                     "ldmxcsr %1; movss %2, %%xmm0; divss %3, %%xmm0\n1:"
                     : "=m"(go_on_at)
                     : "m"(csr), "m"(one), "m"(zero)
                     : "rax", "xmm0", "memory");
    __asm__ volatile("ldmxcsr %0" : : "m"(old));
    report("division of a float by 0", SIGFPE, FPE_FLTDIV);
}

static void raise_x87(void)
{
    unsigned short cw = 0x37f & ~4u;

    __asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, %0\n\t"
                     "fldcw %1; fld1; fldz; fdivrp; fwait\n1: fninit"
                     : "=m"(go_on_at)
                     : "m"(cw)
                     : "rax", "memory");
    report("division by 0 in the x87", SIGFPE, FPE_FLTDIV);
}

/* Through a system call as well: SYSCALL must not lose the trap flag. */
static void step(void)
{
    long pid;

    go_on_at = 0;
    stepping = 1;
    __asm__ volatile("pushf; orl %1, (%%rsp); popf; nop; nop\n\t"
                     "syscall; nop; nop\n\t"
                     "pushf; andl %2, (%%rsp); popf"
                     : "=a"(pid)
                     : "i"(TF), "i"(~TF), "a"(SYS_getpid)
                     : "rcx", "r11", "memory", "cc");
    stepping = 0;
    if (steps < 6 || steps > 9 || got_signal || pid != getpid())
        printf("WRONG single steps: %d, signal %d, getpid %ld\n", steps,
               got_signal, pid);
    got_signal = 0;
}

/* Registers that a system call keeps, and what it makes of rcx and r11. */
static void call(void)
{
    uintptr_t rcx, r11, here;
    register uintptr_t r10 __asm__("r10") = 0x1010, r9 __asm__("r9") = 0x909;
    long pid;

    __asm__ volatile("lea 1f(%%rip), %3; syscall\n1: mov %%r11, %2"
                     : "=a"(pid), "=c"(rcx), "=r"(r11), "=&b"(here), "+r"(r10),
                       "+r"(r9)
                     : "a"(SYS_getpid)
                     : "r11", "memory");
    if (pid != getpid() || rcx != here || !(r11 & 0x200) || r10 != 0x1010 ||
        r9 != 0x909)
        printf("WRONG getpid %ld rcx %#lx (not %#lx) r11 %#lx r10 %#lx\n", pid,
               rcx, here, r11, r10);
}

int main(int argc, char **argv)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE};
    struct sigaction sa = {.sa_sigaction = on_signal,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};

    (void)argv;
    sigaltstack(&ss, NULL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &sa, NULL);
    RAISE("int3", SIGTRAP, 0, "int3");
    RAISE("ud2", SIGILL, ILL_ILLOPN, "ud2");
    RAISE("division by 0", SIGFPE, FPE_INTDIV,
          "xor %%ecx, %%ecx; xor %%edx, %%edx; div %%ecx");
    RAISE("hlt", SIGSEGV, 0, "hlt");
    RAISE("cli", SIGSEGV, 0, "cli");
    RAISE("in", SIGSEGV, 0, "in $0x60, %%al");
    RAISE("rdmsr", SIGSEGV, 0, "mov $0xc0000080, %%ecx; rdmsr");
    RAISE("int $13", SIGSEGV, 0, "int $13");
    RAISE("int $0x20", SIGSEGV, 0, "int $0x20");
    RAISE("a null pointer", SIGSEGV, SEGV_MAPERR, "movb $0, 8");
    RAISE("a jump to a null pointer", SIGSEGV, SEGV_MAPERR,
          "xor %%ecx, %%ecx; jmp *%%rcx");
    RAISE("the kernel", SIGSEGV, 0,
          "mov $0xffffffff81000000, %%rcx; movb $0, (%%rcx)");
    RAISE("an address that is none", SIGSEGV, 0,
          "mov $0x800000000000, %%rcx; movb $0, (%%rcx)");
    RAISE("a jump to an address that is none", SIGSEGV, 0,
          "mov $0x800000000000, %%rcx; jmp *%%rcx");
    if (argc < 2) /* QEMU's TCG has no SIMD exceptions */
        raise_sse();
    raise_x87();
    step();
    call();
    puts("traps: done");
    return 0;
}
