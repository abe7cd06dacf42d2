/* SPDX-License-Identifier: MIT */
/*
 * Run as a process of a PV Linux: tries to read and to write every page of
 * the monitor's slot that a vCPU could use, samples of the other slots of the
 * hypervisor and of the kernel's half, and to ring doorbells.  Prints what it
 * could do; the test knows what it may.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

#define PAGE 4096ull

static sigjmp_buf back;

static void on_fault(int sig)
{
    (void)sig;
    siglongjmp(back, 1);
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

    for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], on_fault);
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
    puts("probed");
    return 0;
}
