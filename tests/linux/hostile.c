/* SPDX-License-Identifier: MIT */
/*
 * Run as a process of a PV Linux that means harm: goes back from signal
 * handlers to every combination of code and stack segments, addresses and
 * flags that its kernel lets it name, and calls its kernel with flags that no
 * kernel wants.  Each must end in a signal.  Prints how many did.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define UC_STRICT_SS 4
#define COUNT(a)     (sizeof(a) / sizeof((a)[0]))
#define MONITOR      0xffff808000000000

/* Bits of rflags that Linux takes from a signal frame. */
#define FL_TF 0x100
#define FL_DF 0x400
#define FL_RF 0x10000

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGUSR1};
static char signal_stack[65536];
static volatile sig_atomic_t went;
static gregset_t good;
static uint16_t want_cs, want_ss;
static uint64_t want_rip, want_flags;
static unsigned int ends[65];

/* The first signal sends it there, the one that it gets there brings it back.
 */
static void on_signal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *r = uc->uc_mcontext.gregs;

    (void)info;
    uc->uc_flags |= UC_STRICT_SS;
    if (!went) {
        went = 1;
        memcpy(good, r, sizeof(good));
        r[REG_CSGSFS] = want_cs | (greg_t)want_ss << 48;
        r[REG_RIP] = want_rip;
        r[REG_EFL] = 0x202 | want_flags;
        return;
    }
    ends[sig]++;
    memcpy(r, good, sizeof(good));
}

static void on_alarm(int sig)
{
    static const char what[] = "WRONG: it goes on for ever\n";

    (void)sig;
    if (write(1, what, sizeof(what) - 1) > 0)
        _exit(1);
    _exit(2);
}

static void set_ldt(unsigned int i, unsigned int type, int bits32, int absent,
                    unsigned int limit)
{
    struct user_desc d = {
        .entry_number = i,
        .limit = limit,
        .seg_32bit = bits32,
        .contents = type,
        .limit_in_pages = 1,
        .seg_not_present = absent,
    };

    if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)))
        printf("modify_ldt %u: %m\n", i);
}

static void forge_contexts(void)
{
    static const uint16_t cs[] = {
        0x33,   0x23,   0x2b,   0x03,   0x13,   0x1b,   0xe033, 0xe02b,
        0xe023, 0xe01b, 0xe00b, 0xe013, 0xe043, 0xe053, 0xe03b, 0xfffb,
        0x07,   0x0f,   0x17,   0x1f,   0x27,   0xffff,
    };
    static const uint16_t ss[] = {0x2b,   0x03,   0x33,   0x23, 0x13, 0xe02b,
                                  0xe03b, 0xe013, 0xe043, 0x07, 0x0f, 0x1f};
    static const uint64_t flags[] = {0, FL_TF, FL_DF | FL_RF};
    uint8_t *low = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    uint8_t *high = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uint64_t rip[] = {
        (uintptr_t)low,     (uintptr_t)high, 8,       0x800000000000,
        0xffffffff81000000, 0x7ffffffffffe,  MONITOR, MONITOR + 0x130000,
        MONITOR + 0x131000, ~0ull,
    };
    unsigned long n = 0;

    memset(low, 0x0b, 4096);
    memset(high, 0x0b, 4096);
    low[0] = high[0] = 0x0f; /* ud2 */
    mprotect(low, 4096, PROT_READ | PROT_EXEC);
    mprotect(high, 4096, PROT_READ | PROT_EXEC);
    set_ldt(0, MODIFY_LDT_CONTENTS_DATA, 1, 0, 0xfffff);
    set_ldt(1, MODIFY_LDT_CONTENTS_CODE, 1, 0, 0xfffff);
    set_ldt(2, MODIFY_LDT_CONTENTS_CODE, 0, 0, 0);
    set_ldt(3, MODIFY_LDT_CONTENTS_STACK, 1, 0, 1);
    set_ldt(4, MODIFY_LDT_CONTENTS_CODE, 1, 1, 0xfffff);
    for (size_t i = 0; i < COUNT(cs); i++)
        for (size_t k = 0; k < COUNT(ss); k++)
            for (size_t l = 0; l < COUNT(rip); l++)
                for (size_t m = 0; m < COUNT(flags); m++, n++) {
                    want_cs = cs[i];
                    want_ss = ss[k];
                    want_rip = rip[l];
                    want_flags = flags[m];
                    went = 0;
                    raise(SIGUSR1);
                }
    printf("contexts: %lu, SEGV %u BUS %u ILL %u TRAP %u\n", n, ends[SIGSEGV],
           ends[SIGBUS], ends[SIGILL], ends[SIGTRAP]);
    if (ends[SIGSEGV] + ends[SIGBUS] + ends[SIGILL] + ends[SIGTRAP] != n)
        printf("WRONG: not each ended in one signal\n");
}

