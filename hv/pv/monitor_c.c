/* SPDX-License-Identifier: MIT */
/*
 * What the monitor does in guest context without hv (see monitor.S): the
 * hypercalls that Linux makes most, system calls and page faults of its user
 * code.  Anything unusual is left to hv, which does the same call from its
 * beginning: all that is done before that can be done twice.
 *
 * Freestanding, wherever it is mapped: no static data, no tables.  At CPL3 on
 * software KVM, at CPL0 on hardware: there the guest's addresses are touched
 * by mon_get() and mon_put() alone, after guest_va().
 */
#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/vcpu.h>
#include "kxen/monitor.h"

#define PTE_P    0x001ull
#define PTE_RW   0x002ull
#define PTE_U    0x004ull
#define PTE_A    0x020ull
#define PTE_D    0x040ull
#define PTE_PS   0x080ull
#define PTE_ADDR 0x000ffffffffff000ull

#define FL_IF     0x200ull
#define FL_TF     0x100ull
#define FL_NT     0x4000ull
#define FL_IOPL   0x3000ull
#define FL_FIXED  0x2ull
#define FL_BOUNCE 0x74100ull /* TF NT RF VM AC: cleared for a handler */
#define FL_RETURN 0x23000ull /* IOPL VM: not from a frame */

#define CS_USER   0xe033
#define CS_KERNEL 0xe030
/* A flat 64-bit segment of the guest's own GDT, for which ours does. */
#define CS_USER_LINUX 0x33
#define SS_FLAT       0xe02b

#define ERR_P 1u
#define ERR_W 2u
#define ERR_U 4u

#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define INSN_RDMSR         0x320f
#define INSN_WRMSR         0x300f
#define INSN_CLI           0xfa
#define INSN_STI           0xfb

#define SLOW   1 /* hv does it */
#define DONE   0
#define ENOENT 2

#define LIST_MAX 1024

/* As monitor.S pushes it. */
struct mon_regs {
    uint64_t rax, rdi, rsi, rdx, r10, r8, r9, rcx, r11;
    uint64_t rbx, rbp, r12, r13, r14, r15;
    uint64_t rflags, rsp, rip;
};

/* Local to the blob: no detours by a PLT. */
#pragma GCC visibility push(hidden)

/* monitor.S */
int mon_get(uint64_t va, uint64_t *val);
int mon_put(uint64_t va, uint64_t val);
void mon_out(uint32_t port, uint32_t val);
void mon_load_cr3(uint64_t cr3);
void mon_leave_kernel(struct mon_regs *r) __attribute__((noreturn));
void mon_leave_user(struct mon_regs *r, uint64_t cr3) __attribute__((noreturn));
void mon_give_up_fault(struct mon_regs *r) __attribute__((noreturn));
void mon_give_up_broken(struct mon_regs *r) __attribute__((noreturn));

/* For monitor.S. */
int mon_hypercall(struct mon_regs *r);
void mon_from_user(struct mon_regs *r) __attribute__((noreturn));
void mon_from_fault(struct mon_regs *r) __attribute__((noreturn));
void mon_from_protection(struct mon_regs *r) __attribute__((noreturn));
void mon_from_trap(struct mon_regs *r) __attribute__((noreturn));
void mon_from_syscall32(struct mon_regs *r) __attribute__((noreturn));
void mon_broken(struct mon_regs *r) __attribute__((noreturn));
void mon_resume(struct mon_regs *r) __attribute__((noreturn));

/* What an address in this vCPU's block is, from its offset. */
static inline uint64_t block_text(void)
{
    uint64_t at;

    asm("lea monitor_start(%%rip), %0" : "=r"(at));
    return at;
}

static inline struct mon_vcpu *this_vcpu(void)
{
    return (void *)(block_text() + MON_VDATA_OFF - MON_VTEXT_OFF);
}

static inline struct vcpu_info *info(const struct mon_vcpu *m)
{
    return (void *)m->info;
}

