/* SPDX-License-Identifier: MIT */
/*
 * mmu_update, update_va_mapping, mmuext_op: page tables of PV guests.
 *
 * A guest can harm only its own VM with them, so nothing is type-checked for
 * the host's sake; what is checked is what Xen would answer.  The stores are
 * made in guest context (pv_write_ptes), since shadow paging sees no others.
 * Source: xen/xen.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/pv/foreign.h"
#include "hv/pv/pv.h"

#define PTE_P    0x001ull
#define PTE_RW   0x002ull
#define PTE_U    0x004ull
#define PTE_A    0x020ull
#define PTE_PS   0x080ull
#define PTE_ADDR 0x000ffffffffff000ull

#define BATCH   128
#define MMU_MAX (1u << 20)

/* A guest's frame, one of hv's that it may map, or a device's window. */
static bool may_map(struct domain *d, uint64_t gfn)
{
    const struct pv_domain *pv = d->pv;

    if (domain_owns_frame(d, gfn) || gfn == d->shared_info_gfn)
        return true;
    if (gfn >= d->gnttab_gfn && gfn < d->gnttab_gfn + d->gnttab_nr)
        return true;
    if (gfn >= d->foreign_gfn && gfn < d->foreign_gfn + d->foreign_nr)
        return true;
    return d->trapped && gfn >= pv->mmio_gfn && gfn < pv->mmio_gfn + 16;
}

/* What Xen makes of a guest's entry: user accessible at every level. */
static uint64_t adjust(uint64_t val)
{
    return val & PTE_P ? val | PTE_U | PTE_A : val;
}

/* Only a domain with devices may say how memory is cached. */
static bool bad_flags(const struct domain *d, unsigned int level, uint64_t val)
{
    return (val & PTE_P) && (val & MON_PTE_REFUSED(level)) &&
           !(level < 2 && d->trapped);
}

/* No table is writable for its guest. */
static long check_writable(struct domain *d, uint64_t val)
{
    uint64_t gfn = (val & PTE_ADDR) >> 12;

    if (!(val & PTE_P) || !(val & PTE_RW) || !domain_owns_frame(d, gfn) ||
        !d->pv->pt_level[gfn])
        return 0;
    if (pv_level_now(d, gfn))
        return -EBUSY;
    d->pv->pt_level[gfn] = 0;
    return 0;
}

/* May an entry of a table of that level (0: not yet one) hold val? */
static long check_entry(struct domain *d, unsigned int level, uint64_t val)
{
    if (!(val & PTE_P))
        return 0;
    if (level && bad_flags(d, level, val))
        return -EINVAL;
    if (!may_map(d, (val & PTE_ADDR) >> 12)) {
        domain_log(d, "maps frame %#lx, which is not its own",
                   (unsigned long)((val & PTE_ADDR) >> 12));
        return level > 1 ? -EINVAL : -EPERM;
    }
    return level == 1 ? check_writable(d, val) : 0;
}

static long set_m2p(struct domain *d, uint64_t maddr, uint64_t pfn)
{
    uint64_t *m2p = domain_frame(d, d->pv->m2p_gfn);

    if (!domain_owns_frame(d, maddr >> 12))
        return -EINVAL;
    m2p[maddr >> 12] = pfn;
    return 0;
}

struct batch {
    struct vcpu *v;
    struct pte_write w[BATCH];
    unsigned int n;
    uint64_t tables; /* visited by a pin: a tree can't have more than RAM */
};

static int batch_write(struct batch *b)
{
    int rc = b->n ? pv_write_ptes(b->v, b->w, b->n) : 0;

    b->n = 0;
    return rc;
}

static int batch_add(struct batch *b, uint64_t maddr, uint64_t val,
                     unsigned int how)
{
    b->w[b->n++] = (struct pte_write){maddr & ~7ull, val, how};
    return b->n == BATCH ? batch_write(b) : 0;
}

static int pin_table(struct batch *b, uint64_t gfn, unsigned int level);

/*
 * An entry of a table of level 2 or more makes what it points to a table.  A
 * read-only one may point at the same level: that is a linear page table.
 */
static long link_table(struct batch *b, unsigned int level, uint64_t val)
{
    struct domain *d = b->v->d;
    uint64_t child = (val & PTE_ADDR) >> 12;
    unsigned int is;

    if (level < 2 || !(val & PTE_P) || (level < 4 && (val & PTE_PS)))
        return 0;
    if (!domain_owns_frame(d, child))
        return -EINVAL;
    is = pv_level(d, child);
    if (is && is != level - 1)
        is = pv_level_now(d, child);
    if (is == level - 1)
        return 0;
    if (is)
        return is == level && !(val & PTE_RW) ? 0 : -EINVAL;
    return pin_table(b, child, level - 1);
}

