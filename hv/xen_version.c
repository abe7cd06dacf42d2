/* SPDX-License-Identifier: MIT */
/* xen_version.  Source: xen/version.h, xen/features.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <stdint.h>
#include <xen/features.h>
#include <xen/version.h>
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/pv/pv.h"

#define EXTRAVERSION ".0-kxen"

static long give(struct caller *c, guest_addr_t arg, const void *p, size_t n)
{
    return copy_to_guest(c, arg, p, n) ? -EFAULT : 0;
}

static long give_string(struct caller *c, guest_addr_t arg, const char *s,
                        size_t size)
{
    char buf[1024] = {0};

    snprintf(buf, sizeof(buf), "%s", s);
    return give(c, arg, buf, size);
}

static long get_features(struct caller *c, guest_addr_t arg)
{
    struct xen_feature_info f;

    if (copy_from_guest(c, &f, arg, sizeof(f)))
        return -EFAULT;
    f.submap = f.submap_idx ? 0
                            : 1u << XENFEAT_mmu_pt_update_preserve_ad |
                                  1u << XENFEAT_highmem_assist |
                                  1u << XENFEAT_gnttab_map_avail_bits |
                                  1u << XENFEAT_memory_op_vnode_supported |
                                  1u << XENFEAT_direct_mapped |
                                  (c->v ? 0 : 1u << XENFEAT_dom0);
    return f.submap_idx ? -EINVAL : give(c, arg, &f, sizeof(f));
}

static long compile_info(struct caller *c, guest_addr_t arg)
{
    struct xen_compile_info i = {0};

    snprintf(i.compiler, sizeof(i.compiler), "gcc %s", __VERSION__);
    snprintf(i.compile_by, sizeof(i.compile_by), "kxen");
    snprintf(i.compile_domain, sizeof(i.compile_domain), "kvm");
    snprintf(i.compile_date, sizeof(i.compile_date), "unknown");
    return give(c, arg, &i, sizeof(i));
}

long do_xen_version(struct caller *c, const uint64_t args[6])
{
    guest_addr_t arg = {args[1]};
    xen_platform_parameters_t p = {.virt_start = M2P_VA};

    switch ((uint32_t)args[0]) {
    case XENVER_version:
        return KXEN_XEN_VERSION;
    case XENVER_extraversion:
        return give_string(c, arg, EXTRAVERSION, sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return compile_info(c, arg);
    case XENVER_capabilities:
        return give_string(c, arg, "xen-3.0-x86_64 ",
                           sizeof(xen_capabilities_info_t));
    case XENVER_changeset:
        return give_string(c, arg, "unavailable", sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters:
        return give(c, arg, &p, sizeof(p));
    case XENVER_get_features:
        return get_features(c, arg);
    case XENVER_pagesize:
        return arg.addr ? -EINVAL : (long)FRAME_SIZE;
    case XENVER_guest_handle:
        return give(c, arg, c->d->handle, sizeof(c->d->handle));
    case XENVER_commandline:
        return give_string(c, arg, c->v ? "<denied>" : "",
                           sizeof(xen_commandline_t));
    case XENVER_build_id:
        return c->v ? -EPERM : -ENODATA;
    default:
        return -ENOSYS;
    }
}
