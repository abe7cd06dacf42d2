/* SPDX-License-Identifier: MIT */
/*
 * In and out of a ring-3 guest: its first registers, hypercall and trap exits,
 * the frames that Xen pushes, and services run in guest context.
 */
#include "hv/pv/pv.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/membarrier.h>
#include <xen/callback.h>
#include "hv/hypercall.h"
#include "hv/kvm_host.h"
#include "hv/log.h"
#include "hv/notify.h"
#include "hv/pv/foreign.h"

#define RFLAGS_FIXED 0x2ull
#define RFLAGS_TF    0x100ull
#define RFLAGS_IF    0x200ull
#define RFLAGS_DF    0x400ull
#define RFLAGS_IOPL  0x3000ull
#define RFLAGS_NT    0x4000ull
#define RFLAGS_RF    0x10000ull
#define RFLAGS_VM    0x20000ull
#define RFLAGS_AC    0x40000ull
#define BOUNCE_CLEARS                                                          \
    (RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM | RFLAGS_AC)

#define CR0_PV          0x80010033ull
#define CR4_PV          0x620ull
#define CR4_PGE         0x80ull
#define CR4_FSGSBASE    0x10000ull
#define CR4_SMEP        0x100000ull
#define CR4_OSXSAVE     0x40000ull
#define EFER_PV         0xd01ull
#define SFMASK          0x47700ull
#define MSR_STAR        0xc0000081u
#define MSR_LSTAR       0xc0000082u
#define MSR_CSTAR       0xc0000083u
#define MSR_SFMASK      0xc0000084u
#define MSR_SYSENTER_CS 0x174u
#define SYSEXIT_BASE    0xe010u /* + 32 is FLAT_CS64 */
#define PTE_ADDR        0x000ffffffffff000ull
#define PTE_U           0x4ull
#define TI_IF           4 /* trap_info.flags: the handler starts masked */

static const struct mon_header *mon(const struct vcpu *v)
{
    return domain_frame(v->d, v->d->pv->text_gfn);
}

static uint8_t *stack_page(const struct vcpu *v)
{
    return domain_frame(v->d, pv_vcpu_gfn(v->d, v->id, PV_STACK));
}

struct mon_vcpu *pv_mon_vcpu(const struct vcpu *v)
{
    return domain_frame(v->d, pv_vcpu_gfn(v->d, v->id, PV_VDATA));
}

static void regs_dirty(struct vcpu *v)
{
    v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}

/* ---- first entry ---- */

static void flat_segment(struct kvm_segment *s, uint16_t sel, uint8_t type,
                         bool code)
{
    *s = (struct kvm_segment){
        .selector = sel,
        .limit = 0xffffffff,
        .type = type,
        .present = 1,
        .dpl = 3,
        .s = 1,
        .g = 1,
        .db = !code,
        .l = code,
    };
}

static void ring3_segments(struct kvm_sregs *s)
{
    flat_segment(&s->cs, FLAT_CS64, 11, true);
    flat_segment(&s->ss, FLAT_SS, 3, false);
}

static void null_segment(struct kvm_segment *s, uint64_t base)
{
    *s = (struct kvm_segment){.base = base, .unusable = 1};
}

static bool has_fsgsbase(const struct domain *dom)
{
    unsigned int a, b, c, d;

    if (pv_ring0(dom))
        return dom->hv->host->fsgsbase;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_FSGSBASE);
}

