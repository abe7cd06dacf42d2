/* SPDX-License-Identifier: MIT */
/*
 * Hardware KVM: the monitor runs at CPL0 there, and that is where a vCPU is
 * when it leaves its guest by a doorbell.  It then *stays* there as far as KVM
 * knows (vcpu->parked): vcpu_regs() are made those of the guest, and before
 * the next KVM_RUN they are handed to the monitor, which leaves to them.  So
 * no exit costs a change of segments.  While parked, KVM's CR3 is that of the
 * guest's kernel, and the segment bases are those of whom the registers are.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include "hv/kvm_host.h"
#include "hv/pv/pv.h"

#define RFLAGS_FIXED 0x2ull

static void cpl0_segments(struct kvm_sregs *s)
{
    s->cs.selector = MON_CS;
    s->ss.selector = MON_SS;
    s->cs.dpl = s->ss.dpl = 0;
}

int pv_park(struct vcpu *v)
{
    struct kvm_sregs s;

    if (v->parked_cpl0)
        return 0;
    if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
        return -errno;
    cpl0_segments(&s);
    s.cr3 = v->cr3;
    if (ioctl(v->fd, KVM_SET_SREGS, &s) < 0)
        return -errno;
    v->parked_cpl0 = true;
    return 0;
}

static uint64_t resume_va(const struct vcpu *v)
{
    const struct mon_header *h = domain_frame(v->d, v->d->pv->text_gfn);

    return pv_vcpu_block(v) + MON_VTEXT_OFF + h->resume0;
}

void pv_hand_over(struct vcpu *v, struct mon_vcpu *m)
{
    struct kvm_regs *r = vcpu_regs(v);

    v->resume = (struct pv_resume){r->rip, r->rsp, r->rflags};
    m->rip = r->rip;
    m->rsp = r->rsp;
    m->rflags = r->rflags;
    m->ss = v->user_mode;
    m->user = 0;
    r->rip = resume_va(v);
    r->rflags = RFLAGS_FIXED;
    v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}

bool pv_take_back(struct vcpu *v)
{
    struct kvm_regs *r = vcpu_regs(v);

    if (r->rip != resume_va(v)) {
        v->parked_cpl0 = false;
        return false;
    }
    r->rip = v->resume.rip;
    r->rsp = v->resume.rsp;
    r->rflags = v->resume.rflags;
    v->run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
    return true;
}
