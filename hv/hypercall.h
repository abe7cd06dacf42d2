/* SPDX-License-Identifier: MIT */
/*
 * The hypercall table.  A handler is the same for a guest and for domain 0's
 * connections; a family with sub-operations describes them as data, and
 * subop_dispatch() copies the argument in once, calls, and copies it back.
 */
#ifndef HV_HYPERCALL_H
#define HV_HYPERCALL_H

#include <stdbool.h>
#include "hv/guest_access.h"

/*
 * args are rdi, rsi, rdx, r10, r8, r9.  Returns what the guest sees in rax: a
 * value or -Exxx (Xen's numbering is Linux's).
 */
typedef long hypercall_fn(struct caller *c, const uint64_t args[6]);

struct hypercall_desc {
    const char *name;
    hypercall_fn *fn;
    bool keeps_rax; /* iret: the handler has set every register itself */
};

/* NULL where hv has no such hypercall. */
const struct hypercall_desc *hypercall_lookup(uint64_t nr);

/* Runs hypercall nr for c; -ENOSYS, and one line in the log, if unknown. */
long hypercall_dispatch(struct caller *c, uint64_t nr, const uint64_t args[6]);

#define SUBOP_COPYBACK (1u << 0) /* copied back to the caller on success */
#define SUBOP_PRIV     (1u << 1) /* domain 0 only, else -EPERM */
#define SUBOP_ALWAYS   (1u << 2) /* copied back on error as well */
#define SUBOP_GUEST    (1u << 3) /* needs a calling vCPU, else -EINVAL */

struct subop_desc {
    const char *name;
    size_t size; /* of the argument, at most SUBOP_ARG_MAX; 0 for none */
    unsigned int flags;
    long (*fn)(struct caller *c, void *arg);
};

#define SUBOP_ARG_MAX 512

/* Dispatches sub-operation `cmd` of a table of n; -ENOSYS if unknown. */
long subop_dispatch(struct caller *c, const struct subop_desc *table, size_t n,
                    uint64_t cmd, guest_addr_t arg);

hypercall_fn do_set_trap_table, do_mmu_update, do_set_gdt, do_stack_switch,
    do_set_callbacks, do_fpu_taskswitch, do_set_debugreg, do_get_debugreg,
    do_update_descriptor, do_memory_op, do_multicall, do_update_va_mapping,
    do_set_timer_op, do_xen_version, do_console_io, do_grant_table_op,
    do_vm_assist, do_iret, do_vcpu_op, do_set_segment_base, do_mmuext_op,
    do_sched_op, do_callback_op, do_event_channel_op, do_physdev_op, do_sysctl,
    do_domctl, do_sched_op_compat, do_event_channel_op_compat,
    do_update_va_mapping_otherdomain, do_platform_op, do_denied, do_unsupported;

#endif
