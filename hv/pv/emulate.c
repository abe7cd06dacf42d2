/* SPDX-License-Identifier: MIT */
/*
 * Instructions of the guest's kernel that fault in ring 3 and that Xen carries
 * out for it.  Called on #GP and #UD, before the guest sees the fault.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>
#include "hv/kvm_host.h"
#include "hv/log.h"
#include "hv/pv/cpu_policy.h"
#include "hv/pv/insn.h"
#include "hv/pv/pv.h"
#include "hv/trapped/trapped.h"

#define CR0_SEEN   0x80050033ull /* PE MP ET NE WP AM PG */
#define CR0_TS     0x8ull
#define CR4_UNSEEN (~0x50620ull) /* PAE OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE */
#define LOW32      0xffffffffull
#define PORT_PIT2  0x42

static __u64 *gpr(struct kvm_regs *r, unsigned int i)
{
    __u64 *const at[16] = {&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp,
                           &r->rsi, &r->rdi, &r->r8,  &r->r9,  &r->r10, &r->r11,
                           &r->r12, &r->r13, &r->r14, &r->r15};

    return at[i & 15];
}

static void set_edx_eax(struct kvm_regs *r, uint64_t val)
{
    r->rax = val & LOW32;
    r->rdx = val >> 32;
}

static uint64_t get_edx_eax(const struct kvm_regs *r)
{
    return (r->rdx & LOW32) << 32 | (r->rax & LOW32);
}

/* ---- control, debug registers ---- */

static bool read_cr(struct vcpu *v, unsigned int cr, __u64 *to)
{
    switch (cr) {
    case 0:
        *to = CR0_SEEN | (v->ts ? CR0_TS : 0);
        return true;
    case 2:
        *to = atomic_load(&v->vcpu_info)->arch.cr2;
        return true;
    case 3:
        *to = xen_pfn_to_cr3(v->cr3 >> 12);
        return true;
    case 4:
        *to = v->cr4;
        return true;
    default:
        return false;
    }
}

static bool write_cr(struct vcpu *v, unsigned int cr, uint64_t val)
{
    switch (cr) {
    case 0:
        v->ts = val & CR0_TS;
        return !((val ^ CR0_SEEN) & ~CR0_TS);
    case 2:
        atomic_load(&v->vcpu_info)->arch.cr2 = val;
        return true;
    case 3:
        return !pv_new_baseptr(v, xen_cr3_to_pfn(val));
    case 4:
        /* Others are accepted and not kept, as Xen does. */
        v->cr4 = val & ~CR4_UNSEEN;
        return true;
    default:
        return false;
    }
}

/* ---- ports ---- */

void pv_port_io(struct vcpu *v, uint16_t port, unsigned int size, bool write,
                uint8_t *data, unsigned int count)
{
    if (v->d->trapped &&
        trapped_pio(v->d->trapped, port, size, write, data, count))
        return;
    /* A PIT that reads as all ones sends Linux round 100,000 times. */
    if (!write)
        memset(data, port == PORT_PIT2 ? 0 : 0xff, (size_t)size * count);
}

/* The kernel may always; its user as the kernel says. */
static bool port_allowed(struct vcpu *v, const struct insn *i)
{
    struct caller c = {.d = v->d, .v = v};
    uint16_t port = i->port_dx ? vcpu_regs(v)->rdx : i->imm, bits;
    uint16_t wanted = ((1u << i->size) - 1) << (port & 7);

    if (!v->user_mode || v->iopl >= 3)
        return true;
    if (port + i->size > v->io_ports ||
        copy_from_guest(&c, &bits, GUEST_ADDR(v->io_bitmap + port / 8), 2))
        return false;
    return !(bits & wanted);
}

static bool port_insn(struct vcpu *v, const struct insn *i)
{
    struct kvm_regs *r = vcpu_regs(v);
    uint16_t port = i->port_dx ? r->rdx : i->imm;
    uint64_t val = r->rax, keep = i->size == 4 ? 0 : ~0ull << 8 * i->size;

    pv_port_io(v, port, i->size, i->kind == INSN_OUT, (uint8_t *)&val, 1);
    if (i->kind == INSN_IN)
        r->rax = (r->rax & keep) | (i->size == 4 ? val & LOW32 : val & ~keep);
    return true;
}

static bool string_step(struct vcpu *v, const struct insn *i)
{
    struct kvm_regs *r = vcpu_regs(v);
    struct caller c = {.d = v->d, .v = v};
    bool out = i->kind == INSN_OUTS;
    __u64 *at = out ? &r->rsi : &r->rdi;
    uint8_t buf[4];

    if (v->user_mode && *at >> 47)
        return false; /* the kernel's half, by the kernel's tables */
    if (out && copy_from_guest(&c, buf, GUEST_ADDR(*at), i->size))
        return false;
    pv_port_io(v, r->rdx, i->size, out, buf, 1);
    if (!out && copy_to_guest(&c, GUEST_ADDR(*at), buf, i->size))
        return false;
    *at += r->rflags & 0x400 ? -(uint64_t)i->size : i->size;
    return true;
}

