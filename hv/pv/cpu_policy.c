/* SPDX-License-Identifier: MIT */
#include "hv/pv/cpu_policy.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <xen/arch-x86/cpuid.h>
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/pv/pv.h"

#define BIT(n) (1u << (n))

/* Leaf 1. */
#define ECX1_HIDE                                                              \
    (BIT(2) | BIT(3) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(14) | BIT(15) | \
     BIT(17) | BIT(18) | BIT(21) | BIT(24))
#define ECX1_HYPERVISOR BIT(31)
#define EDX1_HIDE                                                              \
    (BIT(1) | BIT(3) | BIT(7) | BIT(11) | BIT(12) | BIT(13) | BIT(14) |        \
     BIT(17) | BIT(21) | BIT(22) | BIT(28) | BIT(29))
/* Leaf 7: SGX, TSC_ADJUST, SMEP, INVPCID, PQM, PQE, MPX, SMAP, PT ... */
#define EBX7_HIDE                                                              \
    (BIT(1) | BIT(2) | BIT(7) | BIT(10) | BIT(12) | BIT(14) | BIT(15) |        \
     BIT(20) | BIT(25))
/* ... UMIP, PKU, OSPKE, WAITPKG, SHSTK, LA57, RDPID, ENQCMD, SGX_LC, PKS */
#define ECX7_HIDE                                                              \
    (BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(7) | BIT(16) | BIT(22) |          \
     BIT(24) | BIT(29) | BIT(30) | BIT(31))
/* ... and of edx only arithmetic: AVX512_4*, FSRM, VP2INTERSECT, FP16. */
#define EDX7_SHOW  (BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(14) | BIT(23))
#define EAX71_SHOW (BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12) | BIT(23))
/* 0x80000001: SVM, extended APIC, OSVW, IBS, SKINIT, WDT, counters ... */
#define ECX81_HIDE                                                             \
    (BIT(1) | BIT(2) | BIT(3) | BIT(9) | BIT(10) | BIT(12) | BIT(13) |         \
     BIT(15) | BIT(22) | BIT(23) | BIT(24) | BIT(26) | BIT(28) | BIT(29))
#define EDX81_HIDE                                                             \
    (BIT(1) | BIT(3) | BIT(7) | BIT(12) | BIT(13) | BIT(14) | BIT(17) |        \
     BIT(25) | BIT(26))
#define EBX88_SHOW (BIT(0) | BIT(2) | BIT(9))

#define XEN_LEAF     0x40000000u
#define XEN_LEAF_END 0x40000005u
#define XCR0_SHOW    0xe7u

