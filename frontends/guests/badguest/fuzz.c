/* SPDX-License-Identifier: MIT */
/*
 * Random hypercalls with arguments that are nearly right, from all vCPUs at
 * once. What would only end the guest itself is left out: where its own tables,
 * handlers and stacks are; bad.h has deeds for that.
 *   seed=1 seconds=5
 */
#include "frontends/guests/badguest/bad.h"
#include "frontends/include/hypercall.h"

#define POOL       32
#define TABLES     8  /* of the pool: hold entries, not arguments */
#define KEPT_PORTS 32 /* console, store, timers: ours to the end */

struct fuzzer {
    uint64_t rng;
    char *pool[POOL];
    unsigned long calls;
};

static volatile bool over;
static volatile unsigned int ended;
static struct fuzzer fuzzers[MAX_CPUS];

static uint64_t below(struct fuzzer *f, uint64_t n)
{
    return prng_next(&f->rng) % n;
}

static char *page_of(struct fuzzer *f)
{
    return f->pool[TABLES + below(f, POOL - TABLES)];
}

static char *table_of(struct fuzzer *f)
{
    return f->pool[below(f, TABLES)];
}

/* A frame that is not the guest's. */
static unsigned long nobodys(struct fuzzer *f)
{
    return start_info()->nr_pages + (prng_next(&f->rng) >> (8 + below(f, 48)));
}

/* A number, an address, a frame: of one kind or on its edge. */
static unsigned long pick(struct fuzzer *f)
{
    static const unsigned long edges[] = {
        0,         1,          7,
        ~0ul,      1ul << 20,  1ul << 31,
        1ul << 32, 1ul << 40,  1ul << 63,
        0x7ff0,    DOMID_SELF, DOMID_XEN,
        DOMID_IO,  0xfee00,    0xffff808000000000ul,
        1ul << 47, NOWHERE_VA, 0xffff810000000000ul};

    switch (below(f, 6)) {
    case 0:
        return below(f, 16);
    case 1:
        return edges[below(f, ARRAY_SIZE(edges))];
    case 2:
        return (unsigned long)page_of(f) + (below(f, 4) ? 0 : below(f, 4096));
    case 3:
        return virt_to_mfn(page_of(f));
    case 4:
        return start_info()->nr_pages + below(f, 8192);
    default:
        return prng_next(&f->rng) >> below(f, 64);
    }
}

/* A page of arguments, of which some lead to others. */
static void *argument(struct fuzzer *f)
{
    unsigned long *arg = (unsigned long *)page_of(f);
    unsigned int i;

    for (i = 0; i < 16; i++) {
        arg[i] = pick(f);
        if (below(f, 3) == 0) /* two of 32 bits */
            arg[i] = (arg[i] & 0xffff) | below(f, 64) << 32;
    }
    return arg;
}

static uint64_t entry(struct fuzzer *f)
{
    uint64_t mfn = below(f, 4) ? virt_to_mfn(table_of(f)) : nobodys(f);

    return mfn << PAGE_SHIFT | below(f, 0x200) | below(f, 2) << 63;
}

static void fuzz_mmu_update(struct fuzzer *f)
{
    struct mmu_update *u = (struct mmu_update *)page_of(f);
    unsigned int n = (unsigned int)below(f, 8), i;

    for (i = 0; i < n; i++) {
        u[i].ptr =
            virt_to_machine(table_of(f)) + below(f, 512) * 8 + below(f, 4);
        if (!below(f, 16))
            u[i].ptr = nobodys(f) << PAGE_SHIFT;
        u[i].val = entry(f);
    }
    hypercall(__HYPERVISOR_mmu_update, (unsigned long)u, n,
              below(f, 4) ? 0 : pick(f),
              below(f, 8) ? (unsigned long)DOMID_SELF : pick(f), 0);
}

static void fuzz_mmuext(struct fuzzer *f)
{
    struct mmuext_op *op = (struct mmuext_op *)page_of(f);
    unsigned int n = (unsigned int)below(f, 6), i;

    for (i = 0; i < n; i++) {
        do
            op[i].cmd = (unsigned int)below(f, 24);
        while (op[i].cmd == MMUEXT_NEW_BASEPTR);
        op[i].arg1.mfn = below(f, 4) ? virt_to_mfn(table_of(f)) : nobodys(f);
        op[i].arg2.src_mfn = pick(f);
    }
    hypercall(__HYPERVISOR_mmuext_op, (unsigned long)op, n, 0,
              below(f, 8) ? (unsigned long)DOMID_SELF : pick(f), 0);
}