/* Only where RDFSBASE and its kin are missing, at CPL0. */
static uint64_t read_msr(uint32_t msr)
{
    uint32_t lo, hi;

    asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}

static void write_msr(uint32_t msr, uint64_t val)
{
    asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)val), "d"(val >> 32));
}

static uint64_t get_gs(const struct mon_vcpu *m)
{
    uint64_t base;

    if (!m->fsgsbase)
        return read_msr(MSR_GS_BASE);
    asm volatile("rdgsbase %0" : "=r"(base));
    return base;
}

static void set_gs(const struct mon_vcpu *m, uint64_t base)
{
    if (m->fsgsbase)
        asm volatile("wrgsbase %0" : : "r"(base));
    else
        write_msr(MSR_GS_BASE, base);
}

static uint64_t get_fs(const struct mon_vcpu *m)
{
    uint64_t base;

    if (!m->fsgsbase)
        return read_msr(MSR_FS_BASE);
    asm volatile("rdfsbase %0" : "=r"(base));
    return base;
}

static void set_fs(const struct mon_vcpu *m, uint64_t base)
{
    if (m->fsgsbase)
        asm volatile("wrfsbase %0" : : "r"(base));
    else
        write_msr(MSR_FS_BASE, base);
}

static bool canonical(uint64_t va)
{
    return (int64_t)(va << 16) >> 16 == (int64_t)va;
}

/* Not in hv's slots; an address between the halves faults by itself. */
static bool guest_va(uint64_t va)
{
    uint64_t slot = va >> 39 & 511;

    return canonical(va) &&
           !(slot >= MON_FIRST_SLOT && slot < MON_FIRST_SLOT + MON_NR_SLOTS);
}

static int get_words(uint64_t va, uint64_t *to, unsigned int n)
{
    if (!guest_va(va) || !guest_va(va + 8 * n))
        return SLOW;
    for (unsigned int i = 0; i < n; i++)
        if (mon_get(va + 8 * i, &to[i]))
            return SLOW;
    return DONE;
}

static int put_word(uint64_t va, uint64_t val)
{
    return guest_va(va) && guest_va(va + 8) ? mon_put(va, val) : SLOW;
}

/* ---- page tables ---- */

/* The kernel's tables, and whatever was cached of any forgotten. */
static void load_cr3(struct mon_vcpu *m)
{
    m->count[MON_CR3S]++;
    mon_load_cr3(m->kernel_cr3);
}

static volatile uint64_t *at_maddr(uint64_t maddr)
{
    return (void *)(DIRECTMAP_VA + maddr);
}

static unsigned int level_of(const struct mon_vcpu *m, uint64_t gfn)
{
    return gfn < m->max_pages ? ((const uint8_t *)m->levels)[gfn] : 0;
}

static bool hv_slot(unsigned int level, uint64_t maddr)
{
    uint64_t i = (maddr & 4095) / 8;

    return level == 4 && i >= XEN_FIRST_SLOT &&
           i < XEN_FIRST_SLOT + XEN_NR_SLOTS;
}

/* No page that can be written to is a table: so the guest says it is none. */
static void note_writable(const struct mon_vcpu *m, uint64_t val)
{
    uint64_t gfn = (val & PTE_ADDR) >> 12;

    if ((val & PTE_P) && (val & PTE_RW) && level_of(m, gfn))
        ((uint8_t *)m->levels)[gfn] = 0;
}

static void set_slots(const struct mon_vcpu *m, uint64_t l4, bool user)
{
    volatile uint64_t *e = at_maddr(l4 << 12) + MON_FIRST_SLOT;

    for (unsigned int i = 0; i < MON_NR_SLOTS; i++) {
        uint64_t val = !user ? m->slot_kernel[i] : i ? 0 : m->slot_user;

        if (e[i] != val)
            e[i] = val;
    }
}

