/* SPDX-License-Identifier: MIT */
/* The least a guest can do: say hello and power off. smp: on every vCPU. */
#include "frontends/include/kernel.h"
#include "frontends/include/hypercall.h"

#define PATIENCE (5 * NSEC_PER_SEC)

static unsigned int awake = 1;

static void hello_from(void *arg)
{
    (void)arg;
    printf("Hello from vCPU %u\n", cpu_id());
    __atomic_fetch_add(&awake, 1, __ATOMIC_SEQ_CST);
}

/* All at once; sleeping in between, as each ends in its own time. */
static void all_cpus(unsigned int count)
{
    uint64_t end = time_ns() + PATIENCE;
    unsigned int cpu;
    int rc;

    for (cpu = 1; cpu < count; cpu++) {
        rc = smp_start(cpu, hello_from, NULL);
        if (rc)
            printf("vCPU %u does not start: error %d\n", cpu, rc);
    }
    while (READ_ONCE(awake) < count && time_ns() < end)
        sleep_ns(NSEC_PER_MSEC);
    printf("%u of %u vCPUs said hello\n", awake, count);
}

int guest_main(void)
{
    long version = hypervisor_xen_version(XENVER_version, NULL);
    char extra[XEN_EXTRAVERSION_LEN] = "";
    unsigned int cpus = smp_count();

    hypervisor_xen_version(XENVER_extraversion, extra);
    printf("Hello from a Xen PV guest on Xen %ld.%ld%.*s\n", version >> 16,
           version & 0xffff, (int)sizeof(extra), extra);
    printf("%lu MiB of memory, %u vCPU%s, started %lu us ago\n",
           start_info()->nr_pages >> 8, cpus, cpus == 1 ? "" : "s",
           time_ns() / 1000);
    if (cmdline()[0])
        printf("command line: %s\n", cmdline());
    if (cmdline_u64(cmdline(), "smp", 0))
        all_cpus(cpus);
    return SHUTDOWN_poweroff;
}
