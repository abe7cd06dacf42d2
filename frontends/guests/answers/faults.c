/* SPDX-License-Identifier: MIT */
/* Exceptions as a handler sees them: vectors, error codes, frames. */
#include "frontends/guests/answers/answers.h"
#include "frontends/include/cpu.h"

static void read_at(void *arg)
{
    (void)*(volatile uint8_t *)arg;
}

static void write_at(void *arg)
{
    *(volatile uint8_t *)arg = 1;
}

static void run_at(void *arg)
{
    ((void (*)(void))arg)();
}

static void ud2(void *arg)
{
    (void)arg;
    __asm__ volatile("ud2");
}

static void int3(void *arg)
{
    (void)arg;
    __asm__ volatile("int3");
}

static void divide(void *arg)
{
    __asm__ volatile("xorl %%edx, %%edx\n\tdivl %0"
                     :
                     : "r"((uint32_t)(uint64_t)arg), "a"(1)
                     : "edx", "cc");
}

static void step(void *arg)
{
    (void)arg;
    __asm__ volatile("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tnop\n\tnop"
                     :
                     :
                     : "memory", "cc");
}

static void far_jump(void *arg)
{
    struct {
        uint64_t offset;
        uint16_t selector;
    } __attribute__((packed)) to = {(uint64_t)read_at, (uint16_t)(uint64_t)arg};

    __asm__ volatile("rex.W ljmp *%0" : : "m"(to));
}

static void iret_to(void *arg)
{
    __asm__ volatile("movq %%rsp, %%rax\n\tpushq $0xe02b\n\tpushq %%rax\n\t"
                     "pushfq\n\tpushq %0\n\tpushq $1f\n\tiretq\n1:"
                     :
                     : "r"(arg)
                     : "rax", "memory");
}

static void pages(void)
{
    struct frame f = frame_alloc();
    void *xen = XENS;

    answer_probe("fault/read at nowhere", read_at, NOWHERE);
    answer_probe("fault/write at nowhere", write_at, NOWHERE);
    answer_probe("fault/run at nowhere", run_at, NOWHERE);
    answer_probe("fault/read Xen's", read_at, xen);
    answer_probe("fault/write Xen's", write_at, xen);
    answer_probe("fault/run Xen's", run_at, xen);
    answer_probe("fault/read, not canonical", read_at, (void *)BENT);
    answer_probe("fault/run, not canonical", run_at, (void *)BENT);
    frame_remap(&f, PTE_RAM_RO);
    answer_probe("fault/write a read-only page", write_at, f.va);
    frame_remap(&f, PTE_RAM_RO | 1ul << 63);
    answer_probe("fault/run a page of data", run_at, f.va);
    frame_remap(&f, 0);
    answer_probe("fault/read a page that is away", read_at, f.va);
    frame_remap(&f, PTE_P);
    answer_probe("fault/read a kernel page", read_at, f.va);
    frame_remap(&f, PTE_RAM_RW);
    page_free(f.va, 1);
}

static void others(void)
{
    answer_probe("fault/ud2", ud2, NULL);
    answer_probe("fault/int3", int3, NULL);
    answer_probe("fault/divide by 0", divide, NULL);
    answer_probe("fault/single step", step, NULL);
    answer_probe("fault/far jump to null", far_jump, NULL);
    answer_probe("fault/far jump to data", far_jump, (void *)0xe02b);
    answer_probe("fault/iret to null", iret_to, NULL);
    answer_probe("fault/iret to ring 0", iret_to, (void *)0xe008);
    answer_probe("fault/iret to the kernel's", iret_to, (void *)0xe033);
}

/* The frame itself. */
static void frames(void)
{
    struct probe p;

    events_off();
    p = probe(ud2, NULL);
    printf("frame/events off, cs: %lx\n", p.cs & 0xffff);
    printf("frame/events off, saved mask: %lx\n", p.cs >> 32);
    printf("frame/events off, IF and IOPL: %lx\n", p.rflags & 0x3200);
    answer_yes(p.masked, "frame/events off, masked in the handler");
    events_on();
    p = probe(ud2, NULL);
    printf("frame/events on, cs: %lx\n", p.cs & 0xffff);
    printf("frame/events on, saved mask: %lx\n", p.cs >> 32);
    printf("frame/events on, IF and IOPL: %lx\n", p.rflags & 0x3200);
    printf("frame/events on, ss: %lx\n", p.ss);
    answer_yes(p.masked, "frame/events on, masked in the handler");
    answer_yes(p.rip == (uint64_t)ud2, "frame/ud2, rip at it");
    p = probe(int3, NULL);
    answer_yes(p.rip == (uint64_t)int3 + 1, "frame/int3, rip behind it");
    p = probe(read_at, NOWHERE);
    answer_yes(p.cr2 == (uint64_t)NOWHERE, "frame/page fault, cr2");
    p = probe(read_at, (char *)XENS + 123);
    answer_yes(p.cr2 == (uint64_t)XENS + 123, "frame/fault at Xen's, cr2");
    p = probe(step, NULL);
    printf("frame/single step, TF: %lx\n", p.rflags & 0x100);
    printf("frame/single step, DR6: %lx\n",
           (uint64_t)hypercall(__HYPERVISOR_get_debugreg, 6, 0, 0, 0, 0));
}

void answers_faults(void)
{
    pages();
    others();
    frames();
}
