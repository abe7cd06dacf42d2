/* SPDX-License-Identifier: MIT */
/*
 * The hostile guest: bad=WORD says how it misbehaves, bad=help lists the
 * words. Host and other guests must go on; those that survive their own deed
 * stay asleep until they are destroyed.
 */
#include "frontends/guests/badguest/bad.h"
#include "frontends/include/hypercall.h"

#define NOWHERE              NOWHERE_VA
#define OLD_SCHED_OP         6
#define OLD_EVENT_CHANNEL_OP 16

static void bad_ud2(void)
{
    __asm__ volatile("ud2");
}

static void bad_jump(void)
{
    void (*nowhere)(void) = (void (*)(void))NOWHERE;

    nowhere();
}

/* No stack for the exception's frame, and the exception's own is none. */
static void bad_triple(void)
{
    hypervisor_stack_switch(FLAT_KERNEL_SS, 0x1000);
    __asm__ volatile("movq %0, %%rsp\n\tmovq $0, (%%rsp)\n\tud2"
                     :
                     : "r"(NOWHERE)
                     : "memory");
}

static void bad_spin(void)
{
    events_off();
    for (;;)
        cpu_relax();
}

static void bad_flood(void)
{
    const struct start_info *si = start_info();
    uint64_t n;

    events_off();
    for (n = 0;; n++) {
        evtchn_send(si->store_evtchn);
        evtchn_send(si->console.domU.evtchn);
        evtchn_send((evtchn_port_t)(n % EVTCHN_2L_NR_CHANNELS));
    }
}

/* Hypercalls by which a guest may rightly end, silence or stop itself. */
static bool suicidal(unsigned int nr)
{
    static const uint8_t list[] = {
        OLD_SCHED_OP,
        OLD_EVENT_CHANNEL_OP,
        __HYPERVISOR_iret,
        __HYPERVISOR_sched_op,
        __HYPERVISOR_set_trap_table,
        __HYPERVISOR_set_callbacks,
        __HYPERVISOR_callback_op,
        __HYPERVISOR_mmuext_op,
        __HYPERVISOR_mmu_update,
        __HYPERVISOR_update_va_mapping,
        __HYPERVISOR_memory_op,
        __HYPERVISOR_multicall,
        __HYPERVISOR_vcpu_op,
        __HYPERVISOR_event_channel_op,
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(list); i++)
        if (list[i] == nr)
            return true;
    return false;
}

/* Random numbers where numbers, pointers and sub-operations are expected. */
static void bad_hypercalls(void)
{
    uint64_t rng = time_ns() | 1, n;
    unsigned long a[5];
    unsigned int i, nr;

    for (n = 0; n < 20000; n++) {
        nr = prng_next(&rng) % 64;
        for (i = 0; i < 5; i++)
            a[i] = prng_next(&rng) >> (prng_next(&rng) % 64);
        if (!suicidal(nr))
            hypercall(nr, a[0], a[1], a[2], a[3], a[4]);
    }
}

static const struct {
    const char *name, *what;
    void (*run)(void);
} deeds[] = {
    {"ud2", "an instruction that is none", bad_ud2},
    {"jump", "a jump to nowhere", bad_jump},
    {"triple", "an exception without a stack", bad_triple},
    {"spin", "spinning for ever, events off", bad_spin},
    {"flood", "an event flood", bad_flood},
    {"hypercall", "hypercalls with random arguments", bad_hypercalls},
    {"ring", "garbage in the disk ring's indices", bad_ring},
    {"req", "malformed disk requests", bad_requests},
    {"gnt", "lies about grant references", bad_grants},
    {"store", "junk in the store ring", bad_store},
    {"index", "garbage in the store ring's indices", bad_store_index},
    {"console", "garbage in the console ring's indices", bad_console},
    {"watch", "watches and nodes until the store refuses", bad_watches},
    {"state", "nonsense in the disk's store nodes", bad_states},
    {"pins", "pins of what is no table", bad_pins},
    {"maps", "mappings beyond its memory", bad_maps},
    {"slots", "entries in the hypervisor's slots", bad_slots},
    {"ownslot", "an L4 without the hypervisor's entries", bad_own_slot},
    {"flips", "bits of its live page tables change", bad_flips},
    {"loops", "page tables that lead to themselves", bad_loops},
    {"race", "all vCPUs change the same page tables", bad_race},
    {"recursion", "a page-fault handler that faults", bad_recursion},
    {"handlers", "exception handlers where nothing is", bad_handlers},
    {"callbacks", "an event callback where nothing is", bad_callbacks},
    {"gdt", "senseless descriptors and tables of them", bad_descriptors},
    {"iret", "a return to addresses that cannot be", bad_iret},
    {"noframe", "a return by a frame that is not there", bad_iret_nowhere},
    {"stack", "a kernel stack where nothing is", bad_stack},
    {"counts", "hypercalls with huge counts", bad_counts},
    {"flushes", "flushes of all translations without end", bad_flushes},
    {"fuzz", "random hypercalls; seed=1 seconds=5", bad_fuzz},
};

static void list(void)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(deeds); i++)
        printf("bad=%-10s %s\n", deeds[i].name, deeds[i].what);
}

static void sleep_for_ever(void)
{
    printf("badguest: done; asleep until I am destroyed\n");
    wait_event(false);
}

int guest_main(void)
{
    char name[16] = "help";
    size_t i;

    cmdline_get(cmdline(), "bad", 0, name, sizeof(name));
    for (i = 0; i < ARRAY_SIZE(deeds); i++) {
        if (strcmp(deeds[i].name, name) != 0)
            continue;
        printf("badguest: %s\n", deeds[i].what);
        if (console_active())
            console_drain(console_active());
        deeds[i].run();
        sleep_for_ever();
    }
    list();
    return SHUTDOWN_poweroff;
}
