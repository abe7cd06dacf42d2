/* SPDX-License-Identifier: MIT */
/*
 * The monitor: hypervisor code and data inside the guest's address space, in
 * the L4 slots that Xen's ABI reserves.  One header for hv and for the
 * monitor's own assembly.  hv trusts nothing that it reads back from here.
 */
#ifndef KXEN_MONITOR_H
#define KXEN_MONITOR_H

/* L4 slots: 256 is out, since software KVM can't run it. */
#define MON_SLOT       257
#define DIRECTMAP_SLOT 258
#define M2P_SLOT       259
#define MON_FIRST_SLOT MON_SLOT
#define MON_NR_SLOTS   3
#define MON_VA         0xffff808000000000
#define DIRECTMAP_VA   0xffff810000000000
#define M2P_VA         0xffff818000000000
#define M2P_END_VA     0xffff820000000000

/* Inside MON_SLOT, offsets from MON_VA. */
#define MON_TEXT_OFF    0x000000
#define MON_TEXT_PAGES  4
#define MON_DATA_OFF    0x010000
#define MON_DATA_PAGES  4
#define MON_IDT_OFF     0x020000
#define MON_VCPU_OFF    0x100000 /* a block of MON_VCPU_STRIDE each */
#define MON_VCPU_STRIDE 0x100000
#define MON_TSS_OFF     0x00000 /* in the vCPU's block: TSS, I/O bitmap */
#define MON_TSS_PAGES   3
#define MON_STACK_OFF   0x04000 /* what exceptions and services run on */
#define MON_STACK_PAGES 1
#define MON_GDT_OFF     0x10000 /* 16 pages: guest's GDT, then Xen's */

/*
 * Doorbells: I/O ports that the monitor's code writes.
 * HYPERCALL: number in rax, goes on behind the OUT.
 * TRAP: from a CPL0 stub; the frame is on the monitor stack.
 * SYSCALL: a raw SYSCALL, return address in rcx, flags in r11.
 * DONE: a service that hv started in guest context has ended.
 */
#define DOORBELL_HYPERCALL 0xea
#define DOORBELL_TRAP      0xeb
#define DOORBELL_SYSCALL   0xec
#define DOORBELL_DONE      0xed
#define DOORBELL_OUT_LEN   2 /* bytes of "out %eax, $imm8" */

/* Event channel doorbells: ports of their own, an ioeventfd behind each. */
#define DOORBELL_EVTCHN    0xc000
#define DOORBELL_EVTCHN_NR 256

/* The data page: doorbell of each 2-level port, 0 where there is none. */
#define MON_PORTS          4096
#define MON_DATA_PORTS_OFF 0x0000 /* uint16_t[MON_PORTS] */
#define MON_DATA_VCPUS_OFF 0x2000 /* uint64_t */
#define MON_DATA_INFO_OFF  0x2008 /* uint64_t[32]: vcpu_info, directmap VA */
/* In each vCPU's stack page, below the frame: queue of PTE writes. */
#define MON_QUEUE_MAX 240

/* Each trap stub is this long; the vector follows from rip. */
#define MON_STUB_SIZE 16

/* The Xen version that XENVER_version answers: 4.17. */
#define KXEN_XEN_VERSION 0x00040011

#ifndef __ASSEMBLY__
#include <stdint.h>

#define MON_MAGIC 0x31304e4f4d58454bull /* "KEXMON01" */

/* At MON_VA: where things are, as offsets from MON_VA. */
struct mon_header {
    uint64_t magic;
    uint64_t stubs;        /* 256 trap stubs */
    uint64_t evtchn_op;    /* hypercall page's target for number 32 */
    uint64_t xen_version;  /* the same for 17 */
    uint64_t syscall;      /* LSTAR */
    uint64_t apply_ptes;   /* service: rdi = queue, rsi = count */
    uint64_t fault_insn;   /* the one load that may fault ... */
    uint64_t fault_resume; /* ... and where it goes on */
    uint64_t end;
};

/* One entry of the queue: store val at directmap address va. */
struct mon_pte_write {
    uint64_t va, val;
};

_Static_assert(sizeof(struct mon_header) == 72, "mon_header layout");
_Static_assert(MON_QUEUE_MAX * 16 + 64 <= MON_STACK_PAGES * 4096,
               "the queue and an exception frame share the stack page");
#endif

#endif
