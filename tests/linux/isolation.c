/* SPDX-License-Identifier: MIT */
/*
 * Run as a process of a PV Linux: tries to read and to write every page of
 * the monitor's slot that a vCPU could use, samples of the other slots of the
 * hypervisor and of the kernel's half, to ring doorbells, and to jump into the
 * monitor's code.  Prints what it could do; the test knows what it may.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

#define PAGE 4096ull

#define TEXT        (0xffff808000100000ull + 0x30000)
#define TEXT_PAGES  12
#define WAY_OUT     0x200u /* user code's own part of page 0 */
#define WAY_OUT_LEN 0xc0u

static sigjmp_buf back;
static char signal_stack[65536];
static void *stack_of_traps[512];

static void on_fault(int sig)
{
    siglongjmp(back, sig);
}

static int try_read(uint64_t va)
{
    if (sigsetjmp(back, 1))
        return 0;
    (void)*(volatile char *)(uintptr_t)va;
    return 1;
}

static int try_write(uint64_t va)
{
    if (sigsetjmp(back, 1))
        return 0;
    *(volatile char *)(uintptr_t)va = 0x5a;
    return 1;
}

static int try_out(uint16_t port)
{
    if (sigsetjmp(back, 1))
        return 0;
    __asm__ volatile("outl %0, %1" : : "a"(0), "d"(port));
    return 1;
}

/* Where any RET of the monitor's would lead, on the stack that it gets. */
static void landed(void)
{
    __asm__ volatile("ud2");
}

static void try_jump(uint64_t va, void *rsp)
{
    int sig = sigsetjmp(back, 1);

    if (!sig)
        __asm__ volatile("mov %1, %%rsp; mov %2, %%rcx; jmp *%0"
                         :
                         : "a"(va), "r"(rsp), "r"(landed)
                         : "rcx", "memory");
    if (sig != SIGSEGV)
        printf("RAN %#llx (signal %d)\n", (unsigned long long)va, sig);
}

static void try_jumps(void)
{
    void **middle = stack_of_traps + 256;

    for (unsigned int i = 0; i < 512; i++)
        stack_of_traps[i] = landed;
    for (uint64_t off = 0; off < TEXT_PAGES * PAGE;
         off += off < PAGE ? 1 : 61) {
        if (off >= WAY_OUT && off < WAY_OUT + WAY_OUT_LEN)
            continue;
        try_jump(TEXT + off, middle);
        try_jump(TEXT + off, (void *)8);
    }
}

static void probe(uint64_t va, const char *what)
{
    if (try_read(va))
        printf("read %s %#llx\n", what, (unsigned long long)va);
    if (try_write(va))
        printf("WROTE %s %#llx\n", what, (unsigned long long)va);
}

int main(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};

    stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
    struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};

    sigaltstack(&ss, NULL);
    for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &sa, NULL);
    for (uint64_t off = 0; off < 0x400000; off += PAGE)
        probe(0xffff808000000000 + off, "monitor");
    for (uint64_t off = 0; off < 64 << 20; off += 1 << 20) {
        probe(0xffff810000000000 + off, "directmap");
        probe(0xffff818000000000 + off, "m2p");
        probe(0xffff888000000000 + off, "kernel-data");
        probe(0xffffffff81000000 + off, "kernel-text");
    }
    for (unsigned int port = 0xe0; port < 0xf0; port++)
        if (try_out(port))
            printf("RANG %#x\n", port);
    for (unsigned int port = 0xc000; port < 0xc100; port++)
        if (try_out(port))
            printf("RANG %#x\n", port);
    fflush(stdout);
    try_jumps();
    puts("probed");
    return 0;
}
