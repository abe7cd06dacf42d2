/* SPDX-License-Identifier: MIT */
/* From Xen's entry to guest_main, and the ends: shutdown and panic. */
#include "frontends/include/cpu.h"
#include "frontends/include/blkdev.h"
#include "frontends/include/console.h"
#include "frontends/include/hypercall.h"

static const struct start_info *boot_info;
static struct shared_info *shared;

extern const struct driver drivers_start[], drivers_end[];

void kernel_start(const struct start_info *si);

const struct start_info *start_info(void)
{
    return boot_info;
}

struct shared_info *shared_info(void)
{
    return shared;
}

const char *cmdline(void)
{
    return (const char *)boot_info->cmd_line;
}

_Noreturn void shutdown(unsigned int reason)
{
    struct sched_shutdown arg = {.reason = reason};

    SCHED_OP(shutdown, &arg);
    for (;;)
        SCHED_OP(yield, NULL);
}

_Noreturn void panic(const char *fmt, ...)
{
    char buf[256];
    va_list ap;
    int n;

    events_off();
    va_start(ap, fmt);
    n = vsnprintf(buf, sizeof(buf) - 1, fmt, ap);
    va_end(ap);
    n = MIN(n, (int)sizeof(buf) - 2);
    buf[n++] = '\n';
    buf[n] = '\0';
    xen_console_write(buf, (size_t)n);
    console_panic_mode();
    printf("panic: %s", buf);
    shutdown(SHUTDOWN_crash);
}

void xen_console_write(const char *s, size_t len)
{
    /* Xen may keep this console to itself; then there is nobody to tell. */
    (void)hypervisor_console_write(s, (unsigned int)len);
}

static void drivers_probe(void)
{
    const struct driver *d;

    for (d = drivers_start; d < drivers_end; d++)
        d->probe();
}

static void shared_info_map(void)
{
    shared = map_machine(boot_info->shared_info, PAGE_SIZE, false);
    if (!shared)
        panic("Xen refused to map shared_info");
    this_cpu()->info = &shared->vcpu_info[0];
}

void kernel_start(const struct start_info *si)
{
    struct cpu *cpu = this_cpu();
    int reason;

    boot_info = si;
    cpu->info = &cpu->own_info; /* until the real one is mapped */
    cpu->own_info.evtchn_upcall_mask = 1;
    cpu->up = true;
    traps_init();
    mm_init();
    shared_info_map();
    events_init();
    time_cpu_init(0);
    events_on();
    drivers_probe();
    reason = guest_main();
    blkdev_close_all();
    if (console_active())
        console_drain(console_active());
    shutdown((unsigned int)reason);
}
