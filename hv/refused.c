/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls that are domain 0's alone on Xen and nobody's here: what Xen
 * says to a guest that tries them.
 */
#include <errno.h>
#include <stdint.h>
#include <xen/platform.h>
#include "hv/hypercall.h"

long do_denied(struct caller *c, const uint64_t args[6])
{
    (void)c;
    (void)args;
    return -EPERM;
}

long do_unsupported(struct caller *c, const uint64_t args[6])
{
    (void)c;
    (void)args;
    return -EOPNOTSUPP;
}

long do_platform_op(struct caller *c, const uint64_t args[6])
{
    uint32_t head[2]; /* of struct xen_platform_op: cmd, version */

    if (copy_from_guest(c, head, (guest_addr_t){args[0]}, sizeof(head)))
        return -EFAULT;
    return head[1] == XENPF_INTERFACE_VERSION ? -EPERM : -EACCES;
}
