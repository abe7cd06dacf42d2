/* SPDX-License-Identifier: MIT */
/* The monitor: guest memory, and the hypercalls on page tables. */
#include "hv/pv/monitor_c.h"

int mon_get_words(uint64_t va, uint64_t *to, unsigned int n)
{
    if (!guest_va(va) || !guest_va(va + 8 * n))
        return SLOW;
    for (unsigned int i = 0; i < n; i++)
        if (mon_get(va + 8 * i, &to[i]))
            return SLOW;
    return DONE;
}

int mon_put_word(uint64_t va, uint64_t val)
{
    return guest_va(va) && guest_va(va + 8) ? mon_put(va, val) : SLOW;
}

static bool hv_slot(unsigned int level, uint64_t maddr)
{
    uint64_t i = (maddr & 4095) / 8;

    return level == 4 && i >= XEN_FIRST_SLOT &&
           i < XEN_FIRST_SLOT + XEN_NR_SLOTS;
}

static bool is_pinned(const struct mon_vcpu *m, uint64_t gfn)
{
    return ((const uint8_t *)m->levels)[gfn] & MON_LEVEL_PINNED;
}

static void set_level(const struct mon_vcpu *m, uint64_t gfn,
                      unsigned int level, unsigned int pinned)
{
    ((uint8_t *)m->levels)[gfn] = level | pinned;
}

static void set_slots(const struct mon_vcpu *m, uint64_t l4, bool user)
{
    volatile uint64_t *e = at_maddr(l4 << 12) + MON_FIRST_SLOT;

    for (unsigned int i = 0; i < MON_NR_SLOTS; i++) {
        uint64_t val = !user ? m->slot_kernel[i] : i ? 0 : m->slot_user;

        if (e[i] != val)
            e[i] = val;
    }
}

/* Makes a tree one of tables, with the bits that Xen adds to entries. */
static int pin_tree(const struct mon_vcpu *m, uint64_t gfn, unsigned int level)
{
    volatile uint64_t *t = at_maddr(gfn << 12);

    if (gfn >= m->max_pages || (level_of(m, gfn) && level_of(m, gfn) != level))
        return SLOW;
    set_level(m, gfn, level, is_pinned(m, gfn) ? MON_LEVEL_PINNED : 0);
    for (unsigned int i = 0; i < 512; i++) {
        uint64_t e = t[i];

        if (!(e & PTE_P) || hv_slot(level, gfn << 12 | 8 * i))
            continue;
        if ((e & MON_PTE_REFUSED(level)) ||
            (e & PTE_ADDR) >> 12 >= m->max_pages ||
            (level == 1 && (e & PTE_RW) && level_of(m, (e & PTE_ADDR) >> 12)))
            return SLOW;
        if (level > 1 && level_of(m, (e & PTE_ADDR) >> 12) != level - 1 &&
            pin_tree(m, (e & PTE_ADDR) >> 12, level - 1))
            return SLOW;
        if ((e & (PTE_U | PTE_A)) != (PTE_U | PTE_A))
            __sync_fetch_and_or(&t[i], PTE_U | PTE_A);
    }
    if (level == 4)
        set_slots(m, gfn, false);
    return DONE;
}

/* Its kernel half is shared with others and stays. */
static void unpin_tree(const struct mon_vcpu *m, uint64_t gfn,
                       unsigned int level)
{
    volatile uint64_t *t = at_maddr(gfn << 12);

    if (!level || level_of(m, gfn) != level || is_pinned(m, gfn))
        return;
    set_level(m, gfn, 0, 0);
    for (unsigned int i = 0; level > 1 && i < (level == 4 ? 256 : 512); i++) {
        uint64_t e = t[i];

        if ((e & PTE_P) && !(level < 4 && (e & PTE_PS)))
            unpin_tree(m, (e & PTE_ADDR) >> 12, level - 1);
    }
}