/* What is no table yet gets the value as it is: a table under construction. */
static long update_entry(struct batch *b, uint64_t ptr, uint64_t val,
                         unsigned int how)
{
    struct domain *d = b->v->d;
    unsigned int level;
    long rc;

    if (!domain_owns_frame(d, ptr >> 12))
        return -EINVAL;
    level = pv_level(d, ptr >> 12);
    if (level == 4 && pv_xen_slot((ptr & 4095) / 8)) {
        domain_log(d, "changes entry %u of an L4 table, the hypervisor's",
                   (unsigned int)(ptr & 4095) / 8);
        return -EINVAL;
    }
    rc = check_entry(d, level, val);
    if (!rc)
        rc = link_table(b, level, val);
    return rc ? rc : batch_add(b, ptr, level ? adjust(val) : val, how);
}

static long one_update(struct batch *b, uint64_t ptr, uint64_t val)
{
    struct domain *d = b->v->d;

    switch (ptr & 7) {
    case MMU_NORMAL_PT_UPDATE:
    case MMU_PT_UPDATE_NO_TRANSLATE:
        return update_entry(b, ptr & ~7ull, val, MON_PTE_STORE);
    case MMU_PT_UPDATE_PRESERVE_AD:
        return update_entry(b, ptr & ~7ull, val, MON_PTE_KEEP_AD);
    case MMU_MACHPHYS_UPDATE:
        return set_m2p(d, ptr & ~7ull, val);
    default:
        return -ENOSYS;
    }
}

/* None but its own, though there is a way to say so. */
static long check_foreign(struct caller *c, uint64_t domid)
{
    struct domain *d;
    long rc;

    if (domid == DOMID_SELF || domid == c->d->domid)
        return 0;
    if (domid == DOMID_IO || domid == DOMID_XEN)
        return -EPERM;
    d = domain_get(c->d->hv, domid);
    rc = d ? -EPERM : -ESRCH;
    if (d)
        domain_put(d);
    return rc;
}

/* How many of a list's n elements the monitor has done. */
static uint32_t done_ops(const struct vcpu *v, uint64_t n)
{
    return v->done_ops < n ? v->done_ops : n;
}

long do_mmu_update(struct caller *c, const uint64_t args[6])
{
    guest_addr_t list = {args[0]}, done_at = {args[2]};
    uint64_t n = args[1];
    struct batch *b;
    uint32_t i;
    long rc = 0;

    if (!c->v)
        return -ENOSYS;
    i = done_ops(c->v, n);
    rc = check_foreign(c, (domid_t)args[3]);
    if (rc)
        return rc;
    if (n > MMU_MAX)
        return -EINVAL;
    b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->v = c->v;
    for (; i < n && !rc; i++) {
        struct mmu_update u;

        rc = vcpu_preempt(c->v) ? -EINTR : 0;
        if (!rc)
            rc = copy_from_guest(c, &u, guest_addr_index(list, i, sizeof(u)),
                                 sizeof(u));
        if (!rc)
            rc = one_update(b, u.ptr, u.val);
    }
    if (rc && i)
        i--;
    if (batch_write(b))
        rc = -EFAULT;
    free(b);
    /* As Xen: nobody minds if that is nowhere. */
    if (done_at.addr)
        (void)copy_to_guest(c, done_at, &i, sizeof(i));
    return rc;
}

/* The vCPUs of a guest's bitmap; those that it does not have do not matter. */
static long read_vcpumask(struct caller *c, uint64_t at, uint64_t *vcpus)
{
    *vcpus = 0;
    return copy_from_guest(c, vcpus, (guest_addr_t){at},
                           (c->d->max_vcpus + 7) / 8)
               ? -EFAULT
               : 0;
}

static long flush_for(struct caller *c, uint64_t flags)
{
    uint64_t who = flags & ~(uint64_t)UVMF_FLUSHTYPE_MASK, vcpus;
    long rc = 0;

    switch (flags & UVMF_FLUSHTYPE_MASK) {
    case UVMF_NONE:
        return 0;
    case UVMF_TLB_FLUSH:
    case UVMF_INVLPG:
        if (who == UVMF_LOCAL)
            return pv_flush_tlb(c->v);
        vcpus = PV_ALL_VCPUS;
        if (who != UVMF_ALL)
            rc = read_vcpumask(c, who, &vcpus);
        return rc ? rc : pv_flush_tlb_mask(c->v, vcpus);
    default:
        return 0;
    }
}

