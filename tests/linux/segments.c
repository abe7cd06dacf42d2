/* SPDX-License-Identifier: MIT */
/*
 * Inside a Linux guest: what user code may do that its kernel needs the
 * hypervisor for.  Each part runs in a process of its own and prints "ok PART"
 * or "BAD PART: why"; "segments: ..." is last.
 *   segments [PART...]    only those
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define TF       0x100
#define LOW_SIZE 65536 /* a signal fits on it as a stack */

static const char *why(const char *text)
{
    return text;
}

/* ---- exceptions become the signals that they are ---- */

static sigjmp_buf back;
static volatile int got, got_code;
static volatile uintptr_t got_rip, got_addr;

static void on_signal(int sig, siginfo_t *si, void *ctx)
{
    ucontext_t *u = ctx;

    got = sig;
    got_code = si->si_code;
    got_rip = u->uc_mcontext.gregs[REG_RIP];
    got_addr = (uintptr_t)si->si_addr;
    siglongjmp(back, 1);
}

static void catch (int sig)
{
    struct sigaction sa = {.sa_sigaction = on_signal,
                           .sa_flags = SA_SIGINFO | SA_NODEFER};

    sigaction(sig, &sa, NULL);
}

static void catch_all(void)
{
    static const int all[] = {SIGSEGV, SIGILL, SIGTRAP, SIGFPE, SIGBUS};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        catch (all[i]);
}

#define SIGNAL_OF(code)                                                        \
    ({                                                                         \
        got = 0;                                                               \
        if (!sigsetjmp(back, 1)) {                                             \
            code;                                                              \
        }                                                                      \
        got;                                                                   \
    })

static const char *exceptions(void)
{
    catch_all();
    if (SIGNAL_OF(asm volatile("ud2")) != SIGILL)
        return "ud2";
    if (SIGNAL_OF(asm volatile("int3")) != SIGTRAP)
        return "int3";
    if (SIGNAL_OF(asm volatile("divl %0" : : "r"(0), "a"(1), "d"(0))) != SIGFPE)
        return "divide by zero";
    if (SIGNAL_OF(asm volatile("int $0x21")) != SIGSEGV)
        return "int 0x21";
    if (SIGNAL_OF(asm volatile("int $14")) != SIGSEGV)
        return "int 14";
    if (SIGNAL_OF(asm volatile("int $0xeb")) != SIGSEGV)
        return "int 0xeb";
    if (SIGNAL_OF(asm volatile("cli")) != SIGSEGV)
        return "cli";
    if (SIGNAL_OF(asm volatile("hlt")) != SIGSEGV)
        return "hlt";
    if (SIGNAL_OF(asm volatile("mov %%cr3, %%rax" : : : "rax")) != SIGSEGV)
        return "mov from cr3";
    if (SIGNAL_OF(asm volatile("mov %%rax, %%dr7" : : "a"(0))) != SIGSEGV)
        return "mov to dr7";
    if (SIGNAL_OF(asm volatile("rdmsr"
                               :
                               : "c"(0xc0000080)
                               : "rax", "rdx")) != SIGSEGV)
        return "rdmsr";
    if (SIGNAL_OF(asm volatile("wbinvd")) != SIGSEGV)
        return "wbinvd";
    if (SIGNAL_OF(asm volatile("outb %%al, $0x80" : : "a"(0))) != SIGSEGV)
        return "out";
    if (SIGNAL_OF(*(volatile char *)0x0badc0de00000000ul = 0) != SIGSEGV)
        return "a store to an address that is none";
    if (SIGNAL_OF(asm volatile("jmp *%0"
                               :
                               : "r"(0x0badc0de00000000ul))) != SIGSEGV)
        return "a jump to an address that is none";
    return NULL;
}

static const char *selectors(void)
{
    catch_all();
    if (SIGNAL_OF(asm volatile("mov %0, %%ds" : : "r"(0x1233))) != SIGSEGV)
        return "ds beyond the table";
    if (SIGNAL_OF(asm volatile("mov %0, %%fs" : : "r"(0xe00b))) != SIGSEGV)
        return "fs of CPL0 code";
    if (SIGNAL_OF(asm volatile("mov %0, %%es" : : "r"(0x2b))))
        return "es flat";
    if (SIGNAL_OF(asm volatile("mov %0, %%es" : : "r"(0))))
        return "es null";
    if (SIGNAL_OF(asm volatile("pushq $0x1233; pushq $0; lretq")) != SIGSEGV)
        return "a far return to no segment";
    return NULL;
}

/* ---- traps after an instruction ---- */

static volatile int steps;

static void on_step(int sig, siginfo_t *si, void *ctx)
{
    (void)sig;
    (void)si;
    if (++steps >= 5)
        ((ucontext_t *)ctx)->uc_mcontext.gregs[REG_EFL] &= ~TF;
}

static const char *trap_flag(void)
{
    struct sigaction sa = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};

    sigaction(SIGTRAP, &sa, NULL);
    asm volatile("sub $128, %%rsp; pushf; orl $0x100, (%%rsp); popf\n"
                 "nop; nop; nop; nop; nop; nop; nop; nop; add $128, %%rsp"
                 :
                 :
                 : "memory", "cc");
    return steps == 5 ? NULL : why(steps ? "too many traps" : "no trap");
}