/* Makes a tree one of tables, with the bits that Xen adds to entries. */
static int pin_tree(const struct mon_vcpu *m, uint64_t gfn, unsigned int level)
{
    volatile uint64_t *t = at_maddr(gfn << 12);

    if (gfn >= m->max_pages)
        return SLOW;
    ((uint8_t *)m->levels)[gfn] = level;
    for (unsigned int i = 0; i < 512; i++) {
        uint64_t e = t[i];

        if (!(e & PTE_P) || hv_slot(level, gfn << 12 | 8 * i))
            continue;
        if (level > 1 && !(level < 4 && (e & PTE_PS)) &&
            level_of(m, (e & PTE_ADDR) >> 12) != level - 1 &&
            pin_tree(m, (e & PTE_ADDR) >> 12, level - 1))
            return SLOW;
        if ((e & (PTE_U | PTE_A)) != (PTE_U | PTE_A))
            __sync_fetch_and_or(&t[i], PTE_U | PTE_A);
    }
    if (level == 4)
        set_slots(m, gfn, false);
    return DONE;
}

/* Its kernel half is shared with others and stays. */
static void unpin_tree(const struct mon_vcpu *m, uint64_t gfn,
                       unsigned int level)
{
    volatile uint64_t *t = at_maddr(gfn << 12);

    if (!level || level > 4 || level_of(m, gfn) != level)
        return;
    ((uint8_t *)m->levels)[gfn] = 0;
    for (unsigned int i = 0; level > 1 && i < (level == 4 ? 256 : 512); i++) {
        uint64_t e = t[i];

        if ((e & PTE_P) && !(level < 4 && (e & PTE_PS)))
            unpin_tree(m, (e & PTE_ADDR) >> 12, level - 1);
    }
}

/* May an entry of a table of that level hold val?  Its child becomes one. */
static int point(const struct mon_vcpu *m, unsigned int level, uint64_t val)
{
    uint64_t gfn = (val & PTE_ADDR) >> 12;

    if (!(val & PTE_P))
        return DONE;
    if (gfn >= m->max_pages || (level > 1 && level < 4 && (val & PTE_PS)))
        return SLOW;
    if (level == 1)
        note_writable(m, val);
    if (level <= 1 || level_of(m, gfn) == level - 1)
        return DONE;
    return pin_tree(m, gfn, level - 1);
}

static int write_pte(struct mon_vcpu *m, unsigned int level, uint64_t maddr,
                     uint64_t val, bool keep_ad)
{
    volatile uint64_t *e = at_maddr(maddr);
    uint64_t old;

    if (maddr >> 12 >= m->max_pages || hv_slot(level, maddr) ||
        point(m, level, val))
        return SLOW;
    m->count[MON_PTES]++;
    if (level && (val & PTE_P))
        val |= PTE_U | PTE_A;
    if (!keep_ad) {
        *e = val;
        return DONE;
    }
    do
        old = *e;
    while (
        !__sync_bool_compare_and_swap(e, old, val | (old & (PTE_A | PTE_D))));
    return DONE;
}

static int mmu_update(struct mon_vcpu *m, const uint64_t a[6])
{
    uint64_t u[2];

    if (a[3] != DOMID_SELF || a[1] > LIST_MAX)
        return SLOW;
    for (uint64_t i = 0; i < a[1]; i++) {
        if (get_words(a[0] + 16 * i, u, 2))
            return SLOW;
        switch (u[0] & 7) {
        case MMU_NORMAL_PT_UPDATE:
        case MMU_PT_UPDATE_PRESERVE_AD:
            if (write_pte(m, level_of(m, u[0] >> 12), u[0] & ~7ull, u[1],
                          u[0] & 2))
                return SLOW;
            break;
        case MMU_MACHPHYS_UPDATE:
            if (u[0] >> 12 >= m->max_pages)
                return SLOW;
            ((uint64_t *)m->m2p)[u[0] >> 12] = u[1];
            break;
        default:
            return SLOW;
        }
    }
    if (!a[2])
        return DONE;
    /* 32 bits, and the guest's: read, change, write. */
    if (get_words(a[2], u, 1))
        return SLOW;
    return put_word(a[2], (u[0] & ~0xffffffffull) | a[1]);
}