long do_update_va_mapping(struct caller *c, const uint64_t args[6])
{
    struct vcpu *v = c->v;
    struct pte_write w = {.how = MON_PTE_STORE};
    long rc;

    if (!v)
        return -ENOSYS;
    if (guest_va_to_pte(v, args[0], &w.maddr))
        return -EINVAL;
    w.val = adjust(args[1]);
    rc = check_entry(c->d, 1, w.val);
    if (!rc)
        rc = pv_write_ptes(v, &w, 1);
    return rc ? rc : flush_for(c, args[2]);
}

long do_update_va_mapping_otherdomain(struct caller *c, const uint64_t args[6])
{
    long rc = c->v ? check_foreign(c, (domid_t)args[3]) : -ENOSYS;

    return rc ? rc : do_update_va_mapping(c, args);
}

/* ---- faults that Xen settles ---- */

/* True if entry e at maddr was given the bit, if it is still there. */
static bool give_bit(struct vcpu *v, uint64_t maddr, uint64_t e, uint64_t bit)
{
    struct pte_write w = {maddr, bit, MON_PTE_ADD};

    return !(e & bit) && !pv_write_ptes(v, &w, 1);
}

static long pin(struct vcpu *v, uint64_t gfn, unsigned int level);

/*
 * Tables that the guest once wrote to are writable for it ever after, and what
 * it links in there is not seen: then look through all of the current tree.
 */
static bool is_table(struct vcpu *v, uint64_t gfn)
{
    const uint8_t *levels = v->d->pv->pt_level;

    if (!domain_owns_frame(v->d, gfn))
        return false;
    if (!levels[gfn])
        pin(v, v->cr3 >> 12, 4);
    return levels[gfn];
}

bool pv_fix_fault(struct vcpu *v, uint64_t va, uint32_t error)
{
    struct domain *d = v->d;
    uint64_t table = v->cr3 & PTE_ADDR, e, at;
    unsigned int slot = va >> 39 & 511;
    bool fixed = false;

    if (slot >= MON_FIRST_SLOT && slot < MON_FIRST_SLOT + MON_NR_SLOTS)
        return false;
    for (int level = 3; level >= 0; level--) {
        const uint64_t *t = domain_frame(d, table >> 12);

        at = table + 8 * (va >> (12 + 9 * level) & 511);
        e = t ? __atomic_load_n(&t[(at & 4095) / 8], __ATOMIC_RELAXED) : 0;
        if (!(e & PTE_P))
            return false;
        fixed |= give_bit(v, at, e, PTE_U);
        table = e & PTE_ADDR;
        if (level && level < 3 && (e & PTE_PS))
            break;
    }
    if ((error & PFEC_WRITE) && slot >= 256 && !(e & PTE_RW) &&
        (atomic_load(&d->vm_assist) & 1ul << VMASST_TYPE_writable_pagetables) &&
        is_table(v, table >> 12))
        fixed |= give_bit(v, at, e | PTE_U, PTE_RW);
    if (fixed)
        pv_flush_tlb(v);
    return fixed;
}

/* ---- pinning ---- */

/* Adds what Xen adds to every entry of a table tree that becomes one. */
static int pin_table(struct batch *b, uint64_t gfn, unsigned int level)
{
    struct domain *d = b->v->d;
    const uint64_t *t = domain_frame(d, gfn);
    int rc = 0;

    if (!t || !domain_owns_frame(d, gfn) || b->tables++ > d->max_pages)
        return -EINVAL;
    if (vcpu_preempt(b->v))
        return -EINTR;
    d->pv->pt_level[gfn] = level | (d->pv->pt_level[gfn] & MON_LEVEL_PINNED);
    for (unsigned int i = 0; i < 512 && !rc; i++) {
        uint64_t e = __atomic_load_n(&t[i], __ATOMIC_RELAXED);

        if ((level == 4 && pv_xen_slot(i)) || !(e & PTE_P))
            continue;
        rc = check_entry(d, level, e);
        if (!rc)
            rc = link_table(b, level, e);
        if (!rc && adjust(e) != e)
            rc = batch_add(b, (gfn << 12) + 8 * i, PTE_U | PTE_A, MON_PTE_ADD);
    }
    return rc;
}

