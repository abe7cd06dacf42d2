/* SPDX-License-Identifier: MIT */
/* vcpu_op; there are two vCPUs, the second still down. Source: xen/vcpu.h */
#include "frontends/guests/answers/answers.h"

static void ups(void)
{
    static const unsigned int cpus[] = {0, 1, 2, 99, 8192, ~0u};
    size_t i;

    for (i = 0; i < ARRAY_SIZE(cpus); i++)
        answer(hypervisor_vcpu_op(VCPUOP_is_up, cpus[i], NULL), "vcpu/is_up %d",
               (int)cpus[i]);
    answer(hypervisor_vcpu_op(VCPUOP_up, 0, NULL), "vcpu/up 0");
    answer(hypervisor_vcpu_op(VCPUOP_up, 1, NULL),
           "vcpu/up 1, not initialised");
    answer(hypervisor_vcpu_op(VCPUOP_up, 99, NULL), "vcpu/up 99");
    answer(hypervisor_vcpu_op(VCPUOP_down, 1, NULL), "vcpu/down 1, down");
    answer(hypervisor_vcpu_op(VCPUOP_down, 99, NULL), "vcpu/down 99");
}

static void initialise(void)
{
    struct vcpu_guest_context *c = heap_alloc(sizeof(*c));
    unsigned long l4 = virt_to_mfn((void *)start_info()->pt_base);

    answer(hypervisor_vcpu_op(VCPUOP_initialise, 0, c), "vcpu/initialise 0");
    answer(hypervisor_vcpu_op(VCPUOP_initialise, 99, c), "vcpu/initialise 99");
    answer(hypervisor_vcpu_op(VCPUOP_initialise, 1, NOWHERE),
           "vcpu/initialise 1 from nowhere");
    c->ctrlreg[3] = xen_pfn_to_cr3(1ul << 39);
    answer(hypervisor_vcpu_op(VCPUOP_initialise, 1, c),
           "vcpu/initialise 1, base pointer at none");
    c->ctrlreg[3] = xen_pfn_to_cr3(l4);
    c->gdt_ents = 8000;
    answer(hypervisor_vcpu_op(VCPUOP_initialise, 1, c),
           "vcpu/initialise 1, too many descriptors");
    c->gdt_ents = 0;
    c->ldt_ents = 9000;
    answer(hypervisor_vcpu_op(VCPUOP_initialise, 1, c),
           "vcpu/initialise 1, too many local descriptors");
    c->ldt_ents = 0;
    c->ctrlreg[3] = xen_pfn_to_cr3(virt_to_mfn(c));
    answer(hypervisor_vcpu_op(VCPUOP_initialise, 1, c),
           "vcpu/initialise 1, base pointer at a page");
    heap_free(c);
}

static void runstates(void)
{
    static struct vcpu_runstate_info area;
    struct vcpu_register_runstate_memory_area reg = {{{0}}};
    struct vcpu_runstate_info now;

    answer(hypervisor_vcpu_op(VCPUOP_get_runstate_info, 0, &now),
           "vcpu/get_runstate_info 0");
    answer(now.state, "vcpu/get_runstate_info 0, state");
    answer(hypervisor_vcpu_op(VCPUOP_get_runstate_info, 1, &now),
           "vcpu/get_runstate_info 1");
    answer(now.state, "vcpu/get_runstate_info 1, state");
    answer(hypervisor_vcpu_op(VCPUOP_get_runstate_info, 0, NOWHERE),
           "vcpu/get_runstate_info to nowhere");
    reg.addr.v = &area;
    answer(hypervisor_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &reg),
           "vcpu/register_runstate_memory_area");
    answer_yes(area.state_entry_time != 0, "vcpu/runstate area is filled in");
    reg.addr.v = NOWHERE;
    answer(hypervisor_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &reg),
           "vcpu/register_runstate_memory_area of nowhere");
    reg.addr.v = XENS;
    answer(hypervisor_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &reg),
           "vcpu/register_runstate_memory_area of Xen's");
    reg.addr.v = NULL;
    hypervisor_vcpu_op(VCPUOP_register_runstate_memory_area, 0, &reg);
}