static volatile long counter;

static void traced(void)
{
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    for (int i = 0; i < 10; i++)
        counter++;
    syscall(SYS_getppid);
    for (int i = 0; i < 10; i++)
        counter++;
    _exit(7);
}

static const char *single_step(void)
{
    struct user_regs_struct r, was = {0};
    pid_t pid = fork();
    int status, n = 0;

    if (!pid)
        traced();
    waitpid(pid, &status, 0);
    for (; n < 100000; n++) {
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL))
            return "PTRACE_SINGLESTEP";
        waitpid(pid, &status, 0);
        if (WIFEXITED(status))
            break;
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
            return "stopped by another signal";
        ptrace(PTRACE_GETREGS, pid, NULL, &r);
        if (r.rip == was.rip && r.rcx == was.rcx && r.rax == was.rax &&
            r.rsp == was.rsp && r.eflags == was.eflags)
            return "it does not move";
        was = r;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
        return "it did not end well";
    return n > 60 ? NULL : "too few steps";
}

static int set_debug(pid_t pid, unsigned int reg, unsigned long val)
{
    return ptrace(PTRACE_POKEUSER, pid,
                  offsetof(struct user, u_debugreg) + reg * sizeof(long), val);
}

/* A watched word: the child stops behind each of twenty stores. */
static const char *watchpoint(void)
{
    pid_t pid = fork();
    int status, hits = 0;

    if (!pid)
        traced();
    waitpid(pid, &status, 0);
    if (set_debug(pid, 0, (unsigned long)&counter) ||
        set_debug(pid, 7, 0xd0001 | 0x100))
        return "PTRACE_POKEUSER of a debug register";
    for (;;) {
        ptrace(PTRACE_CONT, pid, NULL, NULL);
        waitpid(pid, &status, 0);
        if (WIFEXITED(status))
            break;
        hits++;
    }
    return hits == 20 ? NULL
                      : why(hits ? "some stores" : "no store stopped it");
}

/* ---- descriptors of its own ---- */

static int make_segment(unsigned int n, void *base, unsigned int limit)
{
    struct user_desc d = {
        .entry_number = n,
        .base_addr = (uintptr_t)base,
        .limit = limit,
        .seg_32bit = 1,
        .contents = MODIFY_LDT_CONTENTS_DATA,
        .useable = 1,
    };

    return syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
}