static void fill_sregs(struct vcpu *v, struct kvm_sregs *s)
{
    const struct vcpu_guest_context *c = v->init;

    ring3_segments(s);
    null_segment(&s->ds, 0);
    null_segment(&s->es, 0);
    null_segment(&s->fs, c->fs_base);
    null_segment(&s->gs, c->gs_base_kernel);
    null_segment(&s->ldt, 0);
    s->tr = (struct kvm_segment){
        .selector = 0xe040,
        .base = pv_vcpu_block(v) + MON_TSS_OFF,
        .limit = 104 + 8192,
        .type = 11,
        .present = 1,
    };
    s->gdt.base = pv_vcpu_block(v) + MON_GDT_OFF;
    s->gdt.limit = 0xffff;
    s->idt.base = pv_vcpu_block(v) + MON_VIDT_OFF;
    s->idt.limit = 0xfff;
    s->cr0 = CR0_PV;
    s->cr3 = v->cr3;
    s->cr4 = CR4_PV;
    if (v->d->hv->host->xcr0 & ~3ull)
        s->cr4 |= CR4_OSXSAVE;
    if (has_fsgsbase(v->d))
        s->cr4 |= CR4_FSGSBASE;
    v->cr4 = s->cr4;
    /* No more than the monitor's text is to be run at CPL0. */
    if (pv_ring0(v->d) && v->d->hv->host->smep)
        s->cr4 |= CR4_SMEP;
    s->efer = EFER_PV;
}

static int set_msrs(struct vcpu *v)
{
    const struct mon_header *h = mon(v);
    uint64_t text = pv_vcpu_block(v) + MON_VTEXT_OFF;
    bool ring0 = pv_ring0(v->d);
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry e[4];
    } m = {
        .head.nmsrs = 4,
        .e = {{.index = MSR_STAR, .data = 0xe023ull << 48 | 0xe008ull << 32},
              {.index = MSR_LSTAR,
               .data = text + (ring0 ? h->lstar0 : MON_LSTAR_OFF)},
              {.index = MSR_SFMASK, .data = SFMASK},
              /*
               * SYSCALL of 32-bit code must not enter CPL0 wherever CSTAR
               * happens to point.  SYSENTER does not arrive: its CS is null.
               * But software KVM's SYSEXIT wants one.
               */
              {.index = MSR_CSTAR, .data = text + h->cstar0}},
    };
    int n;

    if (!ring0)
        m.e[3] = (struct kvm_msr_entry){.index = MSR_SYSENTER_CS,
                                        .data = SYSEXIT_BASE};
    n = ioctl(v->fd, KVM_SET_MSRS, &m);
    return n < 0 ? -errno : n == (int)m.head.nmsrs ? 0 : -ENOTSUP;
}

/* Guest time is the host's TSC; where KVM adds an offset, take it away. */
static void zero_tsc_offset(struct vcpu *v)
{
    uint64_t zero = 0;
    struct kvm_device_attr a = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)&zero,
    };

    if (ioctl(v->fd, KVM_SET_DEVICE_ATTR, &a) < 0)
        return; /* software KVM: rdtsc is the host's own anyway */
}

static void set_initial_regs(struct vcpu *v)
{
    const struct cpu_user_regs *u = &v->init->user_regs;
    struct kvm_regs *r = vcpu_regs(v);

    *r = (struct kvm_regs){
        .rax = u->rax,
        .rbx = u->rbx,
        .rcx = u->rcx,
        .rdx = u->rdx,
        .rsi = u->rsi,
        .rdi = u->rdi,
        .rbp = u->rbp,
        .rsp = u->rsp,
        .r8 = u->r8,
        .r9 = u->r9,
        .r10 = u->r10,
        .r11 = u->r11,
        .r12 = u->r12,
        .r13 = u->r13,
        .r14 = u->r14,
        .r15 = u->r15,
        .rip = u->rip,
        .rflags = (u->rflags & ~RFLAGS_IOPL) | RFLAGS_FIXED | RFLAGS_IF,
    };
    regs_dirty(v);
}

static int set_xcr0(struct vcpu *v)
{
    struct kvm_xcrs x = {
        .nr_xcrs = 1,
        .xcrs = {{.xcr = 0, .value = v->d->hv->host->xcr0}},
    };

    /* Without XSAVE there is nothing to set. */
    return ioctl(v->fd, KVM_SET_XCRS, &x) < 0 && errno != EINVAL ? -errno : 0;
}

