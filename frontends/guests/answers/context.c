/* SPDX-License-Identifier: MIT */
/* What a vCPU goes to and comes from: traps, callbacks, stacks, debug
 * registers. Source: xen/xen.h, xen/callback.h */
#include "frontends/guests/answers/answers.h"
#include "frontends/include/cpu.h"

static void trap_tables(void)
{
    static struct trap_info t[2] = {
        {.vector = 200, .cs = FLAT_KERNEL_CS, .address = 0xffffffff80000000ul}};

    answer(hypervisor_set_trap_table(t), "context/set_trap_table");
    t[0].address = BENT;
    answer(hypervisor_set_trap_table(t),
           "context/set_trap_table, not canonical");
    t[0].address = (unsigned long)XENS;
    answer(hypervisor_set_trap_table(t), "context/set_trap_table, Xen's");
    answer(hypervisor_set_trap_table(NOWHERE),
           "context/set_trap_table at nowhere");
    answer(hypervisor_set_trap_table(XENS), "context/set_trap_table at Xen's");
    t[0].address = 0;
    answer(hypervisor_set_trap_table(t), "context/set_trap_table, empty");
    answer(hypervisor_set_trap_table(NULL), "context/set_trap_table, NULL");
    probe_init();
}

static long callback(unsigned int op, unsigned int type, unsigned long address)
{
    struct callback_register r = {.type = (uint16_t)type, .address = address};

    return hypercall_op(__HYPERVISOR_callback_op, op, &r);
}

static void callbacks(void)
{
    static const char *const names[] = {"event", "failsafe",  "syscall",
                                        "3",     "nmi",       "sysenter",
                                        "6",     "syscall32", "8"};
    unsigned long good = (unsigned long)failsafe_callback;
    bool were_on = events_off();
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(names); i++) {
        if (i != CALLBACKTYPE_event)
            answer(callback(CALLBACKOP_register, i, good),
                   "context/callback_op register %s", names[i]);
        answer(callback(CALLBACKOP_register, i, BENT),
               "context/callback_op register %s, not canonical", names[i]);
        answer(callback(CALLBACKOP_register, i, (unsigned long)XENS),
               "context/callback_op register %s, Xen's", names[i]);
        answer(callback(CALLBACKOP_unregister, i, 0),
               "context/callback_op unregister %s", names[i]);
    }
    callback(CALLBACKOP_register, CALLBACKTYPE_event,
             (unsigned long)event_callback);
    callback(CALLBACKOP_register, CALLBACKTYPE_failsafe, good);
    events_restore(were_on);
    answer(callback(2, 0, good), "context/callback_op 2");
    for (i = 0; i < 3; i++)
        answer(hypercall_op(__HYPERVISOR_callback_op, i, NOWHERE),
               "context/callback_op %u at nowhere", i);
}

static void old_callbacks(void)
{
    unsigned long e = (unsigned long)event_callback,
                  f = (unsigned long)failsafe_callback;

    answer(hypercall(__HYPERVISOR_set_callbacks, e, f, 0, 0, 0),
           "context/set_callbacks");
    answer(hypercall(__HYPERVISOR_set_callbacks, e, f, BENT, 0, 0),
           "context/set_callbacks, not canonical");
    hypercall(__HYPERVISOR_set_callbacks, e, f, 0, 0, 0);
}

static void stacks(void)
{
    unsigned long top = (unsigned long)this_cpu();

    answer(hypervisor_stack_switch(FLAT_KERNEL_SS, top),
           "context/stack_switch");
    answer(hypervisor_stack_switch(FLAT_KERNEL_SS & ~3ul, top),
           "context/stack_switch, RPL 0");
    answer(hypervisor_stack_switch(0, top), "context/stack_switch, null");
    answer(hypervisor_stack_switch(FLAT_KERNEL_SS, BENT),
           "context/stack_switch, not canonical");
    hypervisor_stack_switch(FLAT_KERNEL_SS, top);
}

static void use_fpu(void *arg)
{
    (void)arg;
    __asm__ volatile("fninit");
}

static void fpu(void)
{
    answer(hypercall(__HYPERVISOR_fpu_taskswitch, 0, 0, 0, 0, 0),
           "context/fpu_taskswitch 0");
    answer(hypercall(__HYPERVISOR_fpu_taskswitch, 1, 0, 0, 0, 0),
           "context/fpu_taskswitch 1");
    answer_probe("context/FPU after that", use_fpu, NULL);
    hypercall(__HYPERVISOR_fpu_taskswitch, 0, 0, 0, 0, 0);
    answer_probe("context/FPU after 0", use_fpu, NULL);
}

static long set_debugreg(unsigned int reg, unsigned long val)
{
    return hypercall(__HYPERVISOR_set_debugreg, reg, val, 0, 0, 0);
}

static long get_debugreg(unsigned int reg)
{
    return hypercall(__HYPERVISOR_get_debugreg, reg, 0, 0, 0, 0);
}

static void debug(const char *name, unsigned int reg, unsigned long val)
{
    answer(set_debugreg(reg, val), "context/DR%u = %s", reg, name);
    printf("context/DR%u = %s, then: %lx\n", reg, name,
           (unsigned long)get_debugreg(reg));
}

static void debugs(void)
{
    unsigned int i;

    for (i = 0; i < 9; i++)
        printf("context/DR%u at first: %lx\n", i,
               (unsigned long)get_debugreg(i));
    debug("0x1000", 0, 0x1000);
    debug("0x1000", 3, 0x1000);
    debug("Xen's", 1, (unsigned long)XENS);
    debug("not canonical", 2, BENT);
    debug("0", 4, 0);
    debug("0", 5, 0);
    debug("0", 6, 0);
    debug("-1", 6, ~0ul);
    debug("0xffff0ff0", 6, 0xffff0ff0);
    debug("0", 7, 0);
    debug("general detect", 7, 0x2000);
    debug("I/O break", 7, 0x00020001);
    debug("local 0", 7, 0x1);
    debug("global 0", 7, 0x2);
    debug("-1", 7, 0xffffffff);
    debug("high half", 7, 1ul << 32);
    debug("0", 7, 0);
    debug("0", 8, 0);
    debug("0", 0, 0);
}

void answers_context(void)
{
    trap_tables();
    callbacks();
    old_callbacks();
    stacks();
    fpu();
    debugs();
}
