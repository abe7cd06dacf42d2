/* SPDX-License-Identifier: MIT */
/* Misuse of page tables: pins, mappings, entries, the hypervisor's slots. */
#include "frontends/guests/badguest/bad.h"
#include "frontends/include/hypercall.h"

#define PRESENT   0x1ul
#define TABLE     0x27ul /* present, writable, user, accessed */
#define ENTRIES   512ul
#define XEN_SLOTS 256ul
#define HUGE      (1ul << 40)

static long mmuext(unsigned int cmd, unsigned long mfn)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.mfn = mfn};

    return hypercall(__HYPERVISOR_mmuext_op, (unsigned long)&op, 1, 0,
                     DOMID_SELF, 0);
}

static long mmu_update(uint64_t ptr, uint64_t val)
{
    struct mmu_update u = {.ptr = ptr, .val = val};

    return hypervisor_mmu_update(&u, 1);
}

static uint64_t *l4_table(void)
{
    return (uint64_t *)start_info()->pt_base;
}

/* Code, data and free pages, and frames that are nobody's or Xen's. */
void bad_pins(void)
{
    static const unsigned long nowhere[] = {HUGE, ~0ul, 1ul << 52, ~0ul >> 12,
                                            0xfee00};
    unsigned int refused = 0, taken = 0;
    uint64_t rng = time_ns() | 1;
    unsigned int i, cmd;
    uint64_t *junk;

    for (cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_UNPIN_TABLE; cmd++)
        for (i = 0; i < ARRAY_SIZE(nowhere); i++)
            refused += mmuext(cmd, nowhere[i]) < 0;
    for (i = 0; i < 64; i++)
        refused += mmuext(MMUEXT_PIN_L1_TABLE + i % 4,
                          start_info()->nr_pages + i * 16) < 0;
    for (i = 0; i < 200; i++) {
        unsigned int n;

        junk = page_alloc(1);
        if (!junk)
            break;
        for (n = 0; n < ENTRIES; n++)
            junk[n] = prng_next(&rng) >> prng_next(&rng) % 40;
        if (mmuext(MMUEXT_PIN_L1_TABLE + i % 4, virt_to_mfn(junk)) < 0)
            refused++;
        else
            taken++;
        mmuext(MMUEXT_UNPIN_TABLE, virt_to_mfn(junk));
        mmuext(MMUEXT_UNPIN_TABLE, virt_to_mfn(junk));
    }
    refused += mmuext(MMUEXT_NEW_BASEPTR, HUGE) < 0;
    refused += mmuext(MMUEXT_NEW_USER_BASEPTR, HUGE) < 0;
    printf("badguest: nonsense pinned: %u refused, %u taken\n", refused, taken);
}

void bad_maps(void)
{
    char *va = page_alloc(1);
    unsigned long frames = start_info()->nr_pages, mfn;
    unsigned int refused = 0, tried = 0;

    for (mfn = frames; mfn < 4 * HUGE; mfn += mfn / 8 + 1, tried++)
        refused += hypervisor_update_va_mapping((unsigned long)va,
                                                mfn << PAGE_SHIFT | TABLE,
                                                UVMF_INVLPG | UVMF_ALL) < 0;
    for (mfn = frames; mfn < 4 * HUGE; mfn += mfn / 8 + 1, tried++)
        refused += mmu_update(mfn << PAGE_SHIFT, 0) < 0;
    for (mfn = 0; mfn < 16; mfn++, tried++)
        refused += hypervisor_update_va_mapping(
                       0xffff800000000000ul + (mfn << 36), TABLE, 0) < 0;
    printf("badguest: %u of %u mappings beyond its memory refused\n", refused,
           tried);
}

/* The hypervisor's own entries, by a hypercall: refused. */
void bad_slots(void)
{
    uint64_t *mine = page_alloc(1);
    uint64_t l4 = virt_to_machine(l4_table());
    unsigned int refused = 0, i;

    for (i = 0; i < 16; i++) {
        refused += mmu_update(l4 + 8 * (XEN_SLOTS + i), 0) < 0;
        refused += mmu_update(l4 + 8 * (XEN_SLOTS + i),
                              virt_to_machine(mine) | TABLE) < 0;
    }
    printf("badguest: %u of 32 entries in the hypervisor's slots refused\n",
           refused);
}

/* From now on Xen emulates stores into tables, which are read-only to us. */
static void stores_on(void)
{
    hypercall(__HYPERVISOR_vm_assist, VMASST_CMD_enable,
              VMASST_TYPE_writable_pagetables, 0, 0, 0);
}