int pv_vcpu_start(struct vcpu *v)
{
    struct kvm_sregs s;
    int rc;

    pv_adopt_tables(v->d, v->cr3 >> 12, 4);
    rc = pv_install_slots(v->d, v->cr3 >> 12);
    if (!rc)
        rc = ioctl(v->fd, KVM_GET_SREGS, &s) < 0 ? -errno : 0;
    if (rc)
        return rc;
    fill_sregs(v, &s);
    if (ioctl(v->fd, KVM_SET_SREGS, &s) < 0)
        return -errno;
    rc = set_msrs(v);
    if (!rc)
        rc = set_xcr0(v);
    zero_tsc_offset(v);
    set_initial_regs(v);
    if (!rc && v->init->gdt_ents)
        rc = pv_set_gdt(v, v->init->gdt_frames, v->init->gdt_ents);
    return rc;
}

void pv_vcpu_info_changed(struct vcpu *v)
{
    uint64_t *data = domain_frame(v->d, v->d->pv->data_gfn);
    uint64_t *nr = data + MON_DATA_VCPUS_OFF / 8;
    uint64_t at = (uint8_t *)atomic_load(&v->vcpu_info) - v->d->mem;

    data[MON_DATA_INFO_OFF / 8 + v->id] = DIRECTMAP_VA + at;
    if (*nr < v->id + 1)
        *nr = v->id + 1;
    notify_info_moved(v);
}

/* ---- segments, CR3, TLB ---- */

static int update_sregs(struct vcpu *v,
                        void (*change)(struct vcpu *, struct kvm_sregs *,
                                       uint64_t),
                        uint64_t arg)
{
    struct kvm_sregs s;

    if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
        return -errno;
    change(v, &s, arg);
    return ioctl(v->fd, KVM_SET_SREGS, &s) < 0 ? -errno : 0;
}

static void change_cr3(struct vcpu *v, struct kvm_sregs *s, uint64_t cr3)
{
    s->cr3 = v->cr3 = cr3;
}

int pv_load_cr3(struct vcpu *v, uint64_t cr3)
{
    /* The same value again would flush nothing. */
    return v->cr3 == cr3 ? pv_flush_tlb(v) : update_sregs(v, change_cr3, cr3);
}

static void toggle_pge(struct vcpu *v, struct kvm_sregs *s, uint64_t arg)
{
    (void)v;
    (void)arg;
    s->cr4 ^= CR4_PGE;
}

int pv_flush_tlb(struct vcpu *v)
{
    int rc = update_sregs(v, toggle_pge, 0);

    /*
     * On hardware it must not stay on: a page of the kernel that it marks
     * global would outlive the switch to user tables.
     */
    if (!rc && pv_ring0(v->d))
        rc = update_sregs(v, toggle_pge, 0);
    return rc;
}

/* Asks those of the bitmap; true if one may be in the guest now. */
static bool ask_to_flush(struct vcpu *v, uint64_t vcpus)
{
    struct domain *d = v->d;
    bool running = false;

    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        struct vcpu *o = d->vcpu[i];

        if (!(vcpus >> i & 1) || !o || o == v || !o->started)
            continue;
        atomic_store(&o->flush, true);
        vcpu_signal(o);
        running |= atomic_load(&o->where) == VCPU_IN_GUEST;
    }
    return running;
}

/* Out of the guest, a vCPU flushes before it goes back in. */
static void wait_for_flushes(struct domain *d, uint64_t vcpus)
{
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        while ((vcpus >> i & 1) && d->vcpu[i] &&
               atomic_load(&d->vcpu[i]->flush) &&
               atomic_load(&d->vcpu[i]->where) == VCPU_IN_GUEST)
            sched_yield();
}

void pv_prepare(void)
{
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0,
                0))
        return; /* an old kernel: then flushes wait for the vCPUs */
}

/*
 * A vCPU that has been signalled executes nothing more in the guest once its
 * processor has been interrupted, which the barrier does to those that run at
 * all: one whose thread waits for a processor need not be waited for, and on a
 * busy host that is a long wait.
 */
