/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables: what a guest may have in its GDT and LDT, and where the
 * CPU finds them.  Source: xen/xen.h, xen/arch-x86/xen.h.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include "hv/hypercall.h"
#include "hv/pv/foreign.h"
#include "hv/pv/pv.h"

#define DESC_P        (1ull << 47)
#define DESC_S        (1ull << 44)
#define DESC_TYPE     (0xfull << 40)
#define DESC_CALLGATE (0xcull << 40)
#define DESC_DPL      (3ull << 45)
#define DESC_RPL      (3ull << 16)    /* of a gate's selector */
#define DESC_GATE_RES (0xffull << 32) /* 64-bit gates have no parameters */

#define GDT_PAGES  14
#define PER_PAGE   512
#define LDT_MAX    8192
#define LDT_SEL    0xe050
#define FIRST_XEN  0xe000 /* selectors from here on are the hypervisor's */
#define FLAT_FIRST 0xe019
#define FLAT_LAST  0xe03b

/* A gate may lead to the guest's own code, or to Xen's flat segments. */
static bool gate_selector_ok(uint16_t sel)
{
    if (sel >= FIRST_XEN && !(sel & 4))
        return sel >= FLAT_FIRST && sel <= FLAT_LAST;
    return true;
}

/*
 * True if the guest may have this descriptor, which is then changed as Xen
 * changes it: no privilege below 3, and a call gate faults, to be emulated.
 */
static bool descriptor_fix(uint64_t *e)
{
    if (!(*e & DESC_P))
        return true;
    if ((*e & DESC_S) || !(*e & DESC_TYPE)) {
        *e |= DESC_DPL;
        return true;
    }
    if ((*e & DESC_TYPE) != DESC_CALLGATE)
        return false;
    *e |= DESC_RPL;
    *e &= ~DESC_DPL;
    return gate_selector_ok(*e >> 16) && !(*e & DESC_GATE_RES);
}

long do_update_descriptor(struct caller *c, const uint64_t args[6])
{
    uint64_t maddr = args[0], e = args[1];
    uint64_t *at;

    if (!c->v)
        return -ENOSYS;
    if (maddr % 8 || !domain_owns_frame(c->d, maddr >> 12) ||
        !descriptor_fix(&e))
        return -EINVAL;
    at = (uint64_t *)(c->d->mem + maddr);
    __atomic_store_n(at, e, __ATOMIC_RELAXED);
    return 0;
}

/* Whether a page may be one of descriptors: all of it is made such. */
static bool page_fix(struct domain *d, uint64_t gfn)
{
    uint64_t *e = domain_frame(d, gfn);

    if (!domain_owns_frame(d, gfn))
        return false;
    for (unsigned int i = 0; i < PER_PAGE; i++) {
        uint64_t was = __atomic_load_n(&e[i], __ATOMIC_RELAXED), now = was;

        if (!descriptor_fix(&now))
            return false;
        if (now != was)
            __atomic_store_n(&e[i], now, __ATOMIC_RELAXED);
    }
    return true;
}

int pv_set_gdt(struct vcpu *v, const uint64_t *frames, unsigned int ents)
{
    unsigned int nr = (ents + PER_PAGE - 1) / PER_PAGE;

    if (nr > GDT_PAGES)
        return -EINVAL;
    for (unsigned int i = 0; i < nr; i++)
        if (!page_fix(v->d, frames[i]))
            return -EINVAL;
    return pv_map_descriptors(v, MON_GDT_OFF, GDT_PAGES, frames, nr);
}

long do_set_gdt(struct caller *c, const uint64_t args[6])
{
    uint64_t frames[GDT_PAGES], ents = args[1];

    if (!c->v)
        return -ENOSYS;
    if (ents > GDT_PAGES * PER_PAGE)
        return -EINVAL;
    if (copy_from_guest(c, frames, (guest_addr_t){args[0]},
                        (ents + PER_PAGE - 1) / PER_PAGE * 8))
        return -EFAULT;
    return pv_set_gdt(c->v, frames, ents);
}

