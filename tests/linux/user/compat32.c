/* SPDX-License-Identifier: MIT */
/*
 * Run in a PV Linux, built for i386 and without any library: 32-bit code, its
 * system calls, segments, signals and children.  Prints TAP lines itself.
 */
#define SYS_exit            1
#define SYS_fork            2
#define SYS_write           4
#define SYS_waitpid         7
#define SYS_getpid          20
#define SYS_kill            37
#define SYS_mmap2           192
#define SYS_set_thread_area 243
#define SYS_modify_ldt      123
#define SYS_rt_sigaction    174
#define SYS_sched_yield     158

#define SIGFPE  8
#define SIGUSR1 10
#define SIGSEGV 11

typedef unsigned int u32;

static int count, failed;

static int call(int nr, long a, long b, long c, long d)
{
    int r;

    asm volatile("int $0x80"
                 : "=a"(r)
                 : "0"(nr), "b"(a), "c"(b), "d"(c), "S"(d)
                 : "memory");
    return r;
}

static void put(const char *s)
{
    int n = 0;

    while (s[n])
        n++;
    call(SYS_write, 1, (long)s, n, 0);
}

static void put_number(u32 n)
{
    char buf[12], *p = buf + 11;

    *p = 0;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    put(p);
}

static void ok(int cond, const char *what)
{
    put(cond ? "ok " : "not ok ");
    put_number((u32)++count);
    put(" - 32-bit: ");
    put(what);
    put("\n");
    failed |= !cond;
}

/* ---- segments ---- */

struct user_desc {
    u32 entry, base, limit, bits;
};

static u32 block[2] = {0x12345678, 0};

static u32 read_gs(u32 selector)
{
    u32 v;

    asm volatile("mov %w1, %%gs; mov %%gs:0, %0" : "=r"(v) : "r"(selector));
    return v;
}

static void thread_area(void)
{
    /* 32-bit, limit in pages, usable */
    struct user_desc d = {(u32)-1, (u32)block, 0xfffff, 0x51};

    ok(!call(SYS_set_thread_area, (long)&d, 0, 0, 0) &&
           read_gs(d.entry << 3 | 3) == 0x12345678,
       "a thread's own segment");
    for (int i = 0; i < 50; i++)
        call(SYS_sched_yield, 0, 0, 0, 0);
    asm volatile("mov %%gs:0, %0" : "=r"(d.base));
    ok(d.base == 0x12345678, "it is there after others have run");
}

static void ldt(void)
{
    struct user_desc d = {3, (u32)block, 0xfff, 0x41};

    ok(!call(SYS_modify_ldt, 1, (long)&d, sizeof(d), 0) &&
           read_gs(3 << 3 | 7) == 0x12345678,
       "a segment of the LDT");
}

/* ---- signals ---- */

struct sigaction32 {
    void *handler;
    u32 flags;
    void *restorer;
    u32 mask[2];
};

static volatile int signals;

static void on_signal(int sig)
{
    signals += sig;
}

/* Skips the two bytes of the instruction that faulted. */
static void on_fault(int sig, void *info, u32 *context)
{
    (void)info;
    signals += sig;
    context[5 + 14] += 2; /* uc_mcontext.eip */
}

static int catch (int sig, void *f, u32 flags)
{
    struct sigaction32 sa = {f, flags, 0, {0, 0}};

    return call(SYS_rt_sigaction, sig, (long)&sa, 0, 8);
}

static void signal_tests(void)
{
    int pid = call(SYS_getpid, 0, 0, 0, 0);
    u32 zero = 0;

    catch (SIGUSR1, on_signal, 0);
    call(SYS_kill, pid, SIGUSR1, 0, 0);
    ok(signals == SIGUSR1, "a signal and the return from it");
    signals = 0;
    catch (SIGSEGV, on_fault, 4 /* SA_SIGINFO */);
    asm volatile("movb %%al, (%0)" ::"r"(16) : "memory");
    ok(signals == SIGSEGV, "a page fault, skipped by its handler");
    signals = 0;
    catch (SIGFPE, on_fault, 4);
    asm volatile("xor %%edx, %%edx; div %0" ::"r"(zero) : "eax", "edx", "cc");
    ok(signals == SIGFPE, "a division by zero, skipped");
}

/* ---- the rest ---- */

static void children(void)
{
    int status = 0, good = 0;

    for (int i = 0; i < 20; i++) {
        int pid = call(SYS_fork, 0, 0, 0, 0);

        if (!pid)
            call(SYS_exit, i, 0, 0, 0);
        call(SYS_waitpid, pid, (long)&status, 0, 0);
        good += status == i << 8;
    }
    ok(good == 20, "20 children");
}

/* What glibc uses: the vDSO's entry, from the auxiliary vector. */
static u32 sysinfo(const u32 *stack)
{
    const u32 *p = stack + 1 + stack[0] + 1;

    while (*p++)
        ;
    for (; p[0]; p += 2)
        if (p[0] == 32)
            return p[1];
    return 0;
}

static void vdso(const u32 *stack)
{
    u32 entry = sysinfo(stack), r = 0;

    if (entry)
        asm volatile("call *%1" : "=a"(r) : "r"(entry), "0"(SYS_getpid));
    ok(entry && r == (u32)call(SYS_getpid, 0, 0, 0, 0),
       "a system call by the vDSO");
}

static void far_jumps(void)
{
    u32 r;

    /* To 64-bit code and back: the same process has both. */
    asm volatile("ljmp $0x33, $1f\n"
                 "1: .byte 0x48, 0xc7, 0xc0, 5, 0, 0, 0\n" /* mov $5, %rax */
                 "   .byte 0x48, 0xc1, 0xe0, 0x21\n"       /* shl $33, %rax */
                 "   .byte 0x48, 0xc1, 0xe8, 0x20\n"       /* shr $32, %rax */
                 "   .byte 0x48, 0x83, 0xec, 8\n"          /* sub $8, %rsp */
                 "   .byte 0xc7, 0x04, 0x24\n   .long 2f\n"
                 "   .byte 0xc7, 0x44, 0x24, 4, 0x23, 0, 0, 0\n"
                 "   .byte 0xff, 0x2c, 0x24\n" /* ljmp *(%rsp) */
                 "2: add $8, %%esp\n"
                 : "=a"(r)
                 :
                 : "memory", "cc");
    ok(r == 10, "into 64-bit code and back");
}

__attribute__((used)) static void run(const u32 *stack)
{
    put("# 32-bit code runs\n");
    ok(call(SYS_getpid, 0, 0, 0, 0) > 0, "int $0x80");
    thread_area();
    ldt();
    signal_tests();
    children();
    vdso(stack);
    far_jumps();
    put("1..");
    put_number((u32)count);
    put("\n");
    call(SYS_exit, failed, 0, 0, 0);
}

asm(".globl _start\n"
    "_start:\n"
    "    mov %esp, %eax\n"
    "    and $-16, %esp\n"
    "    sub $12, %esp\n"
    "    push %eax\n"
    "    call run\n");