static void *low_page(void)
{
    return mmap(NULL, LOW_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
}

static const char *local_segments(void)
{
    unsigned int *page = low_page(), val = 0, val2 = 0;

    catch_all();
    page[3] = 0x12345678;
    if (make_segment(5, page, 4095))
        return "modify_ldt";
    if (SIGNAL_OF(asm volatile("mov %1, %%gs; mov %%gs:12, %0; mov %2, %%gs"
                               : "=&r"(val)
                               : "r"(5 << 3 | 7), "r"(0))))
        return "loading it";
    if (val != 0x12345678)
        return "what is in it";
    /* It is this process's, on whatever vCPU, and after others ran. */
    for (int i = 0; i < 20; i++) {
        usleep(1000);
        if (SIGNAL_OF(asm volatile("mov %1, %%gs; mov %%gs:12, %0; mov %2, %%gs"
                                   : "=&r"(val2)
                                   : "r"(5 << 3 | 7), "r"(0))) ||
            val2 != val)
            return "what is in it later";
    }
    return NULL;
}

/* ---- 32 bits ---- */

static const char *int80(void)
{
    long rc = 0;

    catch_all();
    if (SIGNAL_OF(asm volatile("int $0x80"
                               : "=a"(rc)
                               : "0"(20L)
                               : "memory", "r8", "r9", "r10", "r11")))
        return "a signal";
    return rc == getpid() ? NULL : "not this process's id";
}

/* far call into 32-bit code: adds 1 to eax in 32 bits, far return. */
static const char *compat_code(unsigned int selector)
{
    static const unsigned char code[] = {0x40, 0x90, 0xcb}; /* inc eax; lret */
    unsigned char *page = low_page();
    struct {
        unsigned int off;
        unsigned short sel;
    } __attribute__((packed)) target = {(uintptr_t)page, selector};
    unsigned int eax = 0xffffffff;
    unsigned int *stack = low_page();

    catch_all();
    memcpy(page, code, sizeof(code));
    if (SIGNAL_OF(asm volatile("mov %%rsp, %%rbx; mov %2, %%rsp\n"
                               "lcall *(%1)\n"
                               "mov %%rbx, %%rsp"
                               : "+a"(eax)
                               : "r"(&target), "r"(stack + LOW_SIZE / 4)
                               : "rbx", "memory")))
        return "a signal";
    return eax == 0 ? NULL : "0x40 was not inc eax";
}

static const char *compat_segment(void)
{
    return compat_code(0x23);
}

/*
 * 32-bit code that goes to the kernel and back in all ways: system calls by
 * int 0x80, page faults, interrupts while it counts.
 * ebx: a page that is not there yet.  Answers the sum of process ids.
 */
static const unsigned char compat_loop[] = {
    0x31, 0xf6,                         /*    xor esi, esi */
    0xbf, 0x0a, 0x00, 0x00, 0x00,       /*    mov edi, 10 */
    0xb8, 0x14, 0x00, 0x00, 0x00,       /* 1: mov eax, 20 */
    0xcd, 0x80,                         /*    int 0x80 */
    0x01, 0xc6,                         /*    add esi, eax */
    0x89, 0x33,                         /*    mov [ebx], esi */
    0x81, 0xc3, 0x00, 0x10, 0x00, 0x00, /*    add ebx, 4096 */
    0xb9, 0x64, 0x00, 0x00, 0x00,       /*    mov ecx, 100 */
    0x49,                               /* 2: dec ecx */
    0x75, 0xfd,                         /*    jnz 2b */
    0x4f,                               /*    dec edi */
    0x75, 0xe4,                         /*    jnz 1b */
    0x89, 0xf0,                         /*    mov eax, esi */
    0xcb,                               /*    lret */
};

static const char *compat_calls(void)
{
    unsigned char *page = low_page();
    struct {
        unsigned int off;
        unsigned short sel;
    } __attribute__((packed)) target = {(uintptr_t)page, 0x23};
    unsigned int *stack = low_page(), sum = 0;
    char *fresh = mmap(NULL, 10 * 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

    catch_all();
    memcpy(page, compat_loop, sizeof(compat_loop));
    if (SIGNAL_OF(asm volatile("mov %%rsp, %%r12; mov %2, %%rsp\n"
                               "mov %4, %%ds; mov %4, %%es\n"
                               "push %%r12; lcall *(%1); pop %%rsp"
                               : "=a"(sum)
                               : "r"(&target), "r"(stack + LOW_SIZE / 4),
                                 "b"(fresh), "r"(0x2b)
                               : "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11",
                                 "r12", "r13", "r14", "r15", "memory")))
        return "a signal";
    return sum == 10u * getpid() ? NULL : "the sum";
}

static const char *compat_local(void)
{
    struct user_desc d = {
        .entry_number = 6,
        .limit = 0xfffff,
        .seg_32bit = 1,
        .contents = MODIFY_LDT_CONTENTS_CODE,
        .limit_in_pages = 1,
        .useable = 1,
    };

    if (syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)))
        return "modify_ldt";
    return compat_code(6 << 3 | 7);
}

/* ---- ports ---- */

static const char *ports(void)
{
    catch_all();
    if (SIGNAL_OF(inb(0x80)) != SIGSEGV)
        return "in without leave";
    if (iopl(3))
        return "iopl";
    if (SIGNAL_OF(outb(0, 0x80)))
        return "out with leave";
    if (SIGNAL_OF(inb(0x80)))
        return "in with leave";
    if (iopl(0))
        return "iopl 0";
    if (SIGNAL_OF(outb(0, 0x80)) != SIGSEGV)
        return "out with leave taken away";
    if (ioperm(0x80, 1, 1))
        return "ioperm";
    if (SIGNAL_OF(outb(0, 0x80)))
        return "out with that port's leave";
    return NULL;
}

static const char *vsyscall(void)
{
    long (*gettime)(void *, void *) = (void *)0xffffffffff600000ul;
    struct timeval {
        long s, us;
    } tv = {0};

    catch_all();
    if (SIGNAL_OF(gettime(&tv, NULL)))
        return "a signal";
    return tv.s ? NULL : "no time";
}

static const struct {
    const char *name;
    const char *(*run)(void);
} parts[] = {
    {"exceptions", exceptions},
    {"selectors", selectors},
    {"trap-flag", trap_flag},
    {"single-step", single_step},
    {"watchpoint", watchpoint},
    {"local-segments", local_segments},
    {"int80", int80},
    {"compat-segment", compat_segment},
    {"compat-local", compat_local},
    {"compat-calls", compat_calls},
    {"ports", ports},
    {"vsyscall", vsyscall},
};

static int run(const char *name, const char *(*part)(void))
{
    pid_t pid;
    int status;

    fflush(stdout);
    pid = fork();
    if (!pid) {
        const char *text;

        alarm(20);
        text = part();
        if (text)
            printf("BAD %s: %s (signal %d, code %d, rip %lx, address %lx)\n",
                   name, text, got, got_code, got_rip, got_addr);
        else
            printf("ok %s\n", name);
        fflush(stdout);
        _exit(text ? 1 : 0);
    }
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        printf("BAD %s: killed by signal %d\n", name, WTERMSIG(status));
    return status != 0;
}

int main(int argc, char **argv)
{
    int bad = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        int wanted = argc < 2;

        for (int k = 1; k < argc; k++)
            wanted |= !strcmp(argv[k], parts[i].name);
        if (wanted)
            bad += run(parts[i].name, parts[i].run);
    }
    printf("segments: %d BAD\n", bad);
    return bad;
}