static int pin(const struct mon_vcpu *m, uint64_t gfn, unsigned int level)
{
    if (gfn >= m->max_pages || is_pinned(m, gfn) || pin_tree(m, gfn, level))
        return SLOW;
    set_level(m, gfn, level, MON_LEVEL_PINNED);
    return DONE;
}

static int unpin(const struct mon_vcpu *m, uint64_t gfn)
{
    unsigned int level = level_of(m, gfn);

    if (!level || !is_pinned(m, gfn))
        return SLOW;
    set_level(m, gfn, level, 0);
    unpin_tree(m, gfn, level);
    return DONE;
}

/* May an entry of a table of that level hold val?  Its child becomes one. */
static int point(const struct mon_vcpu *m, unsigned int level, uint64_t val)
{
    uint64_t gfn = (val & PTE_ADDR) >> 12;

    if (!(val & PTE_P))
        return DONE;
    if (gfn >= m->max_pages || (level && (val & MON_PTE_REFUSED(level))))
        return SLOW;
    /* hv knows whether it still is a table. */
    if (level == 1 && (val & PTE_RW) && level_of(m, gfn))
        return SLOW;
    if (level <= 1 || level_of(m, gfn) == level - 1)
        return DONE;
    return pin_tree(m, gfn, level - 1);
}

static int write_pte(struct mon_vcpu *m, unsigned int level, uint64_t maddr,
                     uint64_t val, bool keep_ad)
{
    volatile uint64_t *e = at_maddr(maddr);
    uint64_t old;

    if (maddr >> 12 >= m->max_pages || hv_slot(level, maddr) ||
        point(m, level, val))
        return SLOW;
    m->count[MON_PTES]++;
    if (level != 1)
        m->flush |= m->lazy;
    if (level && (val & PTE_P))
        val |= PTE_U | PTE_A;
    if (!keep_ad) {
        *e = val;
        return DONE;
    }
    do
        old = *e;
    while (
        !__sync_bool_compare_and_swap(e, old, val | (old & (PTE_A | PTE_D))));
    return DONE;
}

static int mmu_one(struct mon_vcpu *m, uint64_t ptr, uint64_t val)
{
    switch (ptr & 7) {
    case MMU_NORMAL_PT_UPDATE:
    case MMU_PT_UPDATE_PRESERVE_AD:
        return write_pte(m, level_of(m, ptr >> 12), ptr & ~7ull, val, ptr & 2);
    case MMU_MACHPHYS_UPDATE:
        if (ptr >> 12 >= m->max_pages)
            return SLOW;
        ((uint64_t *)m->m2p)[ptr >> 12] = val;
        return DONE;
    default:
        return SLOW;
    }
}

int mon_mmu_update(struct mon_vcpu *m, const uint64_t a[6])
{
    uint64_t u[2];

    if (a[3] != DOMID_SELF || a[1] > LIST_MAX)
        return SLOW;
    for (uint64_t i = 0; i < a[1]; i++, m->done_ops++)
        if (mon_get_words(a[0] + 16 * i, u, 2) || mmu_one(m, u[0], u[1]))
            return SLOW;
    if (!a[2])
        return DONE;
    /* 32 bits, and the guest's: read, change, write. */
    if (mon_get_words(a[2], u, 1))
        return SLOW;
    return mon_put_word(a[2], (u[0] & ~0xffffffffull) | a[1]);
}

uint64_t mon_walk(const struct mon_vcpu *m, uint64_t va, bool *user)
{
    uint64_t table = m->kernel_cr3 & PTE_ADDR;

    *user = true;
    for (int level = 3; level; level--) {
        uint64_t e;

        if (table >> 12 >= m->max_pages)
            return 0;
        e = *at_maddr(table + 8 * (va >> (12 + 9 * level) & 511));
        if (!(e & PTE_P) || (e & PTE_PS))
            return 0;
        *user &= !!(e & PTE_U);
        table = e & PTE_ADDR;
    }
    return table >> 12 < m->max_pages ? table + 8 * (va >> 12 & 511) : 0;
}

