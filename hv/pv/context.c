/* SPDX-License-Identifier: MIT */
/*
 * The hypercalls that set a vCPU's PV context: traps, callbacks, stacks,
 * segment bases, descriptors, debug registers.  Source: xen/xen.h,
 * xen/arch-x86/xen.h, xen/callback.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <stdint.h>
#include <xen/callback.h>
#include "hv/hypercall.h"
#include "hv/pv/pv.h"

static bool canonical(uint64_t va)
{
    return (int64_t)(va << 16) >> 16 == (int64_t)va;
}

long do_set_trap_table(struct caller *c, const uint64_t args[6])
{
    guest_addr_t list = {args[0]};

    if (!c->v)
        return -ENOSYS;
    if (!list.addr) {
        memset(c->v->traps, 0, sizeof(c->v->traps));
        return 0;
    }
    /* Ends with a zero address; no more than one for each vector. */
    for (unsigned int i = 0; i <= NR_TRAPS; i++) {
        struct trap_info t;

        if (copy_from_guest(c, &t, guest_addr_index(list, i, sizeof(t)),
                            sizeof(t)))
            return -EFAULT;
        if (!t.address)
            return 0;
        if (!canonical(t.address))
            return -EINVAL;
        c->v->traps[t.vector] = t;
    }
    return -EINVAL;
}

long do_set_callbacks(struct caller *c, const uint64_t args[6])
{
    if (!c->v)
        return -ENOSYS;
    /* A bad one stays as it was, and nobody is told. */
    if (canonical(args[0]))
        c->v->event_cb = args[0];
    if (canonical(args[1]))
        c->v->failsafe_cb = args[1];
    if (canonical(args[2]))
        c->v->syscall_cb = args[2];
    return 0;
}

static long register_callback(struct vcpu *v, const struct callback_register *r)
{
    uint32_t bit = 1u << (r->type & 31);

    if (!canonical(r->address))
        return -EINVAL;
    switch (r->type) {
    case CALLBACKTYPE_event:
        v->event_cb = r->address;
        break;
    case CALLBACKTYPE_failsafe:
        v->failsafe_cb = r->address;
        break;
    case CALLBACKTYPE_syscall:
        v->syscall_cb = r->address;
        break;
    case CALLBACKTYPE_syscall32:
    case CALLBACKTYPE_sysenter:
    case CALLBACKTYPE_nmi:
        break; /* accepted: nothing raises them */
    default:
        return -ENOSYS;
    }
    v->cb_mask &= ~bit;
    if (r->flags & CALLBACKF_mask_events)
        v->cb_mask |= bit;
    return 0;
}

static long unregister_callback(const struct callback_register *r)
{
    switch (r->type) {
    case CALLBACKTYPE_event:
    case CALLBACKTYPE_failsafe:
    case CALLBACKTYPE_syscall:
    case CALLBACKTYPE_sysenter:
    case CALLBACKTYPE_syscall32:
        return -EINVAL; /* only replaced */
    case CALLBACKTYPE_nmi:
        return 0;
    default:
        return -ENOSYS;
    }
}

long do_callback_op(struct caller *c, const uint64_t args[6])
{
    struct callback_register r;

    if (!c->v)
        return -ENOSYS;
    if (args[0] != CALLBACKOP_register && args[0] != CALLBACKOP_unregister)
        return -ENOSYS;
    if (copy_from_guest(c, &r, (guest_addr_t){args[1]}, sizeof(r)))
        return -EFAULT;
    if (args[0] == CALLBACKOP_unregister)
        return unregister_callback(&r);
    return register_callback(c->v, &r);
}

long do_stack_switch(struct caller *c, const uint64_t args[6])
{
    if (!c->v)
        return -ENOSYS;
    c->v->kernel_ss = args[0];
    c->v->kernel_sp = args[1];
    return 0;
}

long do_fpu_taskswitch(struct caller *c, const uint64_t args[6])
{
    (void)args;
    /* CR0.TS is an optimisation that no guest needs. */
    return c->v ? 0 : -ENOSYS;
}

#define DR6_ONES   0xffff0ff0ull
#define DR6_ZEROS  0x1000ull
#define DR7_ONES   0x400ull
#define DR7_ZEROS  0xd800ull
#define DR7_DETECT 0x2000ull
#define DR7_IO     2u

static bool breaks_on_io(uint64_t dr7)
{
    for (unsigned int i = 0; i < 4; i++)
        if ((dr7 >> 2 * i & 3) && (dr7 >> (16 + 4 * i) & 3) == DR7_IO)
            return true;
    return false;
}

long pv_set_debugreg(struct vcpu *v, uint64_t reg, uint64_t val)
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