static void fuzz_va_mapping(struct fuzzer *f)
{
    char *va = page_of(f);

    hypercall(__HYPERVISOR_update_va_mapping, (unsigned long)va, entry(f),
              below(f, 4) ? below(f, 8) : pick(f), 0, 0);
    /* Ours again, whatever became of it. */
    hypercall(__HYPERVISOR_update_va_mapping, (unsigned long)va,
              virt_to_machine(va) | 0x67, UVMF_INVLPG | UVMF_ALL, 0, 0);
}

static void fuzz_memory(struct fuzzer *f)
{
    struct xen_memory_reservation *r = (void *)page_of(f);
    unsigned long *frames = (unsigned long *)page_of(f);
    unsigned int i;

    for (i = 0; i < 8; i++)
        frames[i] = nobodys(f);
    set_xen_guest_handle(r->extent_start, frames);
    r->nr_extents = below(f, 4) ? below(f, 8) : pick(f);
    r->extent_order = (unsigned int)below(f, 4) ? 0 : (unsigned int)pick(f);
    r->mem_flags = (unsigned int)pick(f);
    r->domid = below(f, 8) ? DOMID_SELF : (domid_t)pick(f);
    hypercall_op(__HYPERVISOR_memory_op, below(f, 32), r);
}

static void fuzz_events(struct fuzzer *f)
{
    uint32_t *arg = argument(f);
    unsigned int op = (unsigned int)below(f, 16);

    if (op == EVTCHNOP_reset || op == EVTCHNOP_init_control)
        return;
    if (op == EVTCHNOP_close || op == EVTCHNOP_bind_vcpu)
        arg[0] = KEPT_PORTS + (uint32_t)below(f, 5000);
    hypercall_op(__HYPERVISOR_event_channel_op, op, arg);
}

/* To a page of the pool, if anywhere. */
static void copy_to_pool(struct fuzzer *f, struct gnttab_copy *c)
{
    c->dest.domid = DOMID_SELF;
    c->dest.u.gmfn = virt_to_mfn(page_of(f));
    c->flags &= (uint16_t)~GNTCOPY_dest_gref;
    if (below(f, 2)) {
        c->source = c->dest;
        c->source.offset = (uint16_t)below(f, 5000);
        c->dest.offset = (uint16_t)below(f, 5000);
        c->len = (uint16_t)below(f, 5000);
    }
}

/* A long list goes nowhere: it would go over all that is the guest's own. */
static void fuzz_grants(struct fuzzer *f)
{
    unsigned int op = (unsigned int)below(f, 16);
    void *arg = argument(f);
    unsigned long n = below(f, 3);

    if (!below(f, 4)) {
        arg = (void *)NOWHERE_VA;
        n = pick(f);
    } else if (op == GNTTABOP_copy) {
        copy_to_pool(f, arg);
        n = 1;
    }
    hypercall(__HYPERVISOR_grant_table_op, op, (unsigned long)arg, n, 0, 0);
}

static void fuzz_vcpu(struct fuzzer *f)
{
    unsigned int op = (unsigned int)below(f, 16);

    if (op == VCPUOP_down || op == VCPUOP_register_vcpu_info ||
        op == VCPUOP_set_periodic_timer)
        return;
    hypercall(__HYPERVISOR_vcpu_op, op, below(f, 4) ? below(f, 9) : pick(f),
              (unsigned long)argument(f), 0, 0);
}

static void fuzz_sched(struct fuzzer *f)
{
    struct sched_poll *p = (struct sched_poll *)page_of(f);
    uint32_t *ports = (uint32_t *)page_of(f);

    ports[0] = (uint32_t)pick(f);
    ports[1] = (uint32_t)below(f, 64);
    set_xen_guest_handle(p->ports, ports);
    p->nr_ports = (unsigned int)(below(f, 8) ? below(f, 3) : pick(f));
    p->timeout = time_ns() + below(f, NSEC_PER_MSEC) + 1;
    SCHED_OP(poll, p);
}

