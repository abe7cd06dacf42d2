/* SPDX-License-Identifier: MIT */
/*
 * Foreign pages: another domain's frames, shown to a guest in the window of
 * frames reserved for them, and the guest page-table entries that map them.
 *
 * Called without grant locks held.
 */
#ifndef HV_PV_FOREIGN_H
#define HV_PV_FOREIGN_H

#include <stdbool.h>
#include <stdint.h>

struct domain;
struct vcpu;

/* Makes d's empty window, after its memory. 0 or -Exxx. */
int foreign_window_init(struct domain *d);
void foreign_window_free(struct domain *d);

/*
 * Puts frame rgfn of rd into a free frame of d's window, at *gfn; readonly is
 * enforced by the mapping.  The caller holds a reference to rd until
 * foreign_window_unmap().  0, -ENOSPC (window full), or -Exxx.
 */
int foreign_window_map(struct domain *d, struct domain *rd, uint64_t rgfn,
                       bool readonly, uint64_t *gfn);

/*
 * Takes frame gfn of the window back.  0: the guest can no longer reach the
 * page; -ENOMEM: it can, hv has as many mappings as a process may have.
 */
int foreign_window_unmap(struct domain *d, uint64_t gfn);

/*
 * Writes a page-table entry of v's domain at machine address pte_maddr (8-byte
 * aligned).  val is in the guest's form: bits that Xen adds (USER) are the
 * callee's to add.  Only from v's own thread.  0, or -EINVAL: not in the
 * domain's memory.
 */
int guest_pte_write(struct vcpu *v, uint64_t pte_maddr, uint64_t val);

/*
 * The machine address of the L1 entry that maps va in v's current tables.
 * 0, or -EFAULT: there is no L1 table there.
 */
int guest_va_to_pte(struct vcpu *v, uint64_t va, uint64_t *pte_maddr);

#endif
