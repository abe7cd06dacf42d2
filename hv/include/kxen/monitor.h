/* SPDX-License-Identifier: MIT */
/*
 * The monitor: hypervisor code and data inside the guest's address space, in
 * the L4 slots that Xen's ABI reserves.  One header for hv and for the
 * monitor's own assembly.  hv trusts nothing that it reads back from here.
 */
#ifndef KXEN_MONITOR_H
#define KXEN_MONITOR_H

/* Of an L4: what Xen's ABI keeps for the hypervisor. */
#define XEN_FIRST_SLOT 256
#define XEN_NR_SLOTS   16
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
#define MON_TEXT_OFF     0x000000
#define MON_TEXT_PAGES   12
#define MON_DATA_OFF     0x010000
#define MON_DATA_PAGES   4
#define MON_VCPU_OFF     0x100000 /* a block of MON_VCPU_STRIDE each */
#define MON_VCPU_STRIDE  0x100000
#define MON_TSS_OFF      0x00000 /* in the vCPU's block: TSS, I/O bitmap */
#define MON_TSS_PAGES    3
#define MON_STACK_OFF    0x04000 /* what exceptions and services run on */
#define MON_STACK_PAGES  1
#define MON_VDATA_OFF    0x06000 /* struct mon_vcpu */
#define MON_UDATA_OFF    0x07000 /* struct mon_user */
#define MON_CSTACK_OFF   0x08000 /* the monitor's own stack, at CPL3 */
#define MON_CSTACK_PAGES 2
#define MON_VIDT_OFF     0x0a000
#define MON_GDT_OFF      0x10000 /* 16 pages: guest's GDT, then Xen's */
#define MON_LDT_OFF      0x60000
#define MON_LDT_PAGES    16
/* The text once more, so that what it reaches relative to rip is the vCPU's. */
#define MON_VTEXT_OFF 0x30000
/* In the text's page 0 and, for user code, in the page put in its place. */
#define MON_LSTAR_OFF 0x200
/* In that page, from here on: the last step out to user code. */
#define MON_STEP_OUT_OFF 0x240

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
/*
 * FAULT: a trap that the monitor does not settle, see struct mon_vcpu.
 * BROKEN: the guest has no handler, or no stack for its frame.
 */
#define DOORBELL_FAULT   0xee
#define DOORBELL_BROKEN  0xef
#define DOORBELL_OUT_LEN 2 /* bytes of "out %eax, $imm8" */

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
/*
 * How a queued write is done, against the other vCPUs and the page walker: as
 * it is; its bits added to an entry that is present; with the accessed and
 * dirty bits that the entry has.
 */
#define MON_PTE_STORE   0
#define MON_PTE_ADD     1
#define MON_PTE_KEEP_AD 2
/*
 * There too, used at other times than the queue, as distances from its end:
 * what IRETQ takes at CPL0, and the stack of #DB.
 */
#define MON_IRET_BELOW  256
#define MON_DEBUG_BELOW 512

/* struct mon_vcpu and mon_user for assembly. */
#define MV_USER       0x00
#define MV_KERNEL_CR3 0x08
#define MV_ENTRY_SP   0x20
#define MV_RAX        0x28
#define MV_RCX        0x30
#define MV_RDX        0x38
#define MV_CR2        0x40
#define MV_FRAME      0x48 /* error, rip, cs, rflags, rsp, ss */
#define MV_GUEST_RSP  0x78
#define MV_RIP        0x80
#define MV_RING0      0x88
#define MV_VECTOR     0x90
#define MV_SWAP_RCX   0x98
#define MV_SWAP_RDX   0xa0
#define MU_RCX        0x00
#define MU_RDX        0x08
#define MU_RSI        0x10
#define MU_RIP        0x18
#define MU_RSP        0x20
#define MU_RFLAGS     0x28
#define MU_FAR        0x30
#define MU_SS         0x38
#define MU_DS         0x40

/* Of swap_rdx, where to: */
#define MON_SWAP_USER       0
#define MON_SWAP_FAULT      1
#define MON_SWAP_PROTECTION 2

/* Traps that the monitor knows the guest's handlers of, and its masks. */
#define MON_NR_TRAPS     20
#define MON_MASK_SYSCALL 32

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
    uint64_t apply_ptes;   /* service: rdi = queue, rsi = count */
    uint64_t fault_insn;   /* the one load that may fault ... */
    uint64_t fault_resume; /* ... and where it goes on */
    uint64_t user_page;    /* what user code sees in page 0's place */
    /* What a stub puts into rdx: where it leaves CPL0 to. */
    uint64_t from_user, from_fault, from_protection;
    /* Gates 3, 14, 13 of the kernel's tables, then of those for user code. */
    uint64_t stub_call, stub_fault, stub_protection;
    uint64_t stub_syscall, stub_user_fault, stub_user_protection;
    /* On hardware KVM: 256 gates, LSTAR, CSTAR, and where hv goes on. */
    uint64_t stubs0, lstar0, cstar0, resume0;
    uint64_t end;
};