/* Any number, any arguments; not what only ends or silences the guest. */
static void fuzz_any(struct fuzzer *f)
{
    static const uint8_t not [] = {6,
                                   16,
                                   __HYPERVISOR_iret,
                                   __HYPERVISOR_sched_op,
                                   __HYPERVISOR_set_trap_table,
                                   __HYPERVISOR_stack_switch,
                                   __HYPERVISOR_set_callbacks,
                                   __HYPERVISOR_callback_op,
                                   __HYPERVISOR_mmuext_op,
                                   __HYPERVISOR_mmu_update,
                                   __HYPERVISOR_update_va_mapping,
                                   __HYPERVISOR_memory_op,
                                   __HYPERVISOR_multicall,
                                   __HYPERVISOR_vcpu_op,
                                   __HYPERVISOR_event_channel_op,
                                   __HYPERVISOR_console_io,
                                   __HYPERVISOR_set_gdt,
                                   __HYPERVISOR_set_debugreg,
                                   __HYPERVISOR_grant_table_op,
                                   __HYPERVISOR_update_descriptor};
    unsigned int nr = (unsigned int)below(f, 64), i;

    for (i = 0; i < ARRAY_SIZE(not ); i++)
        if (not [i] == nr)
            return;
    hypercall(nr, pick(f), below(f, 2) ? pick(f) : (unsigned long)argument(f),
              pick(f), pick(f), pick(f));
}

static void fuzz_descriptor(struct fuzzer *f)
{
    unsigned long *frames = (unsigned long *)page_of(f);
    unsigned int i;

    for (i = 0; i < 14; i++)
        frames[i] = virt_to_mfn(page_of(f));
    if (below(f, 2))
        hypercall(__HYPERVISOR_set_gdt, (unsigned long)frames,
                  below(f, 8) ? below(f, 7168) : pick(f), 0, 0, 0);
    else
        hypercall(__HYPERVISOR_update_descriptor,
                  virt_to_machine(page_of(f)) + below(f, 512) * 8,
                  prng_next(&f->rng), 0, 0, 0);
}

static void fuzz_multicall(struct fuzzer *f)
{
    static const uint8_t calls[] = {
        __HYPERVISOR_xen_version,  __HYPERVISOR_grant_table_op,
        __HYPERVISOR_multicall,    __HYPERVISOR_iret,
        __HYPERVISOR_set_timer_op, 63};
    struct multicall_entry *e = (struct multicall_entry *)page_of(f);
    unsigned int n = (unsigned int)below(f, 5), i, k;

    memset(e, 0xff, PAGE_SIZE); /* what is left there may be a call, too */
    for (i = 0; i < n; i++) {
        e[i].op = calls[below(f, ARRAY_SIZE(calls))];
        for (k = 0; k < 6; k++)
            e[i].args[k] = pick(f);
    }
    hypercall_op(__HYPERVISOR_multicall, (unsigned long)e,
                 (void *)(below(f, 8) ? n : pick(f) + 2048));
}

static void step(struct fuzzer *f)
{
    static void (*const how[])(struct fuzzer *) = {
        fuzz_mmu_update, fuzz_mmuext,     fuzz_va_mapping, fuzz_memory,
        fuzz_events,     fuzz_grants,     fuzz_vcpu,       fuzz_sched,
        fuzz_any,        fuzz_descriptor, fuzz_multicall};

    how[below(f, ARRAY_SIZE(how))](f);
    f->calls++;
}

static void fuzz_vcpus_part(void *arg)
{
    struct fuzzer *f = arg;

    while (!over)
        step(f);
    __sync_fetch_and_add(&ended, 1);
}

static void prepare(struct fuzzer *f, uint64_t seed)
{
    unsigned int i;

    f->rng = seed * 0x9e3779b97f4a7c15ul | 1;
    for (i = 0; i < POOL; i++) {
        f->pool[i] = page_alloc(1);
        if (!f->pool[i])
            panic("too little memory for a fuzzer");
    }
}

void bad_fuzz(void)
{
    unsigned long seed = cmdline_u64(cmdline(), "seed", 1), calls = 0;
    uint64_t end =
        time_ns() + cmdline_u64(cmdline(), "seconds", 5) * NSEC_PER_SEC;
    unsigned int cpus = smp_count(), i;

    printf("badguest: fuzzing with seed=%lu on %u vCPUs\n", seed, cpus);
    for (i = 0; i < cpus; i++)
        prepare(&fuzzers[i], seed * MAX_CPUS + i);
    for (i = 1; i < cpus; i++)
        smp_start(i, fuzz_vcpus_part, &fuzzers[i]);
    while (time_ns() < end)
        step(&fuzzers[0]);
    over = true;
    while (ended < cpus - 1)
        SCHED_OP(yield, NULL);
    for (i = 0; i < cpus; i++)
        calls += fuzzers[i].calls;
    printf("badguest: seed=%lu: %lu hypercalls\n", seed, calls);
}
