/* SPDX-License-Identifier: MIT */
/*
 * What the monitor does in guest context without hv (see monitor.S): the
 * hypercalls that Linux makes most, system calls and page faults of its user
 * code.  Anything unusual is left to hv, which does the same call from its
 * beginning: all that is done before that can be done twice.
 *
 * Freestanding, wherever it is mapped: no static data, no tables.  At CPL3 on
 * software KVM, at CPL0 on hardware.
 */
#include "hv/pv/monitor_c.h"

#include <xen/event_channel.h>
#include <xen/vcpu.h>

#define FL_IF     0x200ull
#define FL_TF     0x100ull
#define FL_DF     0x400ull
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
#define SS_SYSEXIT    0xe03b /* what SYSEXIT makes of it */

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

#define ENOENT 2

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

/* ---- hypercalls ---- */

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
        mon_get_words(a[1], &arg, 1))
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
        return mon_mmu_update(m, a);
    case __HYPERVISOR_stack_switch:
        return stack_switch(m, a);
    case __HYPERVISOR_update_va_mapping:
        return mon_update_va_mapping(m, a);
    case __HYPERVISOR_set_segment_base:
        return set_segment_base(m, a);
    case __HYPERVISOR_mmuext_op:
        return mon_mmuext_op(m, a);
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
    for (uint64_t i = 0; i < a[1]; i++, m->done_calls++) {
        uint64_t at = a[0] + 64 * i;

        m->done_ops = 0;
        if (mon_get_words(at, e, 8) || simple_call(m, e[0], &e[2], &result) ||
            mon_put_word(at + 8, result))
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
    f[n++] = (user ? m->user_cs : CS_KERNEL) | masked << 32;
    f[n++] = (r->rflags & ~(FL_IF | FL_IOPL)) | (masked ? 0 : FL_IF) | m->iopl;
    f[n++] = r->rsp;
    f[n++] = user ? m->user_ss : SS_FLAT;
    sp -= n * 8;
    for (i = 0; i < n; i++)
        if (mon_put_word(sp + 8 * i, f[i]))
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

static bool flat_code(uint64_t cs)
{
    return cs == CS_USER || cs == CS_USER_LINUX;
}

/*
 * From user code.  It left by words that user code on other vCPUs can read as
 * long as they stand there: no longer than it runs.  Flat selectors are those
 * that SYSEXIT made.
 */
static void came_from_user(struct mon_vcpu *m, uint64_t cs, uint64_t ss)
{
    volatile uint64_t *w = (void *)user_data();
    bool flat = flat_code((uint16_t)cs);

    m->user = 0;
    m->user_cs = flat ? CS_USER : (uint16_t)cs;
    m->user_ss = flat ? SS_FLAT : (uint16_t)ss;
    for (unsigned int i = 0; i < sizeof(struct mon_user) / sizeof(*w); i++)
        w[i] = 0;
}

/* What the CPU pushed when it entered CPL0. */
struct pushed {
    uint64_t error, rip, cs, rflags, rsp, ss;
};

/* The kernel's tables, and whatever was cached of any forgotten. */
static void load_cr3(struct mon_vcpu *m)
{
    m->count[MON_CR3S]++;
    m->flush = m->lazy = 0;
    mon_load_cr3(m->kernel_cr3);
}

/* hv goes on with this trap from where it was raised. */
static void __attribute__((noreturn))
give_to_hv(struct mon_vcpu *m, struct mon_regs *r, const struct pushed *f,
           uint64_t vector, bool user)
{
    if (m->lazy)
        load_cr3(m);
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
        u->far_rip = r->rip;
        u->far_cs = m->user_cs;
        u->ss = m->user_ss;
        /*
         * Software KVM brings 32-bit code here with null data segments:
         * whatever they were, it goes on with its stack's.
         */
        u->ds = m->user_ss == SS_SYSEXIT ? SS_FLAT : m->user_ss;
    }
    m->lazy = 0; /* from user code it comes back on kernel_cr3 */
    m->user = 1;
    mon_leave_user(r, m->user_cr3 ? m->user_cr3 : m->kernel_cr3,
                   !flat_code(m->user_cs));
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

    if (mon_get_words(m->guest_rsp, f, 9))
        return SLOW;
    user = (f[5] & 3) == 3;
    /* POPF on the way out would trap in the monitor. */
    if (((f[6] & FL_TF) && !m->ring0) || !canonical(f[4]) ||
        (user && (!m->user_cr3 ||
                  (!flat_code((uint16_t)f[5]) && (m->ring0 || f[4] >> 32)))))
        return SLOW;
    if (user) {
        m->user_cs = (uint16_t)f[5];
        m->user_ss = (uint16_t)f[8];
    }
    r->rax = f[0];
    r->rip = f[4];
    r->rflags = (f[6] & ~FL_RETURN) | FL_FIXED | FL_IF;
    if (f[3] & VGCF_in_syscall) {
        r->r11 = r->rflags;
        r->rcx = r->rip;
    } else {
        r->r11 = f[1];
        r->rcx = f[2];
    }
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
    m->done_calls = m->done_ops = 0;
    if (r->rax == __HYPERVISOR_iret)
        return iret(m, r);
    if (r->rax == __HYPERVISOR_multicall)
        rc = multicall(m, a);
    else
        rc = simple_call(m, r->rax, a, &rax);
    /* However many of a list asked for it; also when hv does it all again. */
    if (m->flush || (rc && m->lazy))
        load_cr3(m);
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
    came_from_user(m, CS_USER, SS_FLAT);
    r->rip = r->rcx;
    r->rflags = r->r11;
    r->rsp = m->guest_rsp;
    if (!m->syscall_cb)
        broken(m, r);
    bounce(m, r, true, m->syscall_cb, 0, m->masks >> MON_MASK_SYSCALL & 1);
    /* Kernels clear it by SYSCALL's mask where there is no Xen. */
    r->rflags &= ~FL_DF;
    r->r11 = r->rflags;
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
    pte = mon_walk(m, va, &user);
    e = pte ? *at_maddr(pte) : 0;
    if (!user || !(e & PTE_P) || !(e & PTE_U) || (e & PTE_RW))
        return HVS;
    if ((va >> 39 & 511) < 256)
        return GUESTS;
    if (!level_of(m, (e & PTE_ADDR) >> 12) ||
        !(m->vm_assist & 1u << VMASST_TYPE_writable_pagetables))
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
        came_from_user(m, f.cs, f.ss);
    if (in_monitor(f.rip) || !m->trap_cb[14])
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
    bounce(m, r, user, m->trap_cb[14], &f.error, m->masks >> 14 & 1);
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
        came_from_user(m, f.cs, f.ss);
    if (!user && !in_monitor(f.rip) && (f.rip & 4095) <= 4088 &&
        !mon_get_words(f.rip, &insn, 1)) {
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

/*
 * What is the guest's business whatever raised it: divide error, int3, into,
 * bound, x87, alignment, SIMD.
 */
#define OWN_TRAPS (1u << 0 | 1u << 3 | 1u << 4 | 1u << 5 | 3u << 16 | 1u << 19)

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
    if (user)
        came_from_user(m, f.cs, f.ss);
    if (m->vector < MON_NR_TRAPS && (OWN_TRAPS >> m->vector & 1) &&
        m->trap_cb[m->vector]) {
        bounce(m, r, user, m->trap_cb[m->vector],
               m->vector == 17 ? &f.error : 0, m->masks >> m->vector & 1);
        leave(m, r, false);
    }
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
