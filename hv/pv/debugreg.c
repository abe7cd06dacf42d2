/* SPDX-License-Identifier: MIT */
/*
 * Debug registers of a PV guest: breakpoints in its own half of the address
 * space, in the CPU's registers while v is in the guest.  Source: xen/xen.h.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include "hv/pv/pv.h"

#define DR6_ONES   0xffff0ff0ull
#define DR6_ZEROS  0x1000ull
#define DR7_ONES   0x400ull
#define DR7_ZEROS  0xd800ull
#define DR7_DETECT 0x2000ull
#define DR7_IO     2u
#define DR6_STEP   0x4000ull
#define DR7_ON     0xffull

static bool breaks_on_io(uint64_t dr7)
{
    for (unsigned int i = 0; i < 4; i++)
        if ((dr7 >> 2 * i & 3) && (dr7 >> (16 + 4 * i) & 3) == DR7_IO)
            return true;
    return false;
}

static long keep(struct vcpu *v, uint64_t reg, uint64_t val)
{
    switch (reg) {
    case 0 ... 3:
        if (!guest_va_ok(val))
            return -EPERM;
        v->debugreg[reg] = val;
        return 0;
    case 4:
    case 6:
        if (val >> 32)
            return -EINVAL;
        v->debugreg[6] = val & ~DR6_ZEROS;
        return 0;
    case 5:
    case 7:
        if (val >> 32)
            return -EINVAL;
        if ((val & DR7_DETECT) || breaks_on_io(val))
            return -EPERM;
        v->debugreg[7] = val & ~DR7_ZEROS;
        return 0;
    default:
        return -ENODEV;
    }
}

long pv_get_debugreg(const struct vcpu *v, uint64_t reg)
{
    switch (reg) {
    case 0 ... 3:
        return v->debugreg[reg];
    case 4:
    case 6:
        return v->debugreg[6] | DR6_ONES;
    case 5:
    case 7:
        return v->debugreg[7] | DR7_ONES;
    default:
        return -ENODEV;
    }
}

static int load(struct vcpu *v)
{
    struct kvm_debugregs d;

    if (ioctl(v->fd, KVM_GET_DEBUGREGS, &d) < 0)
        return -errno;
    for (int i = 0; i < 4; i++)
        d.db[i] = v->debugreg[i];
    d.dr6 = v->debugreg[6] | DR6_ONES;
    d.dr7 = v->debugreg[7] | DR7_ONES;
    return ioctl(v->fd, KVM_SET_DEBUGREGS, &d) < 0 ? -errno : 0;
}

long pv_set_debugreg(struct vcpu *v, uint64_t reg, uint64_t val)
{
    bool on = v->debugreg[7] & DR7_ON;
    long rc = keep(v, reg, val);

    /* Nothing to load as long as no breakpoint is on. */
    if (!rc && (on || (v->debugreg[7] & DR7_ON)))
        rc = load(v);
    return rc;
}

void pv_debug_trap(struct vcpu *v, bool stepping)
{
    struct kvm_debugregs d;

    if (stepping)
        v->debugreg[6] |= DR6_STEP;
    if (!(v->debugreg[7] & DR7_ON) || ioctl(v->fd, KVM_GET_DEBUGREGS, &d) < 0)
        return;
    v->debugreg[6] |= d.dr6 & ~DR6_ONES;
    d.dr6 = DR6_ONES;
    if (ioctl(v->fd, KVM_SET_DEBUGREGS, &d) < 0)
        return; /* then the bits are seen once more */
}
