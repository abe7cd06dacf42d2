/* SPDX-License-Identifier: MIT */
#include "hv/hypercall.h"

#include <errno.h>
#include <stdlib.h>
#include "hv/domain.h"
#include "hv/log.h"
#include "hv/trace.h"
#include "hv/vcpu.h"

#define HC(nr, f)                                                              \
    [__HYPERVISOR_##nr] = {                                                    \
        .name = #nr,                                                           \
        .fn = f,                                                               \
    }

/* One row a hypercall: this is where a new one is added. */
static const struct hypercall_desc table[] = {
    HC(set_trap_table, do_set_trap_table),
    HC(mmu_update, do_mmu_update),
    HC(set_gdt, do_set_gdt),
    HC(stack_switch, do_stack_switch),
    HC(set_callbacks, do_set_callbacks),
    HC(fpu_taskswitch, do_fpu_taskswitch),
    HC(sched_op_compat, do_sched_op_compat),
    HC(set_debugreg, do_set_debugreg),
    HC(get_debugreg, do_get_debugreg),
    HC(update_descriptor, do_update_descriptor),
    HC(memory_op, do_memory_op),
    HC(multicall, do_multicall),
    HC(update_va_mapping, do_update_va_mapping),
    HC(update_va_mapping_otherdomain, do_update_va_mapping_otherdomain),
    HC(set_timer_op, do_set_timer_op),
    HC(xen_version, do_xen_version),
    HC(console_io, do_console_io),
    HC(grant_table_op, do_grant_table_op),
    HC(vm_assist, do_vm_assist),
    [__HYPERVISOR_iret] = {.name = "iret", .fn = do_iret, .keeps_rax = true},
    HC(vcpu_op, do_vcpu_op),
    HC(set_segment_base, do_set_segment_base),
    HC(mmuext_op, do_mmuext_op),
    HC(sched_op, do_sched_op),
    HC(callback_op, do_callback_op),
    HC(event_channel_op, do_event_channel_op),
    HC(event_channel_op_compat, do_event_channel_op_compat),
    HC(physdev_op, do_physdev_op),
    HC(sysctl, do_sysctl),
    HC(domctl, do_domctl),
    HC(platform_op, do_platform_op),
    HC(kexec_op, do_denied),
    HC(hypfs_op, do_denied),
    HC(arch_0, do_denied), /* machine checks */
    HC(xenpmu_op, do_unsupported),
};

const struct hypercall_desc *hypercall_lookup(uint64_t nr)
{
    if (nr >= sizeof(table) / sizeof(table[0]) || !table[nr].fn)
        return NULL;
    return &table[nr];
}

static long dispatch(struct caller *c, uint64_t nr, const uint64_t args[6])
{
    const struct hypercall_desc *h = hypercall_lookup(nr);

    if (!h) {
        domain_log(c->d, "unknown hypercall %lu(%#lx, %#lx, %#lx): ENOSYS", nr,
                   args[0], args[1], args[2]);
        return -ENOSYS;
    }
    return h->fn(c, args);
}

long hypercall_dispatch(struct caller *c, uint64_t nr, const uint64_t args[6])
{
    const struct hypercall_desc *h;
    uint64_t start;
    long rc;

    if (!trace_wanted(c->d))
        return dispatch(c, nr, args);
    h = hypercall_lookup(nr);
    start = hv_system_time(c->d->hv);
    rc = dispatch(c, nr, args);
    trace_hypercall(c, h ? h->name : NULL, nr, args, rc, start);
    return rc;
}

long subop_dispatch(struct caller *c, const struct subop_desc *t, size_t n,
                    uint64_t cmd, guest_addr_t arg)
{
    uint64_t buf[SUBOP_ARG_MAX / 8];
    const struct subop_desc *s;
    long rc;

    if (cmd >= n || !t[cmd].fn)
        return -ENOSYS;
    s = &t[cmd];
    if ((s->flags & SUBOP_PRIV) && c->d != c->d->hv->dom0)
        return -EPERM;
    if ((s->flags & SUBOP_GUEST) && !c->v)
        return -EINVAL;
    if (s->size && copy_from_guest(c, buf, arg, s->size))
        return -EFAULT;
    rc = s->fn(c, buf);
    if ((rc >= 0 && (s->flags & SUBOP_COPYBACK)) || (s->flags & SUBOP_ALWAYS))
        if (copy_to_guest(c, arg, buf, s->size))
            rc = -EFAULT;
    return rc;
}

#define MULTICALL_MAX 1024

long do_multicall(struct caller *c, const uint64_t args[6])
{
    guest_addr_t list = {args[0]};
    uint64_t n = args[1];

    if (n > MULTICALL_MAX)
        return -EINVAL;
    for (uint64_t i = c->v ? c->v->done_calls : 0; i < n; i++) {
        struct multicall_entry e;
        guest_addr_t at = guest_addr_index(list, i, sizeof(e));
        uint64_t a[6] = {0};

        if (c->v && vcpu_preempt(c->v))
            return -EINTR;
        if (copy_from_guest(c, &e, at, sizeof(e)))
            return -EFAULT;
        for (int k = 0; k < 6; k++)
            a[k] = e.args[k];
        /* iret and a nested list have no meaning inside a list. */
        if (e.op == __HYPERVISOR_multicall || e.op == __HYPERVISOR_iret)
            e.result = -EINVAL;
        else
            e.result = hypercall_dispatch(c, e.op, a);
        if (c->v)
            c->v->done_ops = 0; /* of the first alone */
        if (copy_to_guest(c, at, &e, sizeof(e)))
            return -EFAULT;
    }
    return 0;
}