/* The L1 entry of va: a machine address, or 0; *user: all above have USER. */
static uint64_t walk(const struct mon_vcpu *m, uint64_t va, bool *user)
{
    uint64_t table = m->kernel_cr3 & PTE_ADDR;

    *user = true;
    for (int level = 3; level; level--) {
        uint64_t e;

        if (table >> 12 >= m->max_pages)
            return 0;
        e = *at_maddr(table + 8 * (va >> (12 + 9 * level) & 511));
        if (!(e & PTE_P) || (e & PTE_PS))
            return 0;
        *user &= !!(e & PTE_U);
        table = e & PTE_ADDR;
    }
    return table >> 12 < m->max_pages ? table + 8 * (va >> 12 & 511) : 0;
}

static int update_va_mapping(struct mon_vcpu *m, const uint64_t a[6])
{
    uint64_t how = a[2] & UVMF_FLUSHTYPE_MASK, pte;
    bool user;

    if (how > UVMF_INVLPG || !guest_va(a[0]))
        return SLOW;
    if (how && !m->alone && (a[2] & ~(uint64_t)UVMF_FLUSHTYPE_MASK))
        return SLOW;
    pte = walk(m, a[0], &user);
    if (!pte || write_pte(m, 1, pte, a[1], false))
        return SLOW;
    if (how)
        load_cr3(m);
    return DONE;
}

static int new_baseptr(struct mon_vcpu *m, uint64_t gfn)
{
    if (level_of(m, gfn) != 4)
        return SLOW;
    set_slots(m, gfn, false);
    m->kernel_cr3 = gfn << 12;
    load_cr3(m);
    return DONE;
}

static int new_user_baseptr(struct mon_vcpu *m, uint64_t gfn)
{
    if (gfn && (level_of(m, gfn) != 4 || gfn == m->kernel_cr3 >> 12))
        return SLOW;
    if (gfn)
        set_slots(m, gfn, true);
    m->user_cr3 = gfn << 12;
    return DONE;
}

static int mmuext_one(struct mon_vcpu *m, const struct mmuext_op *op)
{
    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        return pin_tree(m, op->arg1.mfn, op->cmd - MMUEXT_PIN_L1_TABLE + 1);
    case MMUEXT_UNPIN_TABLE:
        unpin_tree(m, op->arg1.mfn, level_of(m, op->arg1.mfn));
        return op->arg1.mfn < m->max_pages ? DONE : SLOW;
    case MMUEXT_NEW_BASEPTR:
        return new_baseptr(m, op->arg1.mfn);
    case MMUEXT_NEW_USER_BASEPTR:
        return new_user_baseptr(m, op->arg1.mfn);
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI:
    case MMUEXT_TLB_FLUSH_ALL:
    case MMUEXT_INVLPG_ALL:
        if (!m->alone)
            return SLOW;
        /* fall through */
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_INVLPG_LOCAL:
        load_cr3(m);
        return DONE;
    default:
        return SLOW;
    }
}

static int mmuext_op(struct mon_vcpu *m, const uint64_t a[6])
{
    union {
        uint64_t word[3];
        struct mmuext_op op;
    } u;

    if (a[3] != DOMID_SELF || a[1] > LIST_MAX || a[2])
        return SLOW;
    for (uint64_t i = 0; i < a[1]; i++)
        if (get_words(a[0] + sizeof(u) * i, u.word, 3) || mmuext_one(m, &u.op))
            return SLOW;
    return DONE;
}

/* ---- other hypercalls ---- */

