/* SPDX-License-Identifier: MIT */
/* A throw-away VM of 2 MiB, to see what this host's KVM does. */
#ifndef HV_PROBE_H
#define HV_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include "hv/kvm_host.h"

struct probe_vm {
    const struct kvm_host *host;
    int vm_fd, fd;
    struct kvm_run *run;
    uint8_t *mem;
};

/* Code of hv/probe_code.S. */
extern const char probe_code[], probe_code_end[], probe_out[], probe_syscall[],
    probe_lstar[], probe_spin[], probe_loop[], probe_read256[], probe_events[],
    probe_trap[];

/*
 * Makes it with its tables and code in place; irqchip: with KVM's own local
 * APIC.  0 or -errno.
 */
int probe_vm_open(struct probe_vm *p, const struct kvm_host *host,
                  bool irqchip);
void probe_vm_close(struct probe_vm *p);

/* Its address of a piece of probe.S. */
uint64_t probe_va(const char *piece);

struct probe_regs {
    uint64_t rbx, rcx, rdx;
};

/* Points the vCPU at piece, at CPL 3 or 0, interrupts on. 0 or -errno. */
int probe_vm_set(struct probe_vm *p, const char *piece, int cpl,
                 struct probe_regs regs);

/* One KVM_RUN; the port of the OUT it ended with, or -1 for another end. */
int probe_vm_run(struct probe_vm *p);

#define PROBE_SLOT256_VA 0xffff800000000000ull

#endif