static struct cpuid_regs native(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r;

    __cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

static struct cpuid_regs xen_leaf(uint32_t leaf)
{
    struct cpuid_regs r = {0};

    switch (leaf - XEN_LEAF) {
    case 0:
        r.eax = XEN_LEAF_END;
        r.ebx = XEN_CPUID_SIGNATURE_EBX;
        r.ecx = XEN_CPUID_SIGNATURE_ECX;
        r.edx = XEN_CPUID_SIGNATURE_EDX;
        break;
    case 1:
        r.eax = KXEN_XEN_VERSION;
        break;
    case 2:
        r.eax = 1; /* hypercall page */
        r.ebx = XEN_LEAF;
        r.ecx = XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD;
        break;
    case 5:
        r.ebx = 52; /* machine address width */
        break;
    }
    return r;
}

static struct cpuid_regs features(struct cpuid_regs r, unsigned int id)
{
    r.ebx = (r.ebx & 0xff00) | id * 2 << 24 | 1u << 16;
    r.ecx = (r.ecx & ~ECX1_HIDE) | ECX1_HYPERVISOR;
    r.edx &= ~EDX1_HIDE;
    return r;
}

static struct cpuid_regs structured(struct cpuid_regs r, uint32_t subleaf)
{
    if (subleaf == 0) {
        r.eax = r.eax > 1 ? 1 : r.eax;
        r.ebx &= ~EBX7_HIDE;
        r.ecx &= ~ECX7_HIDE;
        r.edx &= EDX7_SHOW;
        return r;
    }
    return (struct cpuid_regs){
        .eax = subleaf == 1 ? r.eax & EAX71_SHOW : 0,
    };
}

static struct cpuid_regs xsave(struct cpuid_regs r, uint32_t subleaf)
{
    if (subleaf == 0) {
        r.eax &= XCR0_SHOW;
        r.edx = 0;
    } else if (subleaf == 1) {
        /* No XSAVEC, XSAVES: they need what ring 3 does not have. */
        r = (struct cpuid_regs){.eax = r.eax & BIT(0)};
    } else if (subleaf > 63 || !(1ull << subleaf & XCR0_SHOW)) {
        r = (struct cpuid_regs){0};
    }
    return r;
}

struct cpuid_regs cpu_policy_cpuid(unsigned int id, uint32_t leaf,
                                   uint32_t subleaf)
{
    struct cpuid_regs r;

    if (leaf >= XEN_LEAF && leaf < XEN_LEAF + 0x10000)
        return xen_leaf(leaf);
    r = native(leaf, subleaf);
    switch (leaf) {
    case 0:
        r.eax = r.eax > 0xd ? 0xd : r.eax;
        return r;
    case 1:
        return features(r, id);
    case 4:
        /* One core a package; the caches are the host's. */
        r.eax &= 0x3fff;
        return r;
    case 7:
        return structured(r, subleaf);
    case 0xd:
        return xsave(r, subleaf);
    case 2:
    case 0x80000000:
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
    case 0x80000005:
    case 0x80000006:
        return r;
    case 0x80000001:
        r.ecx &= ~ECX81_HIDE;
        r.edx &= ~EDX81_HIDE;
        return r;
    case 0x80000007:
        return (struct cpuid_regs){.edx = r.edx & BIT(8)};
    case 0x80000008:
        return (struct cpuid_regs){.eax = r.eax, .ebx = r.ebx & EBX88_SHOW};
    default:
        return (struct cpuid_regs){0};
    }
}

/* ---- MSRs ---- */

#define MSR_APIC_BASE      0x1b
#define MSR_PLATFORM_ID    0x17
#define MSR_UCODE_REV      0x8b
#define MSR_PLATFORM_INFO  0xce
#define MSR_MISC_FEATURES  0x140
#define MSR_MISC_ENABLE    0x1a0
#define MSR_PAT            0x277
#define MSR_EFER           0xc0000080
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX        0xc0000103
#define MSR_K8_SYSCFG      0xc0010010
#define MSR_K8_HWCR        0xc0010015
#define MSR_AMD_NB_CFG     0xc001001f
#define MSR_AMD_PATCH      0xc0010020
#define MSR_AMD_DE_CFG     0xc0011029
#define MSR_AMD_LS_CFG     0xc0011020
#define MSR_AMD_LAST_CFG   0xc001102f

#define XEN_PAT        0x050100070406ull /* Xen's, which Linux expects */
#define EFER_SEEN      0xd01ull
#define APIC_BASE_SEEN 0xfee00800ull
#define APIC_BASE_BSP  0x100ull
#define MISC_ENABLE    0x1801ull /* fast strings; no BTS, no PEBS */
#define DE_CFG_LFENCE  0x2ull

static uint64_t live_base(struct vcpu *v, bool gs)
{
    struct kvm_sregs s;

    if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
        return 0;
    return gs ? s.gs.base : s.fs.base;
}

bool cpu_policy_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
    switch (msr) {
    case MSR_FS_BASE:
    case MSR_GS_BASE:
        *val = live_base(v, msr == MSR_GS_BASE);
        return true;
    case MSR_KERNEL_GS_BASE:
        *val = v->gs_base_user;
        return true;
    case MSR_EFER:
        *val = EFER_SEEN;
        return true;
    case MSR_PAT:
        *val = XEN_PAT;
        return true;
    case MSR_APIC_BASE:
        *val = APIC_BASE_SEEN | (v->id ? 0 : APIC_BASE_BSP);
        return true;
    case MSR_MISC_ENABLE:
        *val = MISC_ENABLE;
        return true;
    case MSR_TSC_AUX:
        *val = v->tsc_aux;
        return true;
    case MSR_AMD_DE_CFG:
        *val = DE_CFG_LFENCE;
        return true;
    case MSR_PLATFORM_ID:
    case MSR_UCODE_REV:
    case MSR_PLATFORM_INFO:
    case MSR_MISC_FEATURES:
    case MSR_K8_SYSCFG:
    case MSR_K8_HWCR:
    case MSR_AMD_NB_CFG:
        *val = 0;
        return true;
    default:
        *val = 0;
        return msr >= MSR_AMD_LS_CFG && msr <= MSR_AMD_LAST_CFG;
    }
}

static bool set_base(struct vcpu *v, unsigned int which, uint64_t val)
{
    struct caller c = {.d = v->d, .v = v};
    const uint64_t args[6] = {which, val};

    return !do_set_segment_base(&c, args);
}

bool cpu_policy_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val)
{
    switch (msr) {
    case MSR_FS_BASE:
        return set_base(v, SEGBASE_FS, val);
    case MSR_GS_BASE:
        return set_base(v, SEGBASE_GS_KERNEL, val);
    case MSR_KERNEL_GS_BASE:
        return set_base(v, SEGBASE_GS_USER, val);
    case MSR_TSC_AUX:
        v->tsc_aux = (uint32_t)val;
        return true;
    case MSR_EFER:
        return val == EFER_SEEN;
    case MSR_PAT:
        return val == XEN_PAT;
    case MSR_APIC_BASE:
    case MSR_UCODE_REV:
    case MSR_MISC_ENABLE:
    case MSR_MISC_FEATURES:
    case MSR_K8_HWCR:
    case MSR_AMD_NB_CFG:
    case MSR_AMD_PATCH:
        return true; /* as Xen: dropped */
    default:
        if (msr >= MSR_AMD_LS_CFG && msr <= MSR_AMD_LAST_CFG)
            return true;
        domain_log(v->d, "v%u: wrmsr %#x <- %#lx refused", v->id, msr,
                   (unsigned long)val);
        return false;
    }
}