void pv_adopt_tables(struct domain *d, uint64_t gfn, unsigned int level)
{
    uint64_t *t = domain_frame(d, gfn);

    if (!t || !domain_owns_frame(d, gfn) || pv_level(d, gfn) == level)
        return;
    d->pv->pt_level[gfn] = level;
    for (unsigned int i = 0; i < 512; i++) {
        if (!(t[i] & PTE_P) || (level == 4 && pv_xen_slot(i)))
            continue;
        t[i] = adjust(t[i]);
        if (level > 1 && !(level < 4 && (t[i] & PTE_PS)))
            pv_adopt_tables(d, (t[i] & PTE_ADDR) >> 12, level - 1);
    }
}

static int install_slots(struct batch *b, uint64_t l4, bool user)
{
    const uint64_t *t = domain_frame(b->v->d, l4);
    int rc = 0;

    if (!t || !domain_owns_frame(b->v->d, l4))
        return -EINVAL;
    for (unsigned int i = 0; i < MON_NR_SLOTS && !rc; i++) {
        uint64_t e = pv_slot_entry(b->v->d, i, user);

        if (t[MON_FIRST_SLOT + i] != e)
            rc = batch_add(b, (l4 << 12) + 8 * (MON_FIRST_SLOT + i), e,
                           MON_PTE_STORE);
    }
    return rc;
}

static long pin(struct vcpu *v, uint64_t gfn, unsigned int level)
{
    struct batch *b = calloc(1, sizeof(*b));
    long rc;

    if (!b)
        return -ENOMEM;
    b->v = v;
    rc = pin_table(b, gfn, level);
    if (!rc && level == 4)
        rc = install_slots(b, gfn, false);
    if (!rc)
        rc = batch_write(b);
    free(b);
    return rc;
}

/* MMUEXT_PIN_Ln_TABLE, once for each table. */
static long pin_for_guest(struct vcpu *v, uint64_t gfn, unsigned int level)
{
    struct domain *d = v->d;
    unsigned int is;
    long rc;

    if (!domain_owns_frame(d, gfn) || (d->pv->pt_level[gfn] & MON_LEVEL_PINNED))
        return -EINVAL;
    is = pv_level(d, gfn);
    if (is && is != level && pv_level_now(d, gfn))
        return -EINVAL;
    /* From now on, so that a count of the types finds what is below. */
    d->pv->pt_level[gfn] = level | MON_LEVEL_PINNED;
    rc = pin(v, gfn, level);
    if (rc) {
        d->pv->pt_level[gfn] = level;
        (void)pv_level_now(d, gfn); /* what was marked on the way */
    }
    return rc;
}

/*
 * Forgets that a table is one, with what only it can lead to: the user half
 * of an L4.  Its kernel half is shared with others.
 */
static void unpin_table(struct domain *d, uint64_t gfn, unsigned int level)
{
    const uint64_t *t = domain_frame(d, gfn);

    /* One that is pinned as well stays, with what is below. */
    if (!domain_owns_frame(d, gfn) || d->pv->pt_level[gfn] != level)
        return;
    d->pv->pt_level[gfn] = 0;
    for (unsigned int i = 0; level > 1 && i < (level == 4 ? 256 : 512); i++) {
        uint64_t e = __atomic_load_n(&t[i], __ATOMIC_RELAXED);

        if ((e & PTE_P) && !(level < 4 && (e & PTE_PS)))
            unpin_table(d, (e & PTE_ADDR) >> 12, level - 1);
    }
}

static long unpin(struct vcpu *v, uint64_t gfn)
{
    uint8_t *level;

    if (!domain_owns_frame(v->d, gfn))
        return -EINVAL;
    level = &v->d->pv->pt_level[gfn];
    if (!(*level & MON_LEVEL_PINNED))
        return -EINVAL;
    *level &= MON_LEVEL_MASK;
    unpin_table(v->d, gfn, *level);
    return 0;
}

/* Costly for what is no table yet, but guests pin what they load. */
static bool may_be_l4(struct domain *d, uint64_t gfn)
{
    bool writable;

    if (pv_level(d, gfn) == 4)
        return true;
    writable = pv_mapped_writable(d, gfn);
    return pv_level(d, gfn) ? pv_level(d, gfn) == 4 : !writable;
}

