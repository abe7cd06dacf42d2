/* SPDX-License-Identifier: MIT */
/*
 * The file of a memory dump: an ELF core that debuggers take for any other.
 * One thread for each vCPU (NT_PRSTATUS), one PT_LOAD for each run of the map
 * with the guest's virtual address and, as p_paddr, its pseudo-physical one;
 * then the guest's frames in order, once, holes where they are zero.
 */
#ifndef DOM0_CORE_FILE_H
#define DOM0_CORE_FILE_H

#include <stdatomic.h>
#include <stdint.h>

#include "dom0/core_walk.h"
#include "dom0/xen_ctl.h"

#include <xen/xen.h>

struct core_vcpu {
    unsigned id;
    vcpu_guest_context_t ctx;
};

struct core_info {
    const char *name;  /* the domain's: the "process" */
    const char *story; /* for the note "Kxen": what happened, any text */
    const struct core_vcpu *vcpus;
    unsigned nr_vcpus; /* the first is the one debuggers show first */
};

/*
 * Writes all of it to fd, an empty file.  *done counts the guest's pages dealt
 * with, for another thread to look at.  0, -ENOMEM, -ECANCELED (mem->abort), or
 * -errno of either file: -ENOSPC.
 */
int core_write(int fd, const struct core_mem *mem, const struct core_map *map,
               const struct core_info *info, atomic_ullong *done);

/*
 * The same in Xen's own format, which needs no map: m2p as for core_walk().
 */
int core_write_xen(int fd, const struct core_mem *mem, const uint64_t *m2p,
                   const struct core_info *info, atomic_ullong *done);

#endif
