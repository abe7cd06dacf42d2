/* SPDX-License-Identifier: MIT */
/*
 * Grants of one domain, mapped by the hypervisor's word alone: the domain's
 * memory is mapped once, as a whole, and a grant only tells which page of it
 * is meant and keeps the guest from taking it back.  That saves the mmap, the
 * faults and the munmap that a mapping of its own costs.  (So the grant is a
 * protocol here, not a wall: dom0 could reach all of the domain anyway.)
 */
#ifndef BACKENDS_VBD_GNTMEM_H
#define BACKENDS_VBD_GNTMEM_H

#include <stdbool.h>
#include <stdint.h>
#include <xencall.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "backends/vbd_grants.h"

struct vbd_gntmem {
    domid_t domid;
    xencall_handle *xcall; /* owns the pins */
    void *buf;             /* hypercall arguments: VBD_GNT_BATCH of them */
    char *mem;             /* the domain, frame 0 first */
    uint64_t size;         /* bytes */
};

/* 0 or -Exxx. Zeroed memory can be closed, too. */
int vbd_gntmem_open(struct vbd_gntmem *m, domid_t domid);
/* Gives back every grant that is still held. */
void vbd_gntmem_close(struct vbd_gntmem *m);

/* For vbd_grants_new(); its arg is a struct vbd_gntmem. One thread. */
extern const struct vbd_gnt_ops vbd_gntmem_ops;

#endif