static long new_baseptr(struct vcpu *v, uint64_t gfn, bool user)
{
    struct domain *d = v->d;
    struct batch *b;
    long rc = 0;

    /* One tree for both: the user runs on the kernel's. */
    if (user && (!gfn || gfn == v->cr3 >> 12)) {
        v->user_cr3 = 0;
        return 0;
    }
    if (!domain_owns_frame(d, gfn) || !may_be_l4(d, gfn))
        return -EINVAL;
    b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->v = v;
    if (pv_level(d, gfn) != 4)
        rc = pin_table(b, gfn, 4);
    if (!rc)
        rc = install_slots(b, gfn, user);
    if (!rc)
        rc = batch_write(b);
    free(b);
    if (rc)
        return rc;
    if (user) {
        v->user_cr3 = gfn << 12;
        return 0;
    }
    return pv_load_cr3(v, gfn << 12);
}

long pv_new_baseptr(struct vcpu *v, uint64_t gfn)
{
    return new_baseptr(v, gfn, false);
}

static long clear_page(struct vcpu *v, uint64_t gfn)
{
    if (!domain_owns_frame(v->d, gfn) || pv_level_now(v->d, gfn))
        return -EINVAL;
    memset(domain_frame(v->d, gfn), 0, FRAME_SIZE);
    return 0;
}

static long copy_page(struct vcpu *v, uint64_t to, uint64_t from)
{
    if (!domain_owns_frame(v->d, from) || !domain_owns_frame(v->d, to) ||
        pv_level_now(v->d, to))
        return -EINVAL;
    memmove(domain_frame(v->d, to), domain_frame(v->d, from), FRAME_SIZE);
    return 0;
}

static long flush_multi(struct caller *c, const struct mmuext_op *op)
{
    uint64_t vcpus;
    long rc = read_vcpumask(c, (uintptr_t)op->arg2.vcpumask.p, &vcpus);

    return rc ? -EINVAL : pv_flush_tlb_mask(c->v, vcpus);
}

static long mmuext(struct caller *c, const struct mmuext_op *op)
{
    struct vcpu *v = c->v;

    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        return pin_for_guest(v, op->arg1.mfn,
                             op->cmd - MMUEXT_PIN_L1_TABLE + 1);
    case MMUEXT_UNPIN_TABLE:
        return unpin(v, op->arg1.mfn);
    case MMUEXT_NEW_BASEPTR:
        return new_baseptr(v, op->arg1.mfn, false);
    case MMUEXT_NEW_USER_BASEPTR:
        return new_baseptr(v, op->arg1.mfn, true);
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_INVLPG_LOCAL:
        return pv_flush_tlb(v);
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI:
        return flush_multi(c, op);
    case MMUEXT_TLB_FLUSH_ALL:
    case MMUEXT_INVLPG_ALL:
        return pv_flush_tlb_mask(v, PV_ALL_VCPUS);
    case MMUEXT_FLUSH_CACHE:
        return -EACCES; /* for domains with devices */
    case MMUEXT_FLUSH_CACHE_GLOBAL:
        return -EINVAL;
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
        return -EOPNOTSUPP;
    case MMUEXT_SET_LDT:
        return pv_set_ldt(v, op->arg1.linear_addr, op->arg2.nr_ents);
    case MMUEXT_CLEAR_PAGE:
        return clear_page(v, op->arg1.mfn);
    case MMUEXT_COPY_PAGE:
        return copy_page(v, op->arg1.mfn, op->arg2.src_mfn);
    default:
        return -ENOSYS;
    }
}

long do_mmuext_op(struct caller *c, const uint64_t args[6])
{
    guest_addr_t list = {args[0]}, done_at = {args[2]};
    uint64_t n = args[1];
    uint32_t i;
    long rc = 0;

    if (!c->v)
        return -ENOSYS;
    i = done_ops(c->v, n);
    rc = check_foreign(c, (domid_t)args[3]);
    if (rc)
        return rc;
    if (n > MMU_MAX)
        return -EINVAL;
    for (; i < n && !rc; i++) {
        struct mmuext_op op;

        rc = vcpu_preempt(c->v) ? -EINTR : 0;
        if (!rc)
            rc = copy_from_guest(c, &op, guest_addr_index(list, i, sizeof(op)),
                                 sizeof(op));
        if (!rc)
            rc = mmuext(c, &op);
    }
    if (rc && i)
        i--;
    /* As Xen: nobody minds if that is nowhere. */
    if (done_at.addr)
        (void)copy_to_guest(c, done_at, &i, sizeof(i));
    return rc;
}
