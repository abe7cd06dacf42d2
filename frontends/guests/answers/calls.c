/* SPDX-License-Identifier: MIT */
/*
 * The calls that have no family: none at all, those for domain 0, lists of
 * calls, physical devices, the emergency console, assists.
 */
#include "frontends/guests/answers/answers.h"

#define NR_SLOTS 64 /* that have names, and some that have none */

static bool known(unsigned int nr)
{
    switch (nr) {
    case 16: /* event_channel_op_compat: in its family */
    case __HYPERVISOR_set_trap_table:
    case __HYPERVISOR_mmu_update:
    case __HYPERVISOR_set_gdt:
    case __HYPERVISOR_stack_switch:
    case __HYPERVISOR_set_callbacks:
    case __HYPERVISOR_sched_op_compat:
    case __HYPERVISOR_memory_op:
    case __HYPERVISOR_iret:
    case __HYPERVISOR_sched_op:
        return true;
    default:
        return false;
    }
}

/* Everything there could be, with arguments that mean nothing. */
static void all(void)
{
    unsigned long no = (unsigned long)NOWHERE;
    unsigned int nr;

    for (nr = 0; nr < NR_SLOTS; nr++)
        if (!known(nr))
            answer(hypercall(nr, no, no, no, no, no), "call/%u of nonsense",
                   nr);
}

/* What domain 0's tools and kernel use. */
static void privileged(void)
{
    static const struct {
        const char *name;
        unsigned int nr;
    } calls[] = {
        {"domctl", __HYPERVISOR_domctl},
        {"sysctl", __HYPERVISOR_sysctl},
        {"platform_op", __HYPERVISOR_platform_op},
        {"kexec_op", __HYPERVISOR_kexec_op},
        {"xsm_op", __HYPERVISOR_xsm_op},
        {"xenoprof_op", __HYPERVISOR_xenoprof_op},
        {"hvm_op", __HYPERVISOR_hvm_op},
        {"argo_op", __HYPERVISOR_argo_op},
        {"xenpmu_op", __HYPERVISOR_xenpmu_op},
        {"dm_op", __HYPERVISOR_dm_op},
        {"hypfs_op", __HYPERVISOR_hypfs_op},
        {"nmi_op", __HYPERVISOR_nmi_op},
    };
    static uint64_t zeros[32];
    size_t i;

    for (i = 0; i < ARRAY_SIZE(calls); i++) {
        memset(zeros, 0, sizeof(zeros));
        answer(hypercall(calls[i].nr, (unsigned long)zeros, 0, 0, 0, 0),
               "call/%s of zeros", calls[i].name);
        answer(hypercall(calls[i].nr, 0, (unsigned long)zeros, 0, 0, 0),
               "call/%s 0 of zeros", calls[i].name);
    }
}

static struct multicall_entry entry(unsigned int op, unsigned long a,
                                    unsigned long b)
{
    return (struct multicall_entry){.op = op, .args = {a, b}, .result = 77};
}

static void multi(const char *name, struct multicall_entry *list,
                  unsigned int n)
{
    unsigned int i;

    answer(hypercall(__HYPERVISOR_multicall, (unsigned long)list, n, 0, 0, 0),
           "multicall/%s", name);
    for (i = 0; i < n; i++)
        answer((long)list[i].result, "multicall/%s, result %u", name, i);
}

