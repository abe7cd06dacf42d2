/* SPDX-License-Identifier: MIT */
/* What this host's /dev/kvm is and can do, found once at start. */
#ifndef HV_KVM_HOST_H
#define HV_KVM_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>

struct kvm_host {
    int fd; /* /dev/kvm */
    bool ioeventfd;
    bool sync_regs;
    bool syscall_cpl0;   /* SYSCALL at CPL3 enters CPL0, as on hardware */
    bool out_advanced;   /* rip is past the OUT when it exits */
    bool out_cpl3;       /* OUT at CPL3 exits, if the TSS permits the port */
    bool fsgsbase, smep; /* KVM has them for guests */
    size_t run_size;     /* of struct kvm_run's mapping */
    uint64_t tsc_khz;
    uint64_t xcr0;
    struct kvm_cpuid2 *cpuid;
};

/*
 * Opens /dev/kvm and asks for what hv cannot do without.  0, or -errno with
 * a message for people in err (size bytes).
 */
int kvm_host_open(struct kvm_host *h, char *err, unsigned int size);
void kvm_host_close(struct kvm_host *h);

/* Fills what only a running VM shows: syscall_cpl0, out_*, tsc_khz. */
void kvm_host_probe(struct kvm_host *h);

/* `hv --check`: probes and prints; json: one object. 0, or 1 if no KVM. */
int kvm_check(bool json);

/*
 * `hv --bench-floors`: a bare VM's PIO exit to user space and ioeventfd OUT,
 * ns each, as {"name": {"unit": "ns", "samples": [...]}}.
 */
int kvm_bench_floors(unsigned int runs);

#endif
