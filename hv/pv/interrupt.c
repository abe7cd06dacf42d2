/* SPDX-License-Identifier: MIT */
/*
 * Whether a vCPU that is out of its guest is where its kernel can be told of an
 * event: not in the monitor, nor with an exception on its way.
 */
#include <sys/ioctl.h>
#include "hv/pv/pv.h"

#define RFLAGS_FIXED 0x2ull
#define RFLAGS_IF    0x200ull
#define RFLAGS_IOPL  0x3000ull
#define RFLAGS_NT    0x4000ull
#define RFLAGS_VM    0x20000ull

#define INSN_INT3 0xcc
#define INSN_INTO 0xce
/* So often in a row at one place an exception of software may wait. */
#define SOFT_WAITS 10

static bool is_soft(struct vcpu *v, uint64_t rip)
{
    uint64_t cr3 = v->user_mode && v->user_cr3 ? v->user_cr3 : v->cr3, maddr;

    return !pv_walk(v, cr3, rip, false, &maddr) &&
           (v->d->mem[maddr] == INSN_INT3 || v->d->mem[maddr] == INSN_INTO);
}

/*
 * KVM does not say whether int3 or into waits, only that it was the last that
 * did, and would change whatever rip it is given.  So at such an instruction it
 * is given time to raise it, but not for ever: there may be a loop behind.
 */
static bool soft_exception_waits(struct vcpu *v, unsigned int nr)
{
    uint64_t rip = vcpu_regs(v)->rip;

    if ((nr != 3 && nr != 4) || !(is_soft(v, rip - 1) || is_soft(v, rip)))
        return false;
    if (v->soft_rip != rip)
        v->soft_waits = 0;
    v->soft_rip = rip;
    return v->soft_waits++ < SOFT_WAITS;
}

static bool exception_waits(struct vcpu *v)
{
    struct kvm_vcpu_events e;

    if (ioctl(v->fd, KVM_GET_VCPU_EVENTS, &e) < 0)
        return false;
    return e.exception.injected || e.exception.pending ||
           soft_exception_waits(v, e.exception.nr);
}

/* In the page that user tables have in the place of the monitor's first. */
static bool on_user_page(struct vcpu *v)
{
    uint64_t off = vcpu_regs(v)->rip - pv_vcpu_block(v) - MON_VTEXT_OFF;
    struct kvm_sregs s;

    return v->user_mode && v->user_cr3 && !pv_ring0(v->d) &&
           off >= MON_STEP_OUT_OFF && off < FRAME_SIZE &&
           !ioctl(v->fd, KVM_GET_SREGS, &s) && s.cr3 == v->user_cr3;
}

/*
 * User code that is on its last step out of the monitor, or has jumped there to
 * stay for ever: this is all that is left of it.
 */
static bool finish_step_out(struct vcpu *v)
{
    const struct mon_user *u =
        domain_frame(v->d, pv_vcpu_gfn(v->d, v->id, PV_UDATA));
    struct kvm_regs *r = vcpu_regs(v);

    if (!on_user_page(v))
        return false;
    pv_user_segments(v, u->far_cs, u->ss);
    r->rip = u->rip;
    r->rsp = u->rsp;
    r->rcx = u->rcx;
    r->rdx = u->rdx;
    r->rsi = u->rsi;
    r->rflags = (u->rflags & ~(RFLAGS_IOPL | RFLAGS_VM | RFLAGS_NT)) |
                RFLAGS_FIXED | RFLAGS_IF;
    v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
    return true;
}

bool pv_may_interrupt(struct vcpu *v)
{
    return !exception_waits(v) &&
           (!pv_in_monitor(v, vcpu_regs(v)->rip) || finish_step_out(v));
}
