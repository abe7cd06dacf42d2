/* SPDX-License-Identifier: MIT */
/*
 * Ring-3 guests: what hv puts into their memory (monitor, IDT, GDT, TSS, M2P)
 * and how it enters, bounces and reads them.
 */
#ifndef HV_PV_PV_H
#define HV_PV_PV_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/kvm.h>
#include "hv/domain.h"
#include "hv/vcpu.h"
#include "kxen/monitor.h"

#define FLAT_KERNEL_CS_SEEN 0xe030 /* what a frame shows: RPL 0 */
#define FLAT_CS64           0xe033
#define LINUX_CS64          0x33 /* the same in the guest's own GDT */
#define FLAT_SS             0xe02b
#define MON_CS              0xe008 /* CPL0, for the trap stubs */
#define MON_SS              0xe010

struct pv_domain {
    uint64_t text_gfn, data_gfn, gdt_gfn;
    uint64_t vcpu_gfn; /* PV_VCPU_FRAMES each: see vcpu_frame() */
    uint64_t m2p_gfn, m2p_frames;
    uint64_t pt_gfn, pt_nr, pt_used; /* page tables of our slots */
    uint64_t slot_l3[MON_NR_SLOTS];  /* their L3 frames */
    uint64_t user_l3;                /* MON_SLOT of tables for user code */
    uint64_t mmio_gfn;               /* free machine frames: device windows */
    /*
     * Of each guest frame: its level as a page table, or 0, and whether it is
     * pinned.  In guest memory, for the monitor, and so no more to be trusted
     * than that.
     */
    uint64_t levels_gfn;
    uint8_t *pt_level;
    uint16_t doorbell_port[DOORBELL_EVTCHN_NR]; /* evtchn port, 0 = free */
    int doorbell_fd[DOORBELL_EVTCHN_NR];
    pthread_mutex_t doorbell_lock;
};

/* Entries of an L4 that Xen's ABI keeps for the hypervisor. */
static inline bool pv_xen_slot(unsigned int slot)
{
    return slot >= XEN_FIRST_SLOT && slot < XEN_FIRST_SLOT + XEN_NR_SLOTS;
}

/* A vCPU's own frames, in this order. */
enum pv_vcpu_frame {
    PV_TSS,
    PV_STACK = PV_TSS + MON_TSS_PAGES,
    PV_VDATA = PV_STACK + MON_STACK_PAGES,
    PV_UDATA,
    PV_CSTACK,
    PV_VIDT = PV_CSTACK + MON_CSTACK_PAGES,
    PV_USER_TSS, /* the same, but no port is open */
    PV_USER_VIDT = PV_USER_TSS + MON_TSS_PAGES,
    PV_VCPU_FRAMES
};

static inline uint64_t pv_vcpu_gfn(const struct domain *d, unsigned int id,
                                   enum pv_vcpu_frame which)
{
    return d->pv->vcpu_gfn + id * (uint64_t)PV_VCPU_FRAMES + which;
}

/* True where SYSCALL enters CPL0, and the monitor runs there: hardware KVM. */
bool pv_ring0(const struct domain *d);

/* ring0.c: makes v parked. Own thread; 0 or -errno. */
int pv_park(struct vcpu *v);
/* Before KVM_RUN of a parked vCPU: its registers to the monitor. */
void pv_hand_over(struct vcpu *v, struct mon_vcpu *m);
/* After it: false if the monitor has begun; true: v is as it was before. */
bool pv_take_back(struct vcpu *v);

static inline uint64_t pv_vcpu_block(const struct vcpu *v)
{
    return MON_VA + MON_VCPU_OFF + v->id * (uint64_t)MON_VCPU_STRIDE;
}

/* Frames that pv needs behind max_pages of RAM; sets the gfns in pv and d. */
int pv_domain_layout(struct domain *d, uint64_t max_pages);

/* Fills the frames: monitor, tables, M2P.  After the memory exists. */
int pv_domain_init(struct domain *d);
void pv_domain_free(struct domain *d);

/* Writes d's hypercall page. page: 4096 bytes. */
void pv_hypercall_page(struct domain *d, void *page);

/*
 * Puts hv's slots into the L4 table at l4_gfn from outside: only for tables
 * that KVM has never shadowed.
 */
int pv_install_slots(struct domain *d, uint64_t l4_gfn);

/*
 * Makes a tree that KVM has never shadowed one of tables, as pinning does.
 * Source: the domain builder's tables are validated so by Xen.
 */
void pv_adopt_tables(struct domain *d, uint64_t gfn, unsigned int level);

/* What slot MON_FIRST_SLOT + i of an L4 holds; user: of one for user code. */
uint64_t pv_slot_entry(const struct domain *d, unsigned int i, bool user);

/* Initial KVM registers from v->init (the first entry of v). */
int pv_vcpu_start(struct vcpu *v);

/* Tells the monitor where v's vcpu_info lives now. */
void pv_vcpu_info_changed(struct vcpu *v);

/* Guest page walk.  0, or -EFAULT; *err has PFEC_* bits on a fault. */
#define PFEC_PRESENT 1u
#define PFEC_WRITE   2u
#define PFEC_USER    4u
int pv_walk(struct vcpu *v, uint64_t cr3, uint64_t va, bool write,
            uint64_t *maddr);

/*
 * Page-table stores in guest context, in the calling vCPU's thread: n writes
 * of val at machine address maddr, each as MON_PTE_* says.  Returns when they
 * are done.
 */