static int set_segment_base(struct mon_vcpu *m, const uint64_t a[6])
{
    if (!canonical(a[1]))
        return SLOW;
    switch (a[0]) {
    case SEGBASE_FS:
        set_fs(m, a[1]);
        return DONE;
    case SEGBASE_GS_USER:
        m->gs_user = a[1];
        return DONE;
    case SEGBASE_GS_KERNEL:
        m->gs_kernel = a[1];
        set_gs(m, a[1]);
        return DONE;
    case SEGBASE_GS_USER_SEL:
        if (a[1] > 3)
            return SLOW;
        m->gs_user = 0; /* a null selector has no base */
        return DONE;
    default:
        return SLOW;
    }
}

static int event_channel_op(const uint64_t a[6])
{
    const volatile uint16_t *doorbell =
        (void *)(MON_VA + MON_DATA_OFF + MON_DATA_PORTS_OFF);
    uint64_t arg;
    uint32_t port;

    /* An argument of 4 bytes may end where its page does. */
    if (a[0] != EVTCHNOP_send || (a[1] & 4095) > 4088 ||
        get_words(a[1], &arg, 1))
        return SLOW;
    port = arg;
    if (port >= MON_PORTS || !doorbell[port])
        return SLOW;
    mon_out(doorbell[port], port);
    return DONE;
}

static int vcpu_op(const struct mon_vcpu *m, const uint64_t a[6], uint64_t *rax)
{
    if (a[0] != VCPUOP_is_up || a[1] < m->nr_vcpus)
        return SLOW;
    *rax = -(uint64_t)ENOENT;
    return DONE;
}

static int stack_switch(struct mon_vcpu *m, const uint64_t a[6])
{
    m->kernel_sp = a[1];
    return DONE;
}

/* One hypercall but multicall and iret; *rax is its answer. */
static int simple_call(struct mon_vcpu *m, uint64_t nr, const uint64_t a[6],
                       uint64_t *rax)
{
    *rax = 0;
    switch (nr) {
    case __HYPERVISOR_mmu_update:
        return mmu_update(m, a);
    case __HYPERVISOR_stack_switch:
        return stack_switch(m, a);
    case __HYPERVISOR_update_va_mapping:
        return update_va_mapping(m, a);
    case __HYPERVISOR_set_segment_base:
        return set_segment_base(m, a);
    case __HYPERVISOR_mmuext_op:
        return mmuext_op(m, a);
    case __HYPERVISOR_event_channel_op:
        return event_channel_op(a);
    case __HYPERVISOR_vcpu_op:
        return vcpu_op(m, a, rax);
    case __HYPERVISOR_xen_version:
        *rax = KXEN_XEN_VERSION;
        return a[0] ? SLOW : DONE;
    default:
        return SLOW;
    }
}

static int multicall(struct mon_vcpu *m, const uint64_t a[6])
{
    uint64_t e[8], result;

    if (a[1] > LIST_MAX)
        return SLOW;
    for (uint64_t i = 0; i < a[1]; i++) {
        uint64_t at = a[0] + 64 * i;

        if (get_words(at, e, 8) || simple_call(m, e[0], &e[2], &result) ||
            put_word(at + 8, result))
            return SLOW;
    }
    return DONE;
}

/* ---- frames ---- */

static void __attribute__((noreturn))
broken(struct mon_vcpu *m, struct mon_regs *r)
{
    m->rip = r->rip;
    m->rsp = r->rsp;
    mon_give_up_broken(r);
}

