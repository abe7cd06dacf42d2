/* SPDX-License-Identifier: MIT */
/* The least a guest can do: say hello and power off. */
#include "frontends/include/kernel.h"
#include "frontends/include/hypercall.h"

int guest_main(void)
{
    long version = hypervisor_xen_version(XENVER_version, NULL);
    char extra[XEN_EXTRAVERSION_LEN] = "";

    hypervisor_xen_version(XENVER_extraversion, extra);
    printf("Hello from a Xen PV guest on Xen %ld.%ld%.*s\n", version >> 16,
           version & 0xffff, (int)sizeof(extra), extra);
    printf("%lu MiB of memory, %u vCPU(s), %lu ns since the start\n",
           start_info()->nr_pages >> 8, smp_count(), time_ns());
    if (cmdline()[0])
        printf("command line: %s\n", cmdline());
    return SHUTDOWN_poweroff;
}