struct pte_write {
    uint64_t maddr, val;
    unsigned int how;
};
int pv_write_ptes(struct vcpu *v, const struct pte_write *w, unsigned int n);

/* The block of a vCPU in hv's slot. */
static inline uint64_t pv_vcpu_va(unsigned int id)
{
    return MON_VA + MON_VCPU_OFF + id * (uint64_t)MON_VCPU_STRIDE;
}

/*
 * Shows nr frames of the guest's in a window of `pages` at off in v's block;
 * the rest of it is empty.  Own thread.  0, or -Exxx.
 */
int pv_map_descriptors(struct vcpu *v, uint64_t off, unsigned int pages,
                       const uint64_t *frames, unsigned int nr);

/* The GDT, the LDT of v: checked and shown.  Own thread.  0, or -Exxx. */
int pv_set_gdt(struct vcpu *v, const uint64_t *frames, unsigned int ents);
long pv_set_ldt(struct vcpu *v, uint64_t va, uint64_t ents);

/* Makes v (calling thread) forget cached translations. */
int pv_flush_tlb(struct vcpu *v);
/* Once, while the process has one thread: then flushes are cheaper. */
void pv_prepare(void);
/* The same for each vCPU of a bitmap; returns when each has done it. */
int pv_flush_tlb_mask(struct vcpu *v, uint64_t vcpus);
#define PV_ALL_VCPUS (~0ull)

/* Around each KVM_RUN: v's state to the monitor's data, and back. */
void pv_to_guest(struct vcpu *v);
void pv_from_guest(struct vcpu *v);

/* DOORBELL_FAULT and DOORBELL_BROKEN. */
void pv_fault_exit(struct vcpu *v);
void pv_broken_exit(struct vcpu *v);

/* Doorbell and trap exits.  Each leaves the registers ready to go on. */
void pv_hypercall_exit(struct vcpu *v);
void pv_syscall_exit(struct vcpu *v);
void pv_trap_exit(struct vcpu *v);

/* KVM_EXIT_SHUTDOWN: crashes the domain and says where it was. */
void pv_triple_fault(struct vcpu *v);

/* True if rip is in v's monitor: nothing may be delivered now. */
bool pv_in_monitor(const struct vcpu *v, uint64_t rip);

/*
 * True if nothing is in the way of an upcall: v is not in the monitor, or is
 * taken out of it here, and no exception waits.  Own thread.
 */
bool pv_may_interrupt(struct vcpu *v);

/* Pushes an event upcall if one is due and the guest takes it. */
void pv_deliver_upcall(struct vcpu *v);

/*
 * Carries out the instruction at rip, on which #GP or #UD was raised, if it is
 * one that Xen emulates: true, and the registers are set to go on.
 */
bool pv_emulate(struct vcpu *v, unsigned int vector);

/* Port I/O: a trapped device's, or nobody's (reads as ones). */
void pv_port_io(struct vcpu *v, uint16_t port, unsigned int size, bool write,
                uint8_t *data, unsigned int count);

/*
 * A protection fault of the guest's kernel at va that Xen would settle: a
 * store into a page table, an entry written without the USER that Xen adds.
 * True if there was something to put right: run on.  Own thread.
 */
bool pv_fix_fault(struct vcpu *v, uint64_t va, uint32_t error);

/* MMUEXT_NEW_BASEPTR. */
long pv_new_baseptr(struct vcpu *v, uint64_t gfn);

/* Notes in DR6 why #DB was raised, before the guest asks. */
void pv_debug_trap(struct vcpu *v, bool stepping);

/* Enters the handler of `vector` as Xen would; crashes without one. */
void pv_inject_trap(struct vcpu *v, unsigned int vector, uint32_t error);

/* Switches between the guest's kernel and its user. */
int pv_set_mode(struct vcpu *v, bool user);

/* The selectors that user code was, or is to be, interrupted with. */
void pv_user_segments(struct vcpu *v, uint16_t cs, uint16_t ss);

/*
 * Puts them into s, from the tables that s has; false if they are the flat
 * ones, or lead to nothing.
 */
bool pv_load_user_segments(struct vcpu *v, struct kvm_sregs *s);

/* Makes cr3 the current one in KVM and in v. */
int pv_load_cr3(struct vcpu *v, uint64_t cr3);

struct mon_vcpu *pv_mon_vcpu(const struct vcpu *v);

/* What a frame of the guest's is thought to be: a level, 0 for no table. */
static inline unsigned int pv_level(const struct domain *d, uint64_t gfn)
{
    return d->pv->pt_level[gfn] & MON_LEVEL_MASK;
}

/* The builder's tables, which are pinned.  Before the first KVM_RUN. */
void pv_types_boot(struct vcpu *v);

/* What the frame is for certain, at the price of a walk through all tables. */
unsigned int pv_level_now(struct domain *d, uint64_t gfn);

/* The same price: whether some table maps the frame writable. */
bool pv_mapped_writable(struct domain *d, uint64_t gfn);

/*
 * Debug registers with Xen's rules. -EINVAL, -EPERM: a value that no guest
 * may have; -ENODEV: no such register, of which reading is -ENODEV too.
 */
long pv_set_debugreg(struct vcpu *v, uint64_t reg, uint64_t val);
long pv_get_debugreg(const struct vcpu *v, uint64_t reg);

#endif