static void multicalls(void)
{
    struct multicall_entry list[3];

    list[0] = entry(__HYPERVISOR_xen_version, XENVER_pagesize, 0);
    list[1] = entry(__HYPERVISOR_xen_version, 99, 0);
    list[2] = entry(__HYPERVISOR_xen_version, XENVER_pagesize, 0);
    multi("one in three fails", list, 3);
    list[0] = entry(__HYPERVISOR_multicall, (unsigned long)&list[2], 1);
    list[1] = entry(55, 0, 0);
    list[2] = entry(100000, 0, 0);
    multi("nested and unknown ones", list, 3);
    list[0] = entry(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    list[1] = entry(__HYPERVISOR_set_timer_op, 0, 0);
    multi("yield and timer", list, 2);
    answer(hypercall(__HYPERVISOR_multicall, (unsigned long)list, 0, 0, 0, 0),
           "multicall/none");
    answer(
        hypercall(__HYPERVISOR_multicall, (unsigned long)NOWHERE, 0, 0, 0, 0),
        "multicall/none at nowhere");
    answer(
        hypercall(__HYPERVISOR_multicall, (unsigned long)NOWHERE, 1, 0, 0, 0),
        "multicall/at nowhere");
    answer(hypercall(__HYPERVISOR_multicall, (unsigned long)XENS, 1, 0, 0, 0),
           "multicall/at Xen's");
}

static void consoles(void)
{
    static char text[] = "";

    answer(hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 0,
                     (unsigned long)text, 0, 0),
           "console_io/write nothing");
    answer(hypercall(__HYPERVISOR_console_io, CONSOLEIO_write, 4,
                     (unsigned long)NOWHERE, 0, 0),
           "console_io/write from nowhere");
    answer(hypercall(__HYPERVISOR_console_io, CONSOLEIO_read, 4,
                     (unsigned long)text, 0, 0),
           "console_io/read");
    answer(hypercall(__HYPERVISOR_console_io, 99, 0, 0, 0, 0), "console_io/99");
}

static void devices(void)
{
    static const uint32_t levels[] = {0, 1, 3, 4, ~0u};
    static uint64_t zeros[16];
    struct physdev_set_iobitmap bitmap = {{0}, 65536};
    struct physdev_irq_status_query query = {.irq = 1u << 20};
    struct physdev_eoi eoi = {.irq = 1u << 20};
    struct physdev_set_iopl iopl;
    unsigned int op;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(levels); i++) {
        iopl.iopl = levels[i];
        answer(PHYSDEV_OP(set_iopl, &iopl), "physdev/set_iopl %d",
               (int)levels[i]);
    }
    iopl.iopl = 0;
    PHYSDEV_OP(set_iopl, &iopl);
    bitmap.nr_ports = 0;
    answer(PHYSDEV_OP(set_iobitmap, &bitmap), "physdev/set_iobitmap, none");
    bitmap.nr_ports = 65536;
    answer(PHYSDEV_OP(set_iobitmap, &bitmap), "physdev/set_iobitmap, all");
    bitmap.nr_ports = 65537;
    answer(PHYSDEV_OP(set_iobitmap, &bitmap), "physdev/set_iobitmap, more");
    bitmap.nr_ports = 0;
    PHYSDEV_OP(set_iobitmap, &bitmap);
    answer(PHYSDEV_OP(eoi, &eoi), "physdev/eoi of none");
    answer(PHYSDEV_OP(irq_status_query, &query), "physdev/status of none");
    for (op = 0; op <= 33; op++) {
        answer(hypercall_op(__HYPERVISOR_physdev_op, op, NOWHERE),
               "physdev/op %u at nowhere", op);
        if (op == PHYSDEVOP_set_iopl || op == PHYSDEVOP_set_iobitmap)
            continue;
        memset(zeros, 0, sizeof(zeros));
        answer(hypercall_op(__HYPERVISOR_physdev_op, op, zeros),
               "physdev/op %u of zeros", op);
    }
}

static void assists(void)
{
    unsigned int cmd, type;

    for (cmd = 0; cmd < 3; cmd++)
        for (type = 0; type < 8; type++)
            answer(hypercall(__HYPERVISOR_vm_assist, cmd, type, 0, 0, 0),
                   "vm_assist/%u of %u", cmd, type);
    answer(hypercall(__HYPERVISOR_vm_assist, VMASST_CMD_enable, 63, 0, 0, 0),
           "vm_assist/enable 63");
    answer(hypercall(__HYPERVISOR_vm_assist, VMASST_CMD_enable, 99, 0, 0, 0),
           "vm_assist/enable 99");
}

void answers_calls(void)
{
    multicalls();
    consoles();
    devices();
    assists();
    privileged();
    all();
}