static int load_ldt(struct vcpu *v, unsigned int ents)
{
    struct kvm_sregs s;

    if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
        return -errno;
    s.ldt = (struct kvm_segment){.unusable = 1};
    if (ents)
        s.ldt = (struct kvm_segment){
            .base = pv_vcpu_va(v->id) + MON_LDT_OFF,
            .limit = ents * 8 - 1,
            .selector = LDT_SEL,
            .type = 2,
            .present = 1,
        };
    return ioctl(v->fd, KVM_SET_SREGS, &s) < 0 ? -errno : 0;
}

/* Pages that are not mapped, or hold what may not be there, are empty. */
long pv_set_ldt(struct vcpu *v, uint64_t va, uint64_t ents)
{
    uint64_t frames[MON_LDT_PAGES], maddr;
    unsigned int nr = (ents + PER_PAGE - 1) / PER_PAGE;
    int rc;

    if (ents > LDT_MAX || va % FRAME_SIZE || (ents && !guest_va_ok(va)))
        return -EINVAL;
    for (unsigned int i = 0; i < nr; i++) {
        frames[i] = v->d->pv->gdt_gfn + 1;
        if (!pv_xen_slot(va >> 39 & 511) &&
            !pv_walk(v, v->cr3, va + i * FRAME_SIZE, false, &maddr) &&
            page_fix(v->d, maddr >> 12))
            frames[i] = maddr >> 12;
    }
    rc = pv_map_descriptors(v, MON_LDT_OFF, MON_LDT_PAGES, frames, nr);
    return rc ? rc : load_ldt(v, ents);
}

/* The entry of a selector; 0 if it is past the end, or not there. */
static uint64_t descriptor_of(struct vcpu *v, const struct kvm_sregs *s,
                              uint16_t sel)
{
    bool local = sel & 4;
    uint64_t base = local ? s->ldt.base : s->gdt.base, maddr;
    uint32_t limit = local ? s->ldt.limit : s->gdt.limit;

    if ((local && s->ldt.unusable) || (sel | 7u) > limit ||
        pv_walk(v, v->cr3, base + (sel & ~7u), false, &maddr))
        return 0;
    return *(volatile uint64_t *)(v->d->mem + maddr);
}

static int read_segment(struct vcpu *v, const struct kvm_sregs *s, uint16_t sel,
                        struct kvm_segment *seg)
{
    uint64_t e = descriptor_of(v, s, sel);
    bool pages = e >> 55 & 1;
    uint32_t limit = (e & 0xffff) | (e >> 32 & 0xf0000);

    if (!(e & DESC_P) || !(e & DESC_S) || (e & DESC_DPL) != DESC_DPL)
        return -EINVAL;
    *seg = (struct kvm_segment){
        .selector = sel | 3,
        .base = (e >> 16 & 0xffffff) | (e >> 32 & 0xff000000),
        .limit = pages ? limit << 12 | 0xfff : limit,
        .type = (e >> 40 & 15) | 1,
        .present = 1,
        .dpl = 3,
        .s = 1,
        .avl = e >> 52 & 1,
        .l = e >> 53 & 1,
        .db = e >> 54 & 1,
        .g = pages,
    };
    return 0;
}

static bool flat_code(uint16_t cs)
{
    return cs == FLAT_CS64 || cs == LINUX_CS64;
}

void pv_user_segments(struct vcpu *v, uint16_t cs, uint16_t ss)
{
    bool flat = flat_code(cs);

    v->user_cs = flat ? FLAT_CS64 : cs;
    v->user_ss = flat ? FLAT_SS : ss;
}

bool pv_load_user_segments(struct vcpu *v, struct kvm_sregs *s)
{
    struct kvm_segment cs, ss;

    if (!v->user_cs || flat_code(v->user_cs) ||
        read_segment(v, s, v->user_cs, &cs) ||
        read_segment(v, s, v->user_ss, &ss))
        return false;
    s->cs = cs;
    s->ss = ss;
    return true;
}