/* What Xen pushes for a handler of the guest's kernel; r goes there. */
static void bounce(struct mon_vcpu *m, struct mon_regs *r, bool user,
                   uint64_t handler, const uint64_t *error, bool mask)
{
    struct vcpu_info *vi = info(m);
    uint64_t sp = (user ? m->kernel_sp : r->rsp) & ~15ull;
    uint64_t masked = vi->evtchn_upcall_mask, f[8];
    unsigned int n = 0, i;

    f[n++] = r->rcx;
    f[n++] = r->r11;
    if (error)
        f[n++] = *error;
    f[n++] = r->rip;
    f[n++] = (user ? CS_USER : CS_KERNEL) | masked << 32;
    f[n++] = (r->rflags & ~(FL_IF | FL_IOPL)) | (masked ? 0 : FL_IF) | m->iopl;
    f[n++] = r->rsp;
    f[n++] = SS_FLAT;
    sp -= n * 8;
    for (i = 0; i < n; i++)
        if (put_word(sp + 8 * i, f[i]))
            broken(m, r);
    if (user) {
        m->gs_user = get_gs(m);
        set_gs(m, m->gs_kernel);
    }
    if (mask)
        vi->evtchn_upcall_mask = 1;
    r->rsp = sp;
    r->rip = handler;
    r->rflags &= ~FL_BOUNCE;
    /* The frame has these two, so SYSRET may have them. */
    r->rcx = r->rip;
    r->r11 = r->rflags;
}

static bool upcall_due(const struct mon_vcpu *m)
{
    const volatile struct vcpu_info *vi = info(m);

    return vi->evtchn_upcall_pending && !vi->evtchn_upcall_mask && m->event_cb;
}

static struct mon_user *user_data(void)
{
    return (void *)(block_text() + MON_UDATA_OFF - MON_VTEXT_OFF);
}

/*
 * From user code.  It left by words that user code on other vCPUs can read as
 * long as they stand there: no longer than it runs.
 */
static void came_from_user(struct mon_vcpu *m)
{
    volatile uint64_t *w = (void *)user_data();

    m->user = 0;
    for (unsigned int i = 0; i < sizeof(struct mon_user) / sizeof(*w); i++)
        w[i] = 0;
}

/* What the CPU pushed when it entered CPL0. */
struct pushed {
    uint64_t error, rip, cs, rflags, rsp, ss;
};

/* hv goes on with this trap from where it was raised. */
static void __attribute__((noreturn))
give_to_hv(struct mon_vcpu *m, struct mon_regs *r, const struct pushed *f,
           uint64_t vector, bool user)
{
    m->error = f->error;
    m->rip = f->rip;
    m->rflags = f->rflags;
    m->rsp = f->rsp;
    m->vector = vector;
    m->ss = user;
    mon_give_up_fault(r);
}

static void __attribute__((noreturn))
go(struct mon_vcpu *m, struct mon_regs *r, bool user)
{
    struct mon_user *u = user_data();

    /* At CPL0, going there would be the monitor's fault. */
    if (!canonical(r->rip)) {
        struct pushed f = {.rip = r->rip, .rflags = r->rflags, .rsp = r->rsp};

        give_to_hv(m, r, &f, 13, user);
    }
    if (!user)
        mon_leave_kernel(r);
    if (!m->ring0) {
        u->rcx = r->rcx;
        u->rdx = r->rdx;
        u->rsi = r->rsi;
        u->rip = r->rip;
        u->rsp = r->rsp;
        u->rflags = r->rflags;
    }
    m->user = 1;
    mon_leave_user(r, m->user_cr3 ? m->user_cr3 : m->kernel_cr3);
}

/* To r, whose segment bases are there, or to the event handler first. */
static void __attribute__((noreturn))
go_on(struct mon_vcpu *m, struct mon_regs *r, bool user)
{
    if (upcall_due(m)) {
        bounce(m, r, user, m->event_cb, 0, true);
        user = false;
    }
    go(m, r, user);
}

/* The same with the bases of the kernel. */
static void __attribute__((noreturn))
leave(struct mon_vcpu *m, struct mon_regs *r, bool user)
{
    if (user) {
        m->gs_kernel = get_gs(m);
        set_gs(m, m->gs_user);
    }
    go_on(m, r, user);
}

