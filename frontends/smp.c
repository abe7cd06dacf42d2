/* SPDX-License-Identifier: MIT */
/* Secondary vCPUs: each runs one function, then goes down again. */
#include "frontends/include/cpu.h"
#include "frontends/include/hypercall.h"

static struct cpu *cpus[MAX_CPUS];

void smp_secondary_start(struct cpu *cpu);

unsigned int cpu_id(void)
{
    return this_cpu()->id;
}

unsigned int smp_count(void)
{
    unsigned int n = 1;

    while (n < MAX_CPUS && hypervisor_vcpu_op(VCPUOP_is_up, n, NULL) >= 0)
        n++;
    return n;
}

bool smp_is_up(unsigned int cpu)
{
    return cpu == 0 || (cpu < MAX_CPUS && cpus[cpu] &&
                        __atomic_load_n(&cpus[cpu]->up, __ATOMIC_ACQUIRE));
}

void smp_secondary_start(struct cpu *cpu)
{
    for (;;) {
        events_on();
        cpu->fn(cpu->arg);
        events_off();
        __atomic_store_n(&cpu->up, false, __ATOMIC_RELEASE);
        /* VCPUOP_up by smp_start lets it go on from here. */
        hypervisor_vcpu_op(VCPUOP_down, cpu->id, NULL);
        while (!__atomic_load_n(&cpu->up, __ATOMIC_ACQUIRE))
            SCHED_OP(yield, NULL);
    }
}

/* A stack must be aligned to its size, which the page allocator is not. */
static struct cpu *stack_alloc(void)
{
    unsigned long va = (unsigned long)page_alloc(2 * STACK_SIZE / PAGE_SIZE);

    if (!va)
        return NULL;
    va = (va + STACK_SIZE - 1) & ~(STACK_SIZE - 1ul);
    return cpu_of_stack(va);
}

static int register_info(struct cpu *cpu)
{
    struct vcpu_register_vcpu_info reg = {
        .mfn = virt_to_mfn(&cpu->own_info),
        .offset = (uint32_t)((unsigned long)&cpu->own_info & ~PAGE_MASK),
    };

    cpu->own_info.evtchn_upcall_mask = 1;
    cpu->info = &cpu->own_info;
    return (int)hypervisor_vcpu_op(VCPUOP_register_vcpu_info, cpu->id, &reg);
}

static int initialise(struct cpu *cpu)
{
    struct vcpu_guest_context *ctx = heap_alloc(sizeof(*ctx));
    long rc;

    if (!ctx)
        return -ENOMEM;
    ctx->flags = VGCF_IN_KERNEL;
    ctx->user_regs.rip = (unsigned long)secondary_entry;
    ctx->user_regs.rsp = (unsigned long)cpu;
    ctx->user_regs.rdi = (unsigned long)cpu;
    ctx->user_regs.cs = FLAT_KERNEL_CS;
    ctx->user_regs.ss = FLAT_KERNEL_SS;
    ctx->user_regs.ds = FLAT_KERNEL_DS;
    ctx->user_regs.es = FLAT_KERNEL_DS;
    ctx->user_regs.rflags = 1ul << 9;
    memcpy(ctx->trap_ctxt, trap_table(),
           TRAP_VECTORS * sizeof(struct trap_info));
    ctx->kernel_ss = FLAT_KERNEL_SS;
    ctx->kernel_sp = (unsigned long)cpu;
    ctx->ctrlreg[3] =
        xen_pfn_to_cr3(virt_to_mfn((void *)start_info()->pt_base));
    ctx->event_callback_eip = (unsigned long)event_callback;
    ctx->failsafe_callback_eip = (unsigned long)failsafe_callback;
    rc = hypervisor_vcpu_op(VCPUOP_initialise, cpu->id, ctx);
    heap_free(ctx);
    return (int)rc;
}

static int prepare(unsigned int id)
{
    struct cpu *cpu = stack_alloc();
    int rc;

    if (!cpu)
        return -ENOMEM;
    cpu->id = id;
    rc = register_info(cpu);
    if (rc)
        return rc;
    rc = initialise(cpu);
    if (rc)
        return rc;
    cpus[id] = cpu;
    time_cpu_init(id);
    return 0;
}

/*
 * It says that it is done a little before it is down; a VCPUOP_up in between
 * would find it up, do nothing, and leave it down for good.
 */
static void wait_down(unsigned int id)
{
    while (hypervisor_vcpu_op(VCPUOP_is_up, id, NULL) == 1)
        cpu_relax();
}

int smp_start(unsigned int id, void (*fn)(void *), void *arg)
{
    int rc;

    if (id == 0 || id >= MAX_CPUS)
        return -EINVAL;
    if (smp_is_up(id))
        return -EBUSY;
    rc = cpus[id] ? 0 : prepare(id);
    if (rc)
        return rc;
    wait_down(id);
    cpus[id]->fn = fn;
    cpus[id]->arg = arg;
    __atomic_store_n(&cpus[id]->up, true, __ATOMIC_RELEASE);
    return (int)hypervisor_vcpu_op(VCPUOP_up, id, NULL);
}