/* The same by stores.  There is no way on from that. */
void bad_own_slot(void)
{
    uint64_t *l4 = l4_table();
    unsigned int i;

    stores_on();
    for (i = 0; i < 16; i++)
        l4[XEN_SLOTS + i] = 0;
    mmuext(MMUEXT_TLB_FLUSH_ALL, 0);
    mmuext(MMUEXT_NEW_BASEPTR, virt_to_mfn(l4_table()));
    for (;;)
        evtchn_send(start_info()->store_evtchn);
}

/* Random entries of live tables change, by stores and by hypercalls. */
void bad_flips(void)
{
    const struct start_info *si = start_info();
    uint64_t rng = time_ns() | 1;
    unsigned int n;

    stores_on();
    for (n = 0; n < 1000000; n++) {
        unsigned long page = prng_next(&rng) % si->nr_pt_frames;
        uint64_t *t = (uint64_t *)(si->pt_base + page * PAGE_SIZE);
        unsigned long i = prng_next(&rng) % ENTRIES;
        uint64_t val = t[i] ^ 1ul << prng_next(&rng) % 64;

        if (n % 2)
            mmu_update(virt_to_machine(&t[i]), val);
        else
            t[i] = val; /* read-only to us: Xen emulates the store */
    }
}

/* Every entry of one frame leads to it, whatever level it is. */
void bad_loops(void)
{
    uint64_t *a = page_alloc(1), *l4 = page_alloc(1);
    uint64_t start = time_ns();
    unsigned int i;
    long rc[4];

    for (i = 0; i < ENTRIES; i++) {
        a[i] = virt_to_machine(a) | TABLE;
        l4[i] = i >= XEN_SLOTS && i < XEN_SLOTS + 16
                    ? 0
                    : virt_to_machine(a) | TABLE;
    }
    for (i = 0; i < 4; i++)
        rc[i] = mmuext(MMUEXT_PIN_L4_TABLE - i, virt_to_mfn(i ? a : l4));
    printf(
        "badguest: tables that lead to themselves: %ld %ld %ld %ld, %lu ms\n",
        rc[0], rc[1], rc[2], rc[3], (time_ns() - start) / NSEC_PER_MSEC);
}

/* ---- two vCPUs at one table ---- */

#define RACE_NS (2 * NSEC_PER_SEC)

struct race {
    uint64_t *table[4]; /* of level i + 1, each leading to the one before */
    void *page;
    volatile bool over;
    volatile unsigned int done;
};

static void race_step(struct race *r, uint64_t *rng)
{
    unsigned int level = prng_next(rng) % 4;
    uint64_t *t = r->table[level];
    unsigned long i = prng_next(rng) % ENTRIES;
    uint64_t to =
        virt_to_machine(level ? (void *)r->table[level - 1] : r->page);

    switch (prng_next(rng) % 6) {
    case 0:
        mmuext(MMUEXT_PIN_L1_TABLE + level, virt_to_mfn(t));
        break;
    case 1:
        mmuext(MMUEXT_UNPIN_TABLE, virt_to_mfn(t));
        break;
    case 2:
        mmu_update(virt_to_machine(t + i), to | TABLE);
        break;
    case 3:
        mmu_update(virt_to_machine(t + i) | MMU_PT_UPDATE_PRESERVE_AD, 0);
        break;
    case 4:
        hypervisor_update_va_mapping((unsigned long)t,
                                     virt_to_machine(t) | (TABLE & ~(i & 2)),
                                     UVMF_INVLPG | UVMF_ALL);
        break;
    default:
        mmuext(i % 2 ? MMUEXT_TLB_FLUSH_ALL : MMUEXT_NEW_USER_BASEPTR,
               virt_to_mfn(r->table[3]));
    }
}

static void racer(void *arg)
{
    struct race *r = arg;
    uint64_t rng = time_ns() | 1;

    while (!r->over)
        race_step(r, &rng);
    __sync_fetch_and_add(&r->done, 1);
}

void bad_race(void)
{
    static struct race r;
    uint64_t end = time_ns() + RACE_NS, rng = 12345;
    unsigned int i, others = smp_count() - 1;
    unsigned long n;

    for (i = 0; i < 4; i++)
        r.table[i] = page_alloc(1);
    r.page = page_alloc(1);
    for (i = 1; i <= others; i++)
        smp_start(i, racer, &r);
    for (n = 0; time_ns() < end; n++)
        race_step(&r, &rng);
    r.over = true;
    while (r.done < others)
        SCHED_OP(yield, NULL);
    printf("badguest: %u vCPUs changed the same tables, one %lu times\n",
           others + 1, n);
}
