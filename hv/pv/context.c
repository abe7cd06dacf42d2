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
    case CALLBACKTYPE_nmi:
        v->traps[2] = (struct trap_info){.vector = 2, .address = r->address};
        TI_SET_IF(&v->traps[2], 1);
        break;
    case CALLBACKTYPE_syscall32:
    case CALLBACKTYPE_sysenter:
        /* Nothing raises them: without, a kernel has its users do int. */
        return -ENOSYS;
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
