/* SPDX-License-Identifier: MIT */
/* What a PV guest's kernel is told of its CPU: CPUID leaves and MSRs. */
#ifndef HV_PV_CPU_POLICY_H
#define HV_PV_CPU_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
};

/*
 * Leaf eax, sub-leaf ecx, as vCPU `id` sees it.  The host's own, less what
 * ring 3 can't have; Xen's leaves at 0x40000000.  User code executes CPUID
 * natively where KVM can't stop it, so vector state that it will see there
 * (XSAVE, AVX) must not be hidden here.
 */
struct cpuid_regs cpu_policy_cpuid(unsigned int id, uint32_t leaf,
                                   uint32_t subleaf);

/* False: #GP.  Own thread only. */
bool cpu_policy_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val);
bool cpu_policy_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val);

#endif