static void periodic(const char *name, unsigned int cpu, uint64_t ns)
{
    struct vcpu_set_periodic_timer t = {.period_ns = ns};

    answer(hypervisor_vcpu_op(VCPUOP_set_periodic_timer, cpu, &t),
           "vcpu/set_periodic_timer, %s", name);
}

static void once(const char *name, unsigned int cpu, uint64_t at,
                 uint32_t flags)
{
    struct vcpu_set_singleshot_timer t = {.timeout_abs_ns = at, .flags = flags};

    answer(hypervisor_vcpu_op(VCPUOP_set_singleshot_timer, cpu, &t),
           "vcpu/set_singleshot_timer, %s", name);
}

static void timers(void)
{
    periodic("1 s", 0, NSEC_PER_SEC);
    periodic("0", 0, 0);
    periodic("1 us", 0, 1000);
    periodic("1 ms - 1", 0, NSEC_PER_MSEC - 1);
    periodic("-1", 0, ~0ul);
    periodic("of another", 1, NSEC_PER_SEC);
    once("future", 0, time_ns() + NSEC_PER_SEC, 0);
    once("future, must be", 0, time_ns() + NSEC_PER_SEC, VCPU_SSHOTTMR_future);
    once("past", 0, 1, 0);
    once("past, must be future", 0, 1, VCPU_SSHOTTMR_future);
    once("of another", 1, time_ns() + NSEC_PER_SEC, 0);
    answer(hypervisor_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL),
           "vcpu/stop_periodic_timer");
    answer(hypervisor_vcpu_op(VCPUOP_stop_singleshot_timer, 0, NULL),
           "vcpu/stop_singleshot_timer");
    answer(hypervisor_vcpu_op(VCPUOP_stop_periodic_timer, 1, NULL),
           "vcpu/stop_periodic_timer of another");
    answer(hypervisor_vcpu_op(VCPUOP_stop_singleshot_timer, 1, NULL),
           "vcpu/stop_singleshot_timer of another");
}

static void info(const char *name, unsigned int cpu, unsigned long mfn,
                 uint32_t offset)
{
    struct vcpu_register_vcpu_info r = {.mfn = mfn, .offset = offset};

    answer(hypervisor_vcpu_op(VCPUOP_register_vcpu_info, cpu, &r),
           "vcpu/register_vcpu_info, %s", name);
}

static void infos(void)
{
    struct frame f = frame_alloc();

    info("of none", 1, 1ul << 39, 0);
    info("of 99", 99, f.mfn, 0);
    info("over the page's end", 1, f.mfn, 4096 - 32);
    info("beyond the page", 1, f.mfn, 5000);
    info("unaligned", 1, f.mfn, 4);
    info("right", 1, f.mfn, 64);
    answer_yes(((struct vcpu_info *)((char *)f.va + 64))->evtchn_upcall_mask,
               "vcpu/register_vcpu_info, events masked");
    info("again", 1, f.mfn, 64);
    answer(frame_remap(&f, PTE_RAM_RO), "vcpu/vcpu_info read-only");
}

static void pointers(void)
{
    unsigned int op;

    for (op = 0; op <= 15; op++) {
        if (op == VCPUOP_up || op == VCPUOP_down)
            continue;
        answer(hypervisor_vcpu_op(op, 1, NOWHERE), "vcpu/op %u of 1 at nowhere",
               op);
        answer(hypervisor_vcpu_op(op, 99, NOWHERE),
               "vcpu/op %u of 99 at nowhere", op);
    }
    answer(hypervisor_vcpu_op(99, 0, NULL), "vcpu/op 99");
}

void answers_vcpu(void)
{
    ups();
    initialise();
    runstates();
    timers();
    infos();
    pointers();
}