int mon_update_va_mapping(struct mon_vcpu *m, const uint64_t a[6])
{
    uint64_t how = a[2] & UVMF_FLUSHTYPE_MASK, pte;
    uint64_t who = a[2] & ~(uint64_t)UVMF_FLUSHTYPE_MASK;
    bool user;

    if (how > UVMF_INVLPG || !guest_va(a[0]))
        return SLOW;
    if (how && who && (!m->alone || who != UVMF_ALL))
        return SLOW;
    pte = mon_walk(m, a[0], &user);
    if (!pte || write_pte(m, 1, pte, a[1], false))
        return SLOW;
    if (how)
        m->flush = 1;
    return DONE;
}

/*
 * Linux changes its text on tables of their own, thousands of times when it
 * boots, and goes back to tables that have no user half.  There the CPU may
 * stay on those it has, if the kernel is the same on both: till the next
 * change to any tables, with one vCPU, on which nobody else can free them.
 */
static bool may_stay(const struct mon_vcpu *m, uint64_t gfn)
{
    const volatile uint64_t *to = at_maddr(gfn << 12);
    const volatile uint64_t *on = at_maddr(m->kernel_cr3 & PTE_ADDR);

    if (!m->alone || m->lazy || level_of(m, m->kernel_cr3 >> 12) != 4)
        return false;
    for (unsigned int i = 0; i < 256; i++)
        if (to[i])
            return false;
    for (unsigned int i = 256; i < 512; i++)
        if ((to[i] ^ on[i]) & ~(PTE_A | PTE_D))
            return false;
    return true;
}

static int new_baseptr(struct mon_vcpu *m, uint64_t gfn)
{
    if (level_of(m, gfn) != 4)
        return SLOW;
    set_slots(m, gfn, false);
    m->lazy = may_stay(m, gfn);
    m->flush |= !m->lazy;
    m->kernel_cr3 = m->swap_rcx = gfn << 12;
    return DONE;
}

static int new_user_baseptr(struct mon_vcpu *m, uint64_t gfn)
{
    if (gfn && (level_of(m, gfn) != 4 || gfn == m->kernel_cr3 >> 12))
        return SLOW;
    if (gfn)
        set_slots(m, gfn, true);
    m->user_cr3 = gfn << 12;
    return DONE;
}

static int mmuext_one(struct mon_vcpu *m, const struct mmuext_op *op)
{
    uint64_t vcpus;

    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
        m->flush |= m->lazy;
        return pin(m, op->arg1.mfn, op->cmd - MMUEXT_PIN_L1_TABLE + 1);
    case MMUEXT_UNPIN_TABLE:
        m->flush |= m->lazy;
        return unpin(m, op->arg1.mfn);
    case MMUEXT_NEW_BASEPTR:
        return new_baseptr(m, op->arg1.mfn);
    case MMUEXT_NEW_USER_BASEPTR:
        return new_user_baseptr(m, op->arg1.mfn);
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI:
        /* Whoever is named, but somebody must be. */
        if (mon_get_words((uint64_t)op->arg2.vcpumask & ~7ull, &vcpus, 1))
            return SLOW;
        /* fall through */
    case MMUEXT_TLB_FLUSH_ALL:
    case MMUEXT_INVLPG_ALL:
        if (!m->alone)
            return SLOW;
        /* fall through */
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_INVLPG_LOCAL:
        m->flush = 1;
        return DONE;
    default:
        return SLOW;
    }
}

int mon_mmuext_op(struct mon_vcpu *m, const uint64_t a[6])
{
    union {
        uint64_t word[3];
        struct mmuext_op op;
    } u;

    if (a[3] != DOMID_SELF || a[1] > LIST_MAX || a[2])
        return SLOW;
    for (uint64_t i = 0; i < a[1]; i++, m->done_ops++)
        if (mon_get_words(a[0] + sizeof(u) * i, u.word, 3) ||
            mmuext_one(m, &u.op))
            return SLOW;
    return DONE;
}