/* What the monitor counts of its own work. */
enum mon_count {
    MON_SYSCALLS,   /* of user code */
    MON_FAULTS,     /* page faults, hv's as well */
    MON_GPS,        /* #GP: instructions to emulate */
    MON_HYPERCALLS, /* by SYSCALL, hv's as well */
    MON_PTES,       /* page-table entries written */
    MON_CR3S,       /* loads of CR3 to switch or flush, not to and from user */
    MON_NR_COUNTS
};

/*
 * A vCPU's side of the monitor, in its block.  Written by the monitor while the
 * guest runs, by hv while it does not; hv takes nothing in it for granted.
 */
struct mon_vcpu {
    uint64_t user; /* the guest's user is running, not its kernel */
    uint64_t kernel_cr3;
    uint64_t unused[2];
    uint64_t entry_sp;
    uint64_t rax, rcx, rdx, cr2;              /* put aside */
    uint64_t error, rip, cs, rflags, rsp, ss; /* a fault for DOORBELL_FAULT */
    uint64_t guest_rsp;  /* while the monitor is on its own stack */
    uint64_t resume_rip; /* where it leaves to */
    uint64_t ring0;      /* hardware KVM: the monitor runs at CPL0 */
    uint64_t vector;     /* of the trap, or for DOORBELL_FAULT */
    /*
     * What a stub swaps registers with, since each instruction at CPL0 is
     * dear on software KVM: the kernel's CR3, MON_SWAP_*.
     */
    uint64_t swap_rcx, swap_rdx[3];

    uint64_t user_cr3;
    uint64_t kernel_sp, syscall_cb, event_cb, trap_cb[MON_NR_TRAPS];
    uint64_t gs_user; /* the base that swaps in for user code */
    uint64_t gs_kernel;
    uint64_t info;      /* vcpu_info, directmap VA */
    uint64_t masks;     /* which mask events: a bit per trap, the syscall */
    uint64_t max_pages; /* frames below are the guest's */
    uint64_t levels;    /* uint8_t[max_pages], directmap VA */
    uint64_t m2p;       /* uint64_t[], directmap VA */
    uint64_t slot_kernel[MON_NR_SLOTS]; /* hv's entries of an L4 */
    uint64_t slot_user;                 /* of one for user code, MON_SLOT */
    uint64_t nr_vcpus;
    uint64_t alone; /* no other vCPU has ever run */
    uint64_t iopl;
    uint64_t vm_assist; /* VMASST_TYPE_* bits */
    /* Selectors of the guest's user, as its kernel shall see them. */
    uint64_t user_cs, user_ss;
    uint64_t count[MON_NR_COUNTS];
    uint64_t fsgsbase; /* RDFSBASE and so on may be used */
    uint64_t flush;    /* CR3 is to be loaded before this hypercall ends */
    uint64_t lazy;     /* CR3 may still be the one before kernel_cr3 */
    /*
     * What of a list is done when hv shall do the rest: calls of a multicall,
     * then elements of an mmu_update's or mmuext_op's.  A pin is no pin twice.
     */
    uint64_t done_calls, done_ops;
};

/* In levels[]: the level, and whether the guest has pinned the table. */
#define MON_LEVEL_MASK   0x07
#define MON_LEVEL_PINNED 0x80

/*
 * Bits that Xen refuses in an entry that is present: PWT, PCD and PAT, from L2
 * on PS and GLOBAL as well.
 */
#define MON_PTE_REFUSED(level) ((level) > 1 ? 0x198ull : 0x098ull)

/* What user code sees of it: registers for the last step out to it. */
struct mon_user {
    uint64_t rcx, rdx, rsi, rip, rsp, rflags;
    uint32_t far_rip; /* into 32-bit code: a far pointer */
    uint16_t far_cs;
    uint64_t ss, ds;
};

/* One entry of the queue: store val at directmap address va, of low bits how.
 */
struct mon_pte_write {
    uint64_t va, val;
};

_Static_assert(__builtin_offsetof(struct mon_user, far_rip) == MU_FAR &&
                   __builtin_offsetof(struct mon_user, ss) == MU_SS &&
                   __builtin_offsetof(struct mon_user, ds) == MU_DS,
               "mon_user layout");
_Static_assert(sizeof(struct mon_header) == 176, "mon_header layout");
_Static_assert(__builtin_offsetof(struct mon_vcpu, resume_rip) == MV_RIP &&
                   __builtin_offsetof(struct mon_vcpu, error) == MV_FRAME &&
                   __builtin_offsetof(struct mon_vcpu, ring0) == MV_RING0 &&
                   __builtin_offsetof(struct mon_vcpu, vector) == MV_VECTOR &&
                   __builtin_offsetof(struct mon_vcpu, swap_rcx) ==
                       MV_SWAP_RCX &&
                   __builtin_offsetof(struct mon_vcpu, swap_rdx) ==
                       MV_SWAP_RDX &&
                   __builtin_offsetof(struct mon_vcpu, rax) == MV_RAX,
               "mon_vcpu layout");
_Static_assert(MON_QUEUE_MAX * 16 + 64 <= MON_STACK_PAGES * 4096,
               "the queue and an exception frame share the stack page");
#endif

#endif