/* One page's worth at most, then the instruction is begun again. */
static bool port_string(struct vcpu *v, struct insn *i)
{
    struct kvm_regs *r = vcpu_regs(v);
    unsigned int n = 0;

    if (i->addr32)
        return false;
    if (!i->rep)
        return string_step(v, i);
    for (; r->rcx && n < FRAME_SIZE; n++, r->rcx--)
        if (!string_step(v, i))
            return false;
    if (r->rcx)
        i->len = 0;
    return true;
}

/* ---- the rest ---- */

static bool xsetbv(const struct vcpu *v)
{
    const struct kvm_regs *r = vcpu_regs((struct vcpu *)v);
    uint64_t val = get_edx_eax(r), host = v->d->hv->host->xcr0;

    /* What the host has is on already; less would only hide state. */
    return !(uint32_t)r->rcx && (val & 1) && !(val & ~host);
}

static void cpuid(struct vcpu *v)
{
    struct kvm_regs *r = vcpu_regs(v);
    struct cpuid_regs c = cpu_policy_cpuid(v->id, r->rax, r->rcx);

    r->rax = c.eax;
    r->rbx = c.ebx;
    r->rcx = c.ecx;
    r->rdx = c.edx;
}

static bool rdmsr(struct vcpu *v)
{
    uint64_t val;

    if (!cpu_policy_rdmsr(v, vcpu_regs(v)->rcx, &val))
        return false;
    set_edx_eax(vcpu_regs(v), val);
    return true;
}

static bool wrmsr(struct vcpu *v)
{
    struct kvm_regs *r = vcpu_regs(v);

    return cpu_policy_wrmsr(v, r->rcx, get_edx_eax(r));
}

static bool run_port_insn(struct vcpu *v, struct insn *i)
{
    switch (i->kind) {
    case INSN_IN:
    case INSN_OUT:
        return port_allowed(v, i) && port_insn(v, i);
    case INSN_INS:
    case INSN_OUTS:
        return port_allowed(v, i) && port_string(v, i);
    default:
        return false;
    }
}

static bool run_kernel_insn(struct vcpu *v, struct insn *i)
{
    struct kvm_regs *r = vcpu_regs(v);

    switch (i->kind) {
    case INSN_MOV_FROM_CR:
        return read_cr(v, i->reg, gpr(r, i->gpr));
    case INSN_MOV_TO_CR:
        return write_cr(v, i->reg, *gpr(r, i->gpr));
    case INSN_MOV_FROM_DR:
        *gpr(r, i->gpr) = pv_get_debugreg(v, i->reg);
        return i->reg < 8;
    case INSN_MOV_TO_DR:
        return !pv_set_debugreg(v, i->reg, *gpr(r, i->gpr));
    case INSN_CLTS:
        v->ts = false;
        return true;
    case INSN_RDMSR:
        return rdmsr(v);
    case INSN_WRMSR:
        return wrmsr(v);
    case INSN_XSETBV:
        return xsetbv(v);
    case INSN_WBINVD:
    case INSN_CLI: /* Xen ignores both: the mask is in vcpu_info */
    case INSN_STI:
        return true;
    default:
        return false;
    }
}

/* What user code may have done for it as well. */
static bool run_any_insn(struct vcpu *v, const struct insn *i)
{
    struct kvm_regs *r = vcpu_regs(v);
    unsigned int aux;

    switch (i->kind) {
    case INSN_CPUID:
        cpuid(v);
        return true;
    case INSN_RDTSC:
        set_edx_eax(r, __rdtsc());
        return true;
    case INSN_RDTSCP:
        set_edx_eax(r, __rdtscp(&aux));
        r->rcx = v->tsc_aux;
        return true;
    default:
        return false;
    }
}

/* INT n through the guest's own table, if its gate may be called from here. */
static bool software_interrupt(struct vcpu *v, const struct insn *i)
{
    const struct trap_info *t = &v->traps[i->imm];

    if (!t->address || TI_GET_DPL(t) < (v->user_mode ? 3 : 1)) {
        pv_inject_trap(v, 13, i->imm << 3 | 2);
        return true;
    }
    vcpu_regs(v)->rip += i->len;
    pv_inject_trap(v, i->imm, 0);
    return true;
}

/* The bytes at rip, as many as are mapped. */
static size_t fetch(struct vcpu *v, uint8_t *buf)
{
    uint64_t rip = vcpu_regs(v)->rip, maddr;
    uint64_t cr3 = v->user_mode && v->user_cr3 ? v->user_cr3 : v->cr3;
    size_t n = 0;

    for (; n < INSN_MAX; n++) {
        /* An address that is none is not another one's instruction. */
        if ((int64_t)((rip + n) << 16) >> 16 != (int64_t)(rip + n) ||
            pv_walk(v, cr3, rip + n, false, &maddr))
            break;
        buf[n] = v->d->mem[maddr];
    }
    return n;
}

bool pv_emulate(struct vcpu *v, unsigned int vector)
{
    uint8_t code[INSN_MAX];
    struct insn i = insn_decode(code, fetch(v, code));
    bool done;

    if (i.kind == INSN_INT)
        return software_interrupt(v, &i);
    /* #UD is for the forced prefix, and where KVM gives it for #GP. */
    if (vector == 6 && !i.forced && v->user_mode)
        return false;
    done = run_any_insn(v, &i) || run_port_insn(v, &i) ||
           (!v->user_mode && run_kernel_insn(v, &i));
    if (done)
        vcpu_regs(v)->rip += i.len;
    return done;
}
