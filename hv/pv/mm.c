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

static long check_entry(struct domain *d, uint64_t maddr, uint64_t val)
{
    if (!domain_owns_frame(d, maddr >> 12))
        return -EINVAL;
    if ((val & PTE_P) && !may_map(d, (val & PTE_ADDR) >> 12)) {
        domain_log(d, "maps frame %#lx, which is not its own",
                   (unsigned long)((val & PTE_ADDR) >> 12));
        return -EINVAL;
    }
    return 0;
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

/* No page that can be written to is a table: so the guest says it is none. */
static void note_writable(struct domain *d, uint64_t val)
{
    uint64_t gfn = (val & PTE_ADDR) >> 12;

    if ((val & PTE_P) && (val & PTE_RW) && domain_owns_frame(d, gfn))
        d->pv->pt_level[gfn] = 0;
}

/* A store into a table of level 2 or more makes what it points to a table. */
static long link_table(struct batch *b, unsigned int level, uint64_t val)
{
    const uint8_t *levels = b->v->d->pv->pt_level;
    uint64_t child = (val & PTE_ADDR) >> 12;

    if (level == 1)
        note_writable(b->v->d, val);
    if (level < 2 || !(val & PTE_P) || (level < 4 && (val & PTE_PS)))
        return 0;
    if (domain_owns_frame(b->v->d, child) && levels[child] == level - 1)
        return 0;
    return pin_table(b, child, level - 1);
}

/* What is no table yet gets the value as it is: a table under construction. */
static long update_entry(struct batch *b, uint64_t ptr, uint64_t val,
                         unsigned int how)
{
    struct domain *d = b->v->d;
    unsigned int level;
    long rc = ptr & 7 ? -EINVAL : check_entry(d, ptr, val);

    if (rc)
        return rc;
    level = d->pv->pt_level[ptr >> 12];
    if (level == 4 && pv_xen_slot((ptr & 4095) / 8)) {
        domain_log(d, "changes entry %u of an L4 table, the hypervisor's",
                   (unsigned int)(ptr & 4095) / 8);
        return -EINVAL;
    }
    rc = link_table(b, level, val);
    return rc ? rc : batch_add(b, ptr, level ? adjust(val) : val, how);
}

static long one_update(struct batch *b, uint64_t ptr, uint64_t val)
{
    struct domain *d = b->v->d;

    switch (ptr & 3) {
    case MMU_NORMAL_PT_UPDATE:
        return update_entry(b, ptr & ~3ull, val, MON_PTE_STORE);
    case MMU_PT_UPDATE_PRESERVE_AD:
        return update_entry(b, ptr & ~3ull, val, MON_PTE_KEEP_AD);
    case MMU_MACHPHYS_UPDATE:
        return set_m2p(d, ptr & ~3ull, val);
    default:
        return -ENOSYS;
    }
}

long do_mmu_update(struct caller *c, const uint64_t args[6])
{
    guest_addr_t list = {args[0]}, done_at = {args[2]};
    uint64_t n = args[1];
    struct batch *b;
    uint32_t i = 0;
    long rc = 0;

    if (!c->v)
        return -ENOSYS;
    if (args[3] != DOMID_SELF && args[3] != c->d->domid)
        return -EPERM;
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
    if (done_at.addr && copy_to_guest(c, done_at, &i, sizeof(i)))
        rc = -EFAULT;
    return rc;
}

/* The vCPUs of a guest's bitmap; those that it does not have do not matter. */
static long read_vcpumask(struct caller *c, uint64_t at, uint64_t *vcpus)
{
    *vcpus = 0;
    return copy_from_guest(c, vcpus, (guest_addr_t){at},
                           (c->d->max_vcpus + 7) / 8);
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
        return -ENOSYS;
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
    rc = check_entry(c->d, w.maddr, w.val);
    if (!rc)
        note_writable(c->d, w.val);
    if (!rc)
        rc = pv_write_ptes(v, &w, 1);
    return rc ? rc : flush_for(c, args[2]);
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
    d->pv->pt_level[gfn] = level;
    for (unsigned int i = 0; i < 512 && !rc; i++) {
        uint64_t e = __atomic_load_n(&t[i], __ATOMIC_RELAXED);
        bool ours = level == 4 && i >= MON_FIRST_SLOT &&
                    i < MON_FIRST_SLOT + MON_NR_SLOTS;

        if (ours || !(e & PTE_P))
            continue;
        if (level > 1 && !(level < 4 && (e & PTE_PS)))
            rc = pin_table(b, (e & PTE_ADDR) >> 12, level - 1);
        if (!rc && adjust(e) != e)
            rc = batch_add(b, (gfn << 12) + 8 * i, PTE_U | PTE_A, MON_PTE_ADD);
    }
    return rc;
}

void pv_adopt_tables(struct domain *d, uint64_t gfn, unsigned int level)
{
    uint64_t *t = domain_frame(d, gfn);

    if (!t || !domain_owns_frame(d, gfn) || d->pv->pt_level[gfn] == level)
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

/*
 * Forgets that a table is one, with what only it can lead to: the user half
 * of an L4.  Its kernel half is shared with others.
 */
static void unpin_table(struct domain *d, uint64_t gfn, unsigned int level)
{
    const uint64_t *t = domain_frame(d, gfn);

    if (!domain_owns_frame(d, gfn) || d->pv->pt_level[gfn] != level ||
        level > 4)
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
    if (!domain_owns_frame(v->d, gfn))
        return -EINVAL;
    unpin_table(v->d, gfn, v->d->pv->pt_level[gfn]);
    return 0;
}

static long new_baseptr(struct vcpu *v, uint64_t gfn, bool user)
{
    struct batch *b;
    long rc = 0;

    /* One tree for both: the user runs on the kernel's. */
    if (user && (!gfn || gfn == v->cr3 >> 12)) {
        v->user_cr3 = 0;
        return 0;
    }
    b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->v = v;
    if (!domain_owns_frame(v->d, gfn))
        rc = -EINVAL;
    else if (v->d->pv->pt_level[gfn] != 4)
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
    if (!domain_owns_frame(v->d, gfn))
        return -EINVAL;
    memset(domain_frame(v->d, gfn), 0, FRAME_SIZE);
    return 0;
}

static long flush_multi(struct caller *c, const struct mmuext_op *op)
{
    uint64_t vcpus;
    long rc = read_vcpumask(c, (uintptr_t)op->arg2.vcpumask.p, &vcpus);

    return rc ? rc : pv_flush_tlb_mask(c->v, vcpus);
}

static long mmuext(struct caller *c, const struct mmuext_op *op)
{
    struct vcpu *v = c->v;

    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        return pin(v, op->arg1.mfn, op->cmd - MMUEXT_PIN_L1_TABLE + 1);
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
    case MMUEXT_FLUSH_CACHE_GLOBAL:
        return 0;
    case MMUEXT_SET_LDT:
        return op->arg2.nr_ents ? -EINVAL : 0;
    case MMUEXT_CLEAR_PAGE:
        return clear_page(v, op->arg1.mfn);
    default:
        return -ENOSYS;
    }
}

long do_mmuext_op(struct caller *c, const uint64_t args[6])
{
    guest_addr_t list = {args[0]}, done_at = {args[2]};
    uint64_t n = args[1];
    uint32_t i = 0;
    long rc = 0;

    if (!c->v)
        return -ENOSYS;
    if (args[3] != DOMID_SELF && args[3] != c->d->domid)
        return -EPERM;
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
    if (done_at.addr && copy_to_guest(c, done_at, &i, sizeof(i)))
        rc = -EFAULT;
    return rc;
}