static int iret(struct mon_vcpu *m, struct mon_regs *r)
{
    uint64_t f[9]; /* struct iret_context */
    bool user;

    if (get_words(m->guest_rsp, f, 9))
        return SLOW;
    user = (f[5] & 3) == 3;
    if ((f[6] & FL_TF) || !canonical(f[4]) ||
        (user && (!m->user_cr3 || ((uint16_t)f[5] != CS_USER &&
                                   (uint16_t)f[5] != CS_USER_LINUX))))
        return SLOW;
    r->rax = f[0];
    if (!(f[3] & VGCF_in_syscall)) {
        r->r11 = f[1];
        r->rcx = f[2];
    } else {
        r->r11 = f[6];
        r->rcx = f[4];
    }
    r->rip = f[4];
    r->rflags = (f[6] & ~FL_RETURN) | FL_FIXED | FL_IF;
    r->rsp = f[7];
    info(m)->evtchn_upcall_mask = !(f[6] & FL_IF);
    leave(m, r, user);
}

/* ---- the ways in ---- */

int mon_hypercall(struct mon_regs *r)
{
    struct mon_vcpu *m = this_vcpu();
    const uint64_t a[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
    uint64_t rax = 0;
    int rc;

    if (m->user)
        return SLOW;
    m->count[MON_HYPERCALLS]++;
    if (r->rax == __HYPERVISOR_iret)
        return iret(m, r);
    if (r->rax == __HYPERVISOR_multicall)
        rc = multicall(m, a);
    else
        rc = simple_call(m, r->rax, a, &rax);
    if (rc)
        return SLOW;
    r->rax = rax;
    if (!upcall_due(m) && canonical(r->rcx))
        return DONE;
    r->rip = r->rcx;
    r->rflags = r->r11;
    r->rsp = m->guest_rsp;
    leave(m, r, false);
}

static const struct pushed *pushed(void)
{
    return (void *)(block_text() + MON_STACK_OFF - MON_VTEXT_OFF +
                    MON_STACK_PAGES * 4096 - sizeof(struct pushed));
}

void mon_from_user(struct mon_regs *r)
{
    struct mon_vcpu *m = this_vcpu();

    m->count[MON_SYSCALLS]++;
    came_from_user(m);
    r->rip = r->rcx;
    r->rflags = r->r11;
    r->rsp = m->guest_rsp;
    if (!m->syscall_cb)
        broken(m, r);
    bounce(m, r, true, m->syscall_cb, 0, m->masks & 1);
    leave(m, r, false);
}

static bool in_monitor(uint64_t rip)
{
    return rip >> 39 == MON_VA >> 39;
}

enum whose { HVS, SETTLED, GUESTS };

/*
 * A protection fault of the guest's kernel.  Settled here: a store into a page
 * table that it maps read-only.  Its own: a user's page that it may not write,
 * to be copied.  The rest is hv's to look at.
 */
static enum whose kernel_fault(struct mon_vcpu *m, uint64_t va, uint64_t error)
{
    uint64_t pte, e;
    bool user;

    if (!(error & ERR_W) || !guest_va(va))
        return HVS;
    pte = walk(m, va, &user);
    e = pte ? *at_maddr(pte) : 0;
    if (!user || !(e & PTE_P) || !(e & PTE_U) || (e & PTE_RW))
        return HVS;
    if ((va >> 39 & 511) < 256)
        return GUESTS;
    if (!level_of(m, (e & PTE_ADDR) >> 12))
        return HVS;
    __sync_fetch_and_or(at_maddr(pte), PTE_RW);
    load_cr3(m);
    return SETTLED;
}

static struct pushed take_pushed(struct mon_regs *r)
{
    struct pushed f = *pushed();

    r->rip = f.rip;
    r->rflags = f.rflags;
    r->rsp = f.rsp;
    return f;
}

void mon_from_fault(struct mon_regs *r)
{
    struct mon_vcpu *m = this_vcpu();
    struct pushed f = take_pushed(r);
    bool user = m->user;
    uint64_t cr2 = m->cr2;

    m->count[MON_FAULTS]++;
    if (user)
        came_from_user(m);
    if (in_monitor(f.rip) || !m->fault_cb)
        give_to_hv(m, r, &f, 14, user);
    if (!user && (f.error & ERR_P)) {
        switch (kernel_fault(m, cr2, f.error)) {
        case SETTLED:
            leave(m, r, false);
        case HVS:
            m->cr2 = cr2;
            give_to_hv(m, r, &f, 14, user);
        case GUESTS:
            break;
        }
    }
    info(m)->arch.cr2 = cr2;
    if (!user)
        f.error &= ~(uint64_t)ERR_U;
    bounce(m, r, user, m->fault_cb, &f.error, m->masks & 2);
    leave(m, r, false);
}

/* RDMSR and WRMSR of a segment base: Linux does so at each task switch. */
static bool base_msr(struct mon_vcpu *m, struct mon_regs *r, uint16_t insn)
{
    bool fs = (uint32_t)r->rcx == MSR_FS_BASE;
    bool gs = (uint32_t)r->rcx == MSR_GS_BASE;
    uint64_t val;

    if (!fs && !gs && (uint32_t)r->rcx != MSR_KERNEL_GS_BASE)
        return false;
    if (insn == INSN_RDMSR) {
        val = fs ? get_fs(m) : gs ? get_gs(m) : m->gs_user;
        r->rax = (uint32_t)val;
        r->rdx = val >> 32;
        return true;
    }
    val = r->rdx << 32 | (uint32_t)r->rax;
    if (insn != INSN_WRMSR || !canonical(val))
        return false;
    if (fs)
        set_fs(m, val);
    else if (gs)
        set_gs(m, m->gs_kernel = val);
    else
        m->gs_user = val;
    return true;
}

void mon_from_protection(struct mon_regs *r)
{
    struct mon_vcpu *m = this_vcpu();
    struct pushed f = take_pushed(r);
    bool user = m->user;
    uint64_t insn;

    m->count[MON_GPS]++;
    if (user)
        came_from_user(m);
    if (!user && !in_monitor(f.rip) && (f.rip & 4095) <= 4088 &&
        !get_words(f.rip, &insn, 1)) {
        if ((uint8_t)insn == INSN_CLI || (uint8_t)insn == INSN_STI) {
            r->rip += 1; /* without effect, as on Xen */
            leave(m, r, false);
        }
        if (base_msr(m, r, insn)) {
            r->rip += 2;
            leave(m, r, false);
        }
    }
    give_to_hv(m, r, &f, 13, user);
}

/* ---- hardware KVM ---- */

/* A gate, from CPL3. */
void mon_from_trap(struct mon_regs *r)
{
    struct mon_vcpu *m = this_vcpu();
    bool user = m->user;
    struct pushed f;

    if (m->vector == 14)
        mon_from_fault(r);
    if (m->vector == 13)
        mon_from_protection(r);
    f = take_pushed(r);
    m->user = 0;
    give_to_hv(m, r, &f, m->vector, user);
}

/* No guest knows SYSCALL of 32-bit code here: an invalid opcode. */
void mon_from_syscall32(struct mon_regs *r)
{
    struct mon_vcpu *m = this_vcpu();
    struct pushed f = {
        .rip = (uint32_t)r->rcx - 2, .rflags = r->r11, .rsp = m->guest_rsp};
    bool user = m->user;

    m->user = 0;
    give_to_hv(m, r, &f, 6, user);
}

/* The monitor itself has trapped: its tables are gone, or it is wrong. */
void mon_broken(struct mon_regs *r)
{
    struct mon_vcpu *m = this_vcpu();
    struct pushed f = take_pushed(r);

    m->user = 0;
    give_to_hv(m, r, &f, m->vector, false);
}

/* hv has settled something; it gives the bases and what is not in r. */
void mon_resume(struct mon_regs *r)
{
    struct mon_vcpu *m = this_vcpu();
    bool user = m->ss;

    r->rip = m->rip;
    r->rsp = m->rsp;
    r->rflags = (m->rflags & ~(FL_RETURN | FL_NT)) | FL_FIXED | FL_IF;
    go_on(m, r, user);
}