/* SYSCALL clears DF for the kernel, and gives it back. */
static void backwards(void)
{
    static struct utsname a[3], b;
    uint64_t flags;
    long rc;

    uname(&b);
    memset(a, 0x55, sizeof(a));
    __asm__ volatile("std; syscall; pushf; cld; pop %1"
                     : "=a"(rc), "=r"(flags)
                     : "a"(SYS_uname), "D"(&a[1])
                     : "rcx", "r11", "memory", "cc");
    if (rc || memcmp(&a[1], &b, sizeof(b)) ||
        memchr(&a[0], 'L', sizeof(a[0])) || !(flags & FL_DF))
        printf("WRONG uname, backwards: %ld, rflags %#lx\n", rc, flags);
}

/*
 * In the page that is its way out of the hypervisor's code it can go round for
 * ever: its kernel must get the processor back, and so the alarm through.
 */
static void spin(void)
{
    const struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    unsigned int alarms = 0;

    for (uint64_t at = MONITOR + 0x130240; at < MONITOR + 0x1302a0; at++) {
        int status = 0;
        pid_t pid = fork();

        if (!pid) {
            for (size_t i = 0; i < COUNT(signals); i++)
                signal(signals[i], SIG_DFL);
            signal(SIGALRM, SIG_DFL);
            setitimer(ITIMER_REAL, &soon, NULL);
            signal(SIGUSR1, (void (*)(int))at);
            raise(SIGUSR1);
            _exit(0);
        }
        if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
            printf("WRONG: from %#lx status %#x\n", at, status);
        alarms += WTERMSIG(status) == SIGALRM;
    }
    printf("spun: %u stopped by their alarm\n", alarms);
}

static volatile uint64_t int3_at;
static volatile unsigned long int3s, alarms;

static void on_int3(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)sig;
    (void)info;
    int3s++;
    if ((uint64_t)uc->uc_mcontext.gregs[REG_RIP] != int3_at)
        printf("WRONG: int3 at %#llx\n", uc->uc_mcontext.gregs[REG_RIP]);
}

static void count_alarm(int sig)
{
    (void)sig;
    alarms++;
}

/* int3 while timer interrupts come, and a loop behind what looks like one. */
static void breakpoints(void)
{
    const struct itimerval often = {{.tv_usec = 1000}, {.tv_usec = 1000}};
    const struct itimerval never = {0};
    struct sigaction sa = {.sa_sigaction = on_int3, .sa_flags = SA_SIGINFO};
    unsigned long n = 0;

    sigaction(SIGTRAP, &sa, NULL);
    signal(SIGALRM, count_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    for (; alarms < 1000; n++)
        __asm__ volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; int3\n1:"
                         : "=m"(int3_at)
                         :
                         : "rax", "memory");
    alarms = 0;
    __asm__ volatile("jmp 1f; int3; 1: cmpq $100, %0; jb 1b"
                     :
                     : "m"(alarms)
                     : "cc");
    setitimer(ITIMER_REAL, &never, NULL);
    if (n != int3s)
        printf("WRONG: %lu int3, %lu signals\n", n, int3s);
    printf("breakpoints: %lu\n", n);
}

int main(void)
{
    struct sigaction sa = {.sa_sigaction = on_signal,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};

    setvbuf(stdout, NULL, _IONBF, 0);
    sigaltstack(&ss, NULL);
    for (size_t i = 0; i < COUNT(signals); i++)
        sigaction(signals[i], &sa, NULL);
    signal(SIGALRM, on_alarm);
    alarm(60);
    backwards();
    puts("hostile: system calls done");
    forge_contexts();
    puts("hostile: contexts done");
    spin();
    breakpoints();
    puts("hostile: done");
    return 0;
}