int pv_flush_tlb_mask(struct vcpu *v, uint64_t vcpus)
{
    uint64_t others = vcpus & ~(1ull << v->id);

    if (ask_to_flush(v, others) &&
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
        wait_for_flushes(v->d, others);
    return vcpus >> v->id & 1 ? pv_flush_tlb(v) : 0;
}

/* The code and stack of user code that is to run on. */
static void user_segments(struct vcpu *v, struct kvm_sregs *s)
{
    if (!pv_load_user_segments(v, s))
        ring3_segments(s);
}

static void change_mode(struct vcpu *v, struct kvm_sregs *s, uint64_t user)
{
    if (!user && v->parked_cpl0)
        pv_user_segments(v, FLAT_CS64, FLAT_SS);
    else if (!user && !v->user_cs)
        pv_user_segments(v, s->cs.selector, s->ss.selector);
    if (user) {
        v->gs_base_kernel = s->gs.base;
        s->gs.base = v->gs_base_user;
    } else {
        v->gs_base_user = s->gs.base;
        s->gs.base = v->gs_base_kernel;
    }
    if (v->parked_cpl0)
        return; /* the monitor does the rest on its way out */
    if (v->user_cr3)
        s->cr3 = user ? v->user_cr3 : v->cr3;
    if (user)
        user_segments(v, s);
    else
        ring3_segments(s);
}

int pv_set_mode(struct vcpu *v, bool user)
{
    if (v->user_mode == user)
        return 0;
    v->user_mode = user;
    return update_sregs(v, change_mode, user);
}

/* ---- services ---- */

/* Runs monitor code at rip with two arguments until it rings DONE. */
static int run_service(struct vcpu *v, uint64_t rip, uint64_t a, uint64_t b)
{
    struct kvm_regs saved = *vcpu_regs(v);
    uint64_t since = 0;
    int rc = pv_ring0(v->d) ? pv_park(v) : 0;

    if (rc)
        return rc;
    vcpu_regs(v)->rip = rip;
    vcpu_regs(v)->rdi = a;
    vcpu_regs(v)->rsi = b;
    if (pv_ring0(v->d))
        vcpu_regs(v)->rflags = RFLAGS_FIXED;
    regs_dirty(v);
    do {
        /* A kick stays noted in v->kicked; finish first. */
        v->run->immediate_exit = 0;
        rc = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
    } while ((rc == -EINTR || rc == -EAGAIN) && !vcpu_service_stuck(v, &since));
    if (since)
        vcpu_timers_changed(v);
    if (rc == -EINTR && !v->stop)
        domain_crash(v->d, "v%u: the monitor does not come back", v->id);
    if (!rc && (v->run->exit_reason != KVM_EXIT_IO ||
                v->run->io.port != DOORBELL_DONE)) {
        domain_crash(v->d, "v%u: its page tables broke the monitor", v->id);
        rc = -EFAULT;
    }
    *vcpu_regs(v) = saved;
    regs_dirty(v);
    return rc;
}

int pv_write_ptes(struct vcpu *v, const struct pte_write *w, unsigned int n)
{
    struct mon_pte_write *q = (void *)stack_page(v);
    int rc = 0;

    for (unsigned int done = 0; done < n && !rc;) {
        unsigned int k = 0;

        for (; k < MON_QUEUE_MAX && done < n; k++, done++) {
            if (!domain_frame(v->d, w[done].maddr >> 12))
                return -EINVAL;
            q[k].va = DIRECTMAP_VA + (w[done].maddr & ~7ull) + w[done].how;
            q[k].val = w[done].val;
        }
        rc = run_service(v, MON_VA + mon(v)->apply_ptes,
                         pv_vcpu_block(v) + MON_STACK_OFF, k);
    }
    return rc;
}

int guest_pte_write(struct vcpu *v, uint64_t pte_maddr, uint64_t val)
{
    struct pte_write w = {pte_maddr, val & 1 ? val | PTE_U : val,
                          MON_PTE_STORE};

    if (!domain_owns_frame(v->d, pte_maddr >> 12))
        return -EINVAL;
    return pv_write_ptes(v, &w, 1);
}

/* ---- frames ---- */

static uint64_t monitor_offset(const struct vcpu *v, uint64_t rip)
{
    return rip - pv_vcpu_block(v) - MON_VTEXT_OFF;
}

bool pv_in_monitor(const struct vcpu *v, uint64_t rip)
{
    return monitor_offset(v, rip) < MON_TEXT_PAGES * FRAME_SIZE;
}

/* The vector whose stub rip is in, or -1. */
static int stub_vector(const struct vcpu *v, uint64_t rip)
{
    uint64_t off = monitor_offset(v, rip) - mon(v)->stubs;

    return off < 256 * MON_STUB_SIZE ? (int)(off / MON_STUB_SIZE) : -1;
}

/* ---- the monitor's data ---- */

/* Before KVM_RUN.  Another vCPU comes up only while this one is out. */
static bool is_alone(const struct vcpu *v)
{
    for (unsigned int i = 0; i < v->d->max_vcpus; i++)
        if (v->d->vcpu[i] && v->d->vcpu[i] != v && v->d->vcpu[i]->initialised)
            return false;
    return true;
}

void pv_to_guest(struct vcpu *v)
{
    struct mon_vcpu *m = pv_mon_vcpu(v);

    atomic_store(&v->in_guest, true);
    m->user = v->user_mode;
    /* A stub that was interrupted has swapped it away: only if it changed. */
    if (m->kernel_cr3 != v->cr3)
        m->swap_rcx = v->cr3;
    m->kernel_cr3 = v->cr3;
    m->user_cr3 = v->user_cr3;
    m->kernel_sp = v->kernel_sp;
    m->gs_user = v->gs_base_user;
    m->gs_kernel = v->gs_base_kernel;
    m->syscall_cb = v->syscall_cb;
    m->event_cb = v->event_cb;
    m->masks = (v->cb_mask >> CALLBACKTYPE_syscall & 1ull) << MON_MASK_SYSCALL;
    for (unsigned int i = 0; i < MON_NR_TRAPS; i++) {
        m->trap_cb[i] = v->traps[i].address;
        m->masks |= TI_GET_IF(&v->traps[i]) ? 1ull << i : 0;
    }
    m->info =
        DIRECTMAP_VA + ((uint8_t *)atomic_load(&v->vcpu_info) - v->d->mem);
    m->iopl = v->iopl == 1 ? 0x1000 : 0;
    v->user_cs = 0; /* from now on, what KVM has */
    m->alone = is_alone(v);
    /* Another vCPU could free the tables that this one has stayed on. */
    if (m->lazy && !m->alone && !v->user_mode) {
        m->lazy = 0;
        update_sregs(v, change_cr3, v->cr3);
    }
    m->vm_assist = atomic_load(&v->d->vm_assist);
    if (v->parked_cpl0)
        pv_hand_over(v, m);
}

void pv_from_guest(struct vcpu *v)
{
    const struct mon_vcpu *m = pv_mon_vcpu(v);

    if (v->parked_cpl0 && pv_take_back(v))
        return;
    v->user_mode = m->user;
    v->cr3 = m->kernel_cr3 & PTE_ADDR;
    v->user_cr3 = m->user_cr3 & PTE_ADDR;
    v->kernel_sp = m->kernel_sp;
    v->gs_base_user = m->gs_user;
    v->gs_base_kernel = m->gs_kernel;
    atomic_store(&v->in_guest, false);
}

/* Writes a bounce frame and points the guest at its handler. */
static int bounce(struct vcpu *v, uint64_t handler, const uint32_t *error,
                  bool mask_events)
{
    struct kvm_regs *r = vcpu_regs(v);
    struct vcpu_info *vi = atomic_load(&v->vcpu_info);
    bool from_user = v->user_mode;
    uint64_t sp = (from_user ? v->kernel_sp : r->rsp) & ~15ull;
    uint64_t frame[8], saved_mask = vi->evtchn_upcall_mask;
    unsigned int n = 0;
    struct caller c = {.d = v->d, .v = v};

    if (from_user && pv_set_mode(v, false))
        return -EFAULT;
    frame[n++] = r->rcx;
    frame[n++] = r->r11;
    if (error)
        frame[n++] = *error;
    frame[n++] = r->rip;
    frame[n++] = (from_user ? v->user_cs : FLAT_KERNEL_CS_SEEN) | saved_mask
                                                                      << 32;
    frame[n++] = (r->rflags & ~(RFLAGS_IF | RFLAGS_IOPL)) |
                 (saved_mask ? 0 : RFLAGS_IF) | (v->iopl == 1 ? 0x1000ull : 0);
    frame[n++] = r->rsp;
    frame[n++] = from_user ? v->user_ss : FLAT_SS;
    sp -= n * 8;
    if (copy_to_guest(&c, GUEST_ADDR(sp), frame, n * 8)) {
        domain_crash(v->d, "v%u: no room for a frame at rsp %#lx (rip %#llx)",
                     v->id, sp, r->rip);
        return -EFAULT;
    }
    if (mask_events)
        vi->evtchn_upcall_mask = 1;
    r->rsp = sp;
    r->rip = handler;
    r->rflags &= ~BOUNCE_CLEARS;
    regs_dirty(v);
    return 0;
}

void pv_deliver_upcall(struct vcpu *v)
{
    struct vcpu_info *vi = atomic_load(&v->vcpu_info);

    if (!vi->evtchn_upcall_pending || vi->evtchn_upcall_mask || !v->event_cb)
        return;
    /*
     * The monitor, or a trap on its way to hv, is not to be disturbed, and
     * may have looked for events already: try again soon.
     */
    if (!pv_may_interrupt(v)) {
        vcpu_kick_later(v);
        return;
    }
    v->upcalls++;
    v->soft_waits = 0;
    bounce(v, v->event_cb, NULL, true);
}

/* ---- exits ---- */

void pv_hypercall_exit(struct vcpu *v)
{
    struct kvm_regs *r = vcpu_regs(v);
    uint64_t args[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};
    uint64_t nr = r->rax;
    const struct hypercall_desc *h = hypercall_lookup(nr);
    struct mon_vcpu *m = pv_mon_vcpu(v);
    struct caller c = {.d = v->d, .v = v};
    long rc;

    r->rip = v->out_next;
    v->done_calls = m->done_calls;
    v->done_ops = m->done_ops;
    m->done_calls = m->done_ops = 0;
    rc = hypercall_dispatch(&c, nr, args);
    if (!h || !h->keeps_rax)
        vcpu_regs(v)->rax = rc;
    regs_dirty(v);
}

static void user_syscall(struct vcpu *v)
{
    if (!v->syscall_cb) {
        domain_crash(v->d, "v%u: a system call, but no callback for it", v->id);
        return;
    }
    if (!bounce(v, v->syscall_cb, NULL,
                v->cb_mask & 1u << CALLBACKTYPE_syscall))
        vcpu_regs(v)->rflags &= ~RFLAGS_DF; /* as SYSCALL does for Linux */
}

/* A doorbell that only the monitor's own code may ring. */
static bool rung_by_monitor(struct vcpu *v, const char *what)
{
    if (!pv_in_monitor(v, vcpu_regs(v)->rip)) {
        domain_crash(v->d, "v%u rang the %s doorbell itself, rip %#llx", v->id,
                     what, vcpu_regs(v)->rip);
        return false;
    }
    v->parked_cpl0 = pv_ring0(v->d);
    return true;
}

static void leave_cpl0(struct vcpu *v, struct kvm_sregs *s, uint64_t arg)
{
    (void)arg;
    if (v->user_mode)
        user_segments(v, s);
    else
        ring3_segments(s);
}

void pv_syscall_exit(struct vcpu *v)
{
    struct kvm_regs *r = vcpu_regs(v);

    if (!rung_by_monitor(v, "system call"))
        return;
    v->out_next = r->rcx;
    r->rip = r->rcx;
    r->rflags = (r->r11 & ~RFLAGS_IOPL) | RFLAGS_FIXED | RFLAGS_IF;
    regs_dirty(v);
    if (v->user_mode)
        user_syscall(v);
    else
        pv_hypercall_exit(v);
}

/* What the CPU pushed on the monitor stack. */
struct trap_frame {
    uint64_t error, rip, cs, rflags, rsp, ss;
};

static bool has_error_code(unsigned int vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 ||
           vector == 21;
}

static uint64_t read_cr2(struct vcpu *v)
{
    struct kvm_sregs s;

    return ioctl(v->fd, KVM_GET_SREGS, &s) < 0 ? 0 : s.cr2;
}

static const char *const trap_names[32] = {
    [0] = "divide error",      [1] = "debug",          [2] = "NMI",
    [3] = "breakpoint",        [4] = "overflow",       [5] = "bound range",
    [6] = "invalid opcode",    [7] = "no FPU",         [8] = "double fault",
    [10] = "invalid TSS",      [11] = "no segment",    [12] = "stack fault",
    [13] = "protection fault", [14] = "page fault",    [16] = "x87 error",
    [17] = "alignment check",  [18] = "machine check", [19] = "SIMD error",
};

void pv_inject_trap(struct vcpu *v, unsigned int vector, uint32_t error)
{
    const struct trap_info *t = &v->traps[vector];
    const struct kvm_regs *r = vcpu_regs(v);
    const char *name =
        vector < 32 && trap_names[vector] ? trap_names[vector] : "trap";
    struct vcpu_info *vi = atomic_load(&v->vcpu_info);

    if (!t->address) {
        if (vector == 14)
            domain_crash(v->d,
                         "v%u: %s without a handler: rip %#llx, address %#lx, "
                         "error %#x",
                         v->id, name, r->rip, vi->arch.cr2, error);
        else
            domain_crash(v->d,
                         "v%u: %s (vector %u) without a handler: rip %#llx",
                         v->id, name, vector, r->rip);
        return;
    }
    bounce(v, t->address, has_error_code(vector) ? &error : NULL, TI_GET_IF(t));
}

static void page_fault(struct vcpu *v, uint64_t va, uint32_t error)
{
    if ((error & PFEC_PRESENT) && !v->user_mode && pv_fix_fault(v, va, error))
        return;
    atomic_load(&v->vcpu_info)->arch.cr2 = va;
    pv_inject_trap(v, 14, v->user_mode ? error : error & ~PFEC_USER);
}

/* Any but a page fault. */
static void trap(struct vcpu *v, unsigned int vector, uint32_t error)
{
    if (vector == 1)
        pv_debug_trap(v, vcpu_regs(v)->rflags & RFLAGS_TF);
    if ((vector != 13 && vector != 6) || !pv_emulate(v, vector))
        pv_inject_trap(v, vector, error);
}

void pv_trap_exit(struct vcpu *v)
{
    struct kvm_regs *r = vcpu_regs(v);
    int vector = stub_vector(v, r->rip);
    struct trap_frame f;
    uint64_t cr2 = 0;

    if (vector < 0) {
        domain_crash(v->d, "v%u rang the trap doorbell itself, rip %#llx",
                     v->id, r->rip);
        return;
    }
    memcpy(&f, stack_page(v) + MON_STACK_PAGES * FRAME_SIZE - sizeof(f),
           sizeof(f));
    if (vector == 14)
        cr2 = read_cr2(v);
    pv_user_segments(v, f.cs, f.ss);
    update_sregs(v, leave_cpl0, 0);
    r->rip = f.rip;
    r->rsp = f.rsp;
    r->rflags = f.rflags | RFLAGS_FIXED;
    regs_dirty(v);
    if (f.rip == MON_VA + mon(v)->fault_insn) {
        r->rip = MON_VA + mon(v)->fault_resume;
        return;
    }
    if (pv_in_monitor(v, f.rip) && !v->user_mode) {
        domain_crash(v->d,
                     "v%u: its page tables broke the monitor (%s at %#lx)",
                     v->id, vector < 32 ? trap_names[vector] : "trap", f.rip);
        return;
    }
    if (vector == 14)
        page_fault(v, cr2, f.error);
    else
        trap(v, vector, has_error_code(vector) ? f.error : 0);
}

static void back_to_user(struct vcpu *v, struct kvm_sregs *s, uint64_t arg)
{
    (void)arg;
    if (v->user_cr3)
        s->cr3 = v->user_cr3;
    user_segments(v, s);
}

void pv_fault_exit(struct vcpu *v)
{
    const struct mon_vcpu *m = pv_mon_vcpu(v);
    struct kvm_regs *r = vcpu_regs(v);

    if (!rung_by_monitor(v, "fault"))
        return;
    v->user_mode = m->ss;
    pv_user_segments(v, m->user_cs, m->user_ss);
    r->rip = m->rip;
    r->rsp = m->rsp;
    r->rflags = m->rflags | RFLAGS_FIXED;
    regs_dirty(v);
    if (r->rip == MON_VA + mon(v)->fault_insn)
        r->rip = MON_VA + mon(v)->fault_resume;
    else if (pv_in_monitor(v, m->rip) && !v->user_mode)
        domain_crash(v->d,
                     "v%u: its page tables broke the monitor at %#lx "
                     "(address %#lx, error %#lx)",
                     v->id, m->rip, m->cr2, m->error);
    else if (m->vector == 14)
        page_fault(v, m->cr2, m->error);
    else
        trap(v, m->vector & (NR_TRAPS - 1), m->error);
    /* Settled without the kernel: back on the tables for user code. */
    if (v->user_mode && !v->parked_cpl0)
        update_sregs(v, back_to_user, 0);
}

void pv_broken_exit(struct vcpu *v)
{
    const struct mon_vcpu *m = pv_mon_vcpu(v);

    if (m->user && !m->syscall_cb)
        domain_crash(v->d, "v%u: a system call, but no callback for it", v->id);
    else
        domain_crash(v->d,
                     "v%u: no room for a frame: rip %#lx, rsp %#lx, kernel "
                     "stack %#lx, last page fault at %#lx",
                     v->id, m->rip, m->rsp, m->kernel_sp,
                     atomic_load(&v->vcpu_info)->arch.cr2);
}

/* What is wrong with the tables that v runs on, as far as it can be told. */
static const char *tables_fault(struct vcpu *v)
{
    bool user = v->user_mode && v->user_cr3;
    uint64_t cr3 = user ? v->user_cr3 : v->cr3;
    const uint64_t *l4 = domain_frame(v->d, cr3 >> 12);

    if (!l4 || !domain_owns_frame(v->d, cr3 >> 12))
        return "; its L4 table is no frame of its own";
    if ((l4[MON_SLOT] & PTE_ADDR) != (pv_slot_entry(v->d, 0, user) & PTE_ADDR))
        return "; it took the hypervisor's entries out of its L4 table";
    return "";
}

void pv_triple_fault(struct vcpu *v)
{
    v->exits[EXIT_OTHER]++;
    domain_crash(v->d, "v%u: triple fault, rip %#llx rsp %#llx%s", v->id,
                 vcpu_regs(v)->rip, vcpu_regs(v)->rsp, tables_fault(v));
}

/* ---- hypercalls that are all about registers ---- */

long do_iret(struct caller *c, const uint64_t args[6])
{
    struct vcpu *v = c->v;
    struct kvm_regs *r;
    struct iret_context f;

    (void)args;
    if (!v)
        return -ENOSYS;
    r = vcpu_regs(v);
    if (copy_from_guest(c, &f, GUEST_ADDR(r->rsp), sizeof(f))) {
        domain_crash(v->d, "v%u: iret without a frame at rsp %#llx", v->id,
                     r->rsp);
        return -EFAULT;
    }
    r->rax = f.rax;
    if (!(f.flags & VGCF_in_syscall)) {
        r->rcx = f.rcx;
        r->r11 = f.r11;
    }
    r->rip = f.rip;
    r->rsp = f.rsp;
    r->rflags = (f.rflags & ~(RFLAGS_IOPL | RFLAGS_VM | RFLAGS_NT)) |
                RFLAGS_FIXED | RFLAGS_IF;
    atomic_load(&v->vcpu_info)->evtchn_upcall_mask = !(f.rflags & RFLAGS_IF);
    if ((f.cs & 3) == 3) {
        pv_user_segments(v, f.cs, f.ss);
        pv_set_mode(v, true);
    }
    regs_dirty(v);
    return 0;
}