long do_set_debugreg(struct caller *c, const uint64_t args[6])
{
    return c->v ? pv_set_debugreg(c->v, args[0], args[1]) : -ENOSYS;
}

long do_get_debugreg(struct caller *c, const uint64_t args[6])
{
    return c->v ? pv_get_debugreg(c->v, args[0]) : -ENOSYS;
}

static long set_base(struct vcpu *v, struct kvm_sregs *s, uint64_t which,
                     uint64_t base)
{
    switch (which) {
    case SEGBASE_FS:
        s->fs.base = v->fs_base = base;
        return 0;
    case SEGBASE_GS_USER:
        v->gs_base_user = base;
        return 0;
    case SEGBASE_GS_KERNEL:
        s->gs.base = v->gs_base_kernel = base;
        return 0;
    case SEGBASE_GS_USER_SEL:
        if (base <= 3)
            v->gs_base_user = 0; /* a null selector has no base */
        return 0;                /* the others are flat: it stays */
    default:
        return -EINVAL;
    }
}

long do_set_segment_base(struct caller *c, const uint64_t args[6])
{
    struct kvm_sregs s;
    long rc;

    if (!c->v)
        return -ENOSYS;
    if (args[0] != SEGBASE_GS_USER_SEL && !canonical(args[1]))
        return -EINVAL;
    if (ioctl(c->v->fd, KVM_GET_SREGS, &s) < 0)
        return -errno;
    rc = set_base(c->v, &s, args[0], args[1]);
    if (!rc && ioctl(c->v->fd, KVM_SET_SREGS, &s) < 0)
        rc = -errno;
    return rc;
}

#define DESC_P        (1ull << 47)
#define DESC_DPL      (3ull << 45)
#define DESC_S        (1ull << 44)
#define DESC_TYPE(d)  ((d) >> 40 & 0xf)
#define DESC_CALLGATE 0xc
#define DESC_RPL      (3ull << 16) /* of a gate's selector */

/* As Xen lets it into a table: for ring 3.  -EINVAL: not at all. */
static int descriptor_fix(uint64_t *desc)
{
    if (!(*desc & DESC_P))
        return 0;
    if (!(*desc & DESC_S)) {
        if (DESC_TYPE(*desc) != DESC_CALLGATE)
            return -EINVAL;
        *desc |= DESC_RPL;
        return 0;
    }
    *desc |= DESC_DPL;
    return 0;
}

/* All of a page that is to be part of a GDT. */
static int gdt_page_fix(struct domain *d, uint64_t gfn)
{
    uint64_t *desc = domain_frame(d, gfn);

    for (unsigned int i = 0; i < FRAME_SIZE / sizeof(*desc); i++) {
        uint64_t val = __atomic_load_n(&desc[i], __ATOMIC_RELAXED), was = val;

        if (descriptor_fix(&val))
            return -EINVAL;
        if (val != was)
            __atomic_store_n(&desc[i], val, __ATOMIC_RELAXED);
    }
    return 0;
}

long do_set_gdt(struct caller *c, const uint64_t args[6])
{
    unsigned int ents = args[1], nr = (ents + 511) / 512;
    uint64_t frames[14];

    if (!c->v)
        return -ENOSYS;
    if (args[1] > 14 * 512)
        return -EINVAL;
    if (copy_from_guest(c, frames, (guest_addr_t){args[0]}, nr * 8))
        return -EFAULT;
    for (unsigned int i = 0; i < nr; i++)
        if (!domain_owns_frame(c->d, frames[i]) ||
            gdt_page_fix(c->d, frames[i]))
            return -EINVAL;
    return pv_map_gdt(c->v, frames, nr);
}

long do_update_descriptor(struct caller *c, const uint64_t args[6])
{
    uint64_t maddr = args[0], desc = args[1];

    if (!c->v)
        return -ENOSYS;
    if (maddr % 8 || !domain_owns_frame(c->d, maddr >> 12) ||
        descriptor_fix(&desc))
        return -EINVAL;
    memcpy(c->d->mem + maddr, &desc, sizeof(desc));
    return 0;
}

long do_vm_assist(struct caller *c, const uint64_t args[6])
{
    if (!c->v)
        return -ENOSYS;
    if (args[1] > VMASST_TYPE_runstate_update_flag)
        return -EINVAL;
    if (args[0] > VMASST_CMD_disable)
        return -ENOSYS;
    if (args[0] == VMASST_CMD_enable)
        atomic_fetch_or(&c->d->vm_assist, 1ul << args[1]);
    else
        atomic_fetch_and(&c->d->vm_assist, ~(1ul << args[1]));
    return 0;
}
