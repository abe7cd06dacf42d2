/* SPDX-License-Identifier: MIT */
/*
 * What hv puts into a PV domain's memory behind its RAM: shared_info, grant
 * frames, the monitor with its tables, the M2P; and the page tables that map
 * them in the L4 slots Xen's ABI reserves.
 */
#include "hv/pv/pv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "hv/kvm_host.h"
#include "hv/log.h"

#define PTE_P    0x001ull
#define PTE_RW   0x002ull
#define PTE_U    0x004ull
#define PTE_A    0x020ull
#define PTE_D    0x040ull
#define PTE_PS   0x080ull
#define PTE_NX   (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

#define TABLE_ENTRY (PTE_P | PTE_RW | PTE_U | PTE_A)
#define USER_DATA   (PTE_P | PTE_RW | PTE_U | PTE_A | PTE_D | PTE_NX)
#define SYSTEM_DATA (PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX)

#define FRAMES_2M     512ull
#define STATUS_FRAMES 16
#define FOREIGN_NR    1024ull

extern const char monitor_start[], monitor_end[];

static uint64_t take(uint64_t *next, uint64_t n, uint64_t align)
{
    uint64_t at = (*next + align - 1) / align * align;

    *next = at + n;
    return at;
}

int pv_domain_layout(struct domain *d, uint64_t max_pages)
{
    struct pv_domain *pv = calloc(1, sizeof(*pv));
    uint64_t next = max_pages;

    if (!pv)
        return -ENOMEM;
    pthread_mutex_init(&pv->doorbell_lock, NULL);
    d->pv = pv;
    d->shared_info_gfn = take(&next, 1, FRAMES_2M);
    d->gnttab_gfn = take(&next, d->gnttab_nr, 1);
    d->status_gfn = take(&next, STATUS_FRAMES, 1);
    pv->text_gfn = take(&next, MON_TEXT_PAGES, 1);
    pv->data_gfn = take(&next, MON_DATA_PAGES, 1);
    pv->levels_gfn = take(&next, (max_pages + FRAME_SIZE - 1) / FRAME_SIZE, 1);
    pv->gdt_gfn = take(&next, 2, 1);
    pv->vcpu_gfn = take(&next, PV_VCPU_FRAMES * d->max_vcpus, 1);
    pv->pt_nr = 4 + 4 + 2 * d->max_vcpus + next / (FRAMES_2M * 512) + 3;
    pv->pt_gfn = take(&next, pv->pt_nr, 1);
    pv->m2p_frames = (next + next / 256 + 2 * FRAMES_2M) / FRAMES_2M;
    pv->m2p_gfn = take(&next, pv->m2p_frames, FRAMES_2M);
    d->nr_frames = take(&next, 0, FRAMES_2M);
    d->foreign_gfn = d->nr_frames;
    d->foreign_nr = FOREIGN_NR;
    pv->mmio_gfn = d->foreign_gfn + FOREIGN_NR;
    return 0;
}

bool pv_ring0(const struct domain *d)
{
    return d->hv->host && d->hv->host->syscall_cpl0;
}

/* What CPL3 may touch on software KVM, where the monitor itself runs there. */
static uint64_t reachable(const struct domain *d, uint64_t flags)
{
    return pv_ring0(d) ? flags & ~PTE_U : flags;
}

static const struct mon_header *header(struct domain *d)
{
    return domain_frame(d, d->pv->text_gfn);
}

/* The next table frame of hv's pool, which is sized to suffice. */
static uint64_t table_new(struct domain *d)
{
    struct pv_domain *pv = d->pv;
    uint64_t gfn = pv->pt_gfn + pv->pt_used;

    if (pv->pt_used >= pv->pt_nr)
        return 0;
    pv->pt_used++;
    memset(domain_frame(d, gfn), 0, FRAME_SIZE);
    return gfn;
}

static uint64_t *table_next(struct domain *d, uint64_t table, unsigned int i)
{
    uint64_t *e = (uint64_t *)domain_frame(d, table) + i;

    if (!(*e & PTE_P)) {
        uint64_t gfn = table_new(d);

        if (!gfn)
            return NULL;
        *e = gfn << 12 | TABLE_ENTRY;
    }
    return domain_frame(d, (*e & PTE_ADDR) >> 12);
}

/* Maps one page (4 KiB, or 2 MiB with PTE_PS in flags) below an L3 of hv's. */
static int map_page(struct domain *d, uint64_t l3, uint64_t va, uint64_t gfn,
                    uint64_t flags)
{
    uint64_t *l2 = table_next(d, l3, (va >> 30) & 511), *l1;

    if (!l2)
        return -ENOSPC;
    if (flags & PTE_PS) {
        l2[(va >> 21) & 511] = gfn << 12 | flags;
        return 0;
    }
    l1 = table_next(d, ((uint8_t *)l2 - d->mem) >> 12, (va >> 21) & 511);
    if (!l1)
        return -ENOSPC;
    l1[(va >> 12) & 511] = gfn << 12 | flags;
    return 0;
}

static int map_range(struct domain *d, uint64_t l3, uint64_t va, uint64_t gfn,
                     uint64_t n, uint64_t flags)
{
    uint64_t step = flags & PTE_PS ? FRAMES_2M : 1;
    int rc = 0;

    for (uint64_t i = 0; i < n && !rc; i += step)
        rc = map_page(d, l3, va + (i << 12), gfn + i, flags);
    return rc;
}

static uint64_t block_va(unsigned int id)
{
    return pv_vcpu_va(id);
}

/*
 * A vCPU's block: what each part is in the kernel's tables and in those for
 * user code, 0 = not there.  There, all that can be reached from CPL3 is the
 * page with user_start and, to read, the registers of the last step out; on
 * hardware nothing, and in the kernel's tables neither.
 */
static int map_block(struct domain *d, unsigned int id, bool user)
{
    static const struct {
        uint64_t off;
        enum pv_vcpu_frame kernel_frame, user_frame;
        unsigned int pages;
        uint64_t kernel_flags, user_flags;
    } parts[] = {
        {MON_TSS_OFF, PV_TSS, PV_USER_TSS, MON_TSS_PAGES, SYSTEM_DATA,
         SYSTEM_DATA},
        {MON_STACK_OFF, PV_STACK, PV_STACK, MON_STACK_PAGES, USER_DATA,
         SYSTEM_DATA},
        {MON_VDATA_OFF, PV_VDATA, PV_VDATA, 1, USER_DATA, SYSTEM_DATA},
        {MON_UDATA_OFF, PV_UDATA, PV_UDATA, 1, USER_DATA, USER_DATA & ~PTE_RW},
        {MON_CSTACK_OFF, PV_CSTACK, PV_CSTACK, MON_CSTACK_PAGES, USER_DATA, 0},
        {MON_VIDT_OFF, PV_VIDT, PV_USER_VIDT, 1, SYSTEM_DATA, SYSTEM_DATA},
    };
    uint64_t l3 = user ? d->pv->user_l3 : d->pv->slot_l3[0];
    int rc = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !rc; i++) {
        uint64_t flags =
            reachable(d, user ? parts[i].user_flags : parts[i].kernel_flags);

        if (flags)
            rc = map_range(
                d, l3, block_va(id) + parts[i].off,
                pv_vcpu_gfn(d, id,
                            user ? parts[i].user_frame : parts[i].kernel_frame),
                parts[i].pages, flags);
    }
    if (!rc)
        rc = map_range(d, l3, block_va(id) + MON_GDT_OFF + 14 * FRAME_SIZE,
                       d->pv->gdt_gfn, 2, SYSTEM_DATA);
    for (unsigned int i = 0; i < 14 && !rc; i++)
        rc = map_page(d, l3, block_va(id) + MON_GDT_OFF + i * FRAME_SIZE,
                      d->pv->gdt_gfn + 1, SYSTEM_DATA & ~PTE_RW);
    if (!rc)
        rc = map_range(d, l3, block_va(id) + MON_VTEXT_OFF, d->pv->text_gfn,
                       MON_TEXT_PAGES,
                       reachable(d, PTE_P | PTE_A | (user ? 0 : PTE_U)));
    if (!rc && user && !pv_ring0(d))
        rc = map_page(d, l3, block_va(id) + MON_VTEXT_OFF,
                      d->pv->text_gfn + header(d)->user_page / FRAME_SIZE,
                      PTE_P | PTE_A | PTE_U);
    return rc;
}

static int map_all(struct domain *d)
{
    struct pv_domain *pv = d->pv;
    int rc = 0;

    for (unsigned int i = 0; i < MON_NR_SLOTS; i++)
        pv->slot_l3[i] = table_new(d);
    pv->user_l3 = table_new(d);
    rc = map_range(d, pv->slot_l3[0], MON_VA + MON_TEXT_OFF, pv->text_gfn,
                   MON_TEXT_PAGES, reachable(d, PTE_P | PTE_U | PTE_A));
    if (!rc)
        rc = map_range(d, pv->slot_l3[0], MON_VA + MON_DATA_OFF, pv->data_gfn,
                       MON_DATA_PAGES, reachable(d, USER_DATA));
    for (unsigned int i = 0; i < d->max_vcpus && !rc; i++) {
        rc = map_block(d, i, false);
        if (!rc)
            rc = map_block(d, i, true);
    }
    if (!rc)
        rc = map_range(d, pv->slot_l3[1], DIRECTMAP_VA, 0, d->nr_frames,
                       reachable(d, USER_DATA | PTE_PS));
    if (!rc)
        rc = map_range(d, pv->slot_l3[2], M2P_VA, pv->m2p_gfn, pv->m2p_frames,
                       (USER_DATA & ~PTE_RW) | PTE_PS);
    return rc;
}

/* The L1 that maps va below an L3 of hv's: machine address. */
static uint64_t l1_of(struct domain *d, uint64_t l3, uint64_t va)
{
    const uint64_t *l2 = table_next(d, l3, (va >> 30) & 511);

    return l2[(va >> 21) & 511] & PTE_ADDR;
}

/* The entry of the page there, if frame is 0 an empty one. */
static uint64_t descriptor_page(const struct domain *d, uint64_t frame)
{
    uint64_t empty = (d->pv->gdt_gfn + 1) << 12;

    return frame ? frame << 12 | SYSTEM_DATA : empty | (SYSTEM_DATA & ~PTE_RW);
}

int pv_map_descriptors(struct vcpu *v, uint64_t off, unsigned int pages,
                       const uint64_t *frames, unsigned int nr)
{
    struct domain *d = v->d;
    uint64_t va = block_va(v->id) + off;
    uint64_t l1[2] = {l1_of(d, d->pv->slot_l3[0], va),
                      l1_of(d, d->pv->user_l3, va)};
    struct pte_write w[2 * MON_LDT_PAGES];
    int rc;

    for (unsigned int i = 0; i < 2 * pages; i++) {
        unsigned int page = i % pages;

        w[i].how = MON_PTE_STORE;
        w[i].maddr = l1[i / pages] + 8 * (((va >> 12) & 511) + page);
        w[i].val = descriptor_page(d, page < nr ? frames[page] : 0);
    }
    rc = pv_write_ptes(v, w, 2 * pages);
    return rc ? rc : pv_flush_tlb(v);
}

static void fill_gdt(struct domain *d)
{
    uint64_t *gdt = domain_frame(d, d->pv->gdt_gfn);

    /* Xen's flat descriptors at their selectors, index in this page. */
    gdt[0x08 / 8] = 0x00af9b000000ffff; /* 0xe008: CPL0 code */
    gdt[0x10 / 8] = 0x00cf93000000ffff; /* 0xe010: CPL0 data */
    gdt[0x18 / 8] = 0x00cfbb000000ffff; /* 0xe019: ring-1 code */
    gdt[0x20 / 8] = 0x00cffb000000ffff; /* 0xe023: 32-bit user code */
    gdt[0x28 / 8] = 0x00cff3000000ffff; /* 0xe02b: flat data */
    gdt[0x30 / 8] = 0x00affb000000ffff; /* 0xe033: 64-bit code */
    gdt[0x38 / 8] = 0x00cff3000000ffff; /* 0xe03b: what SYSEXIT makes of ss */
}

static void set_gate(uint64_t *gate, uint64_t va, unsigned int ist,
                     unsigned int dpl)
{
    gate[0] = (va & 0xffff) | (uint64_t)MON_CS << 16 | (uint64_t)ist << 32 |
              (uint64_t)(0x8f | dpl << 5) << 40 | ((va >> 16) & 0xffff) << 48;
    gate[1] = va >> 32;
}

static void fill_idt(struct domain *d, unsigned int id, bool user)
{
    const struct mon_header *h = header(d);
    uint64_t *idt =
        domain_frame(d, pv_vcpu_gfn(d, id, user ? PV_USER_VIDT : PV_VIDT));
    uint64_t text = block_va(id) + MON_VTEXT_OFF;
    bool ring0 = pv_ring0(d);
    uint64_t stubs = text + (ring0 ? h->stubs0 : h->stubs);

    /* Only int3 and into may be raised by an instruction. */
    for (unsigned int i = 0; i < 256; i++)
        set_gate(idt + 2 * i, stubs + i * MON_STUB_SIZE,
                 ring0 && i == 1 ? 2 : 1, i == 3 || i == 4 ? 3 : 0);
    if (ring0)
        return;
    set_gate(idt + 2 * 3, text + (user ? h->stub_syscall : h->stub_call), 1, 3);
    set_gate(idt + 2 * 13,
             text + (user ? h->stub_user_protection : h->stub_protection), 1,
             0);
    set_gate(idt + 2 * 14, text + (user ? h->stub_user_fault : h->stub_fault),
             1, 0);
}

static void fill_tss(struct domain *d, unsigned int id, bool user)
{
    uint64_t top = block_va(id) + MON_STACK_OFF + MON_STACK_PAGES * FRAME_SIZE;
    uint64_t debug_top = top - MON_DEBUG_BELOW;
    uint8_t *tss =
        domain_frame(d, pv_vcpu_gfn(d, id, user ? PV_USER_TSS : PV_TSS));

    memset(tss, 0, MON_TSS_PAGES * FRAME_SIZE);
    memcpy(tss + 4, &top, 8);  /* RSP0 */
    memcpy(tss + 36, &top, 8); /* IST1 */
    memcpy(tss + 44, &debug_top, 8);
    /*
     * The bitmap follows.  All zero for the kernel: every OUT reaches KVM, and
     * hv decides.  All ones for user code, which thus reaches no doorbell.
     * It ends with a byte of ones.
     */
    tss[102] = 104;
    memset(tss + 104, user ? 0xff : 0, 8192);
    tss[104 + 8192] = 0xff;
}

static void fill_mon_vcpu(struct domain *d, unsigned int id)
{
    struct mon_vcpu *m = domain_frame(d, pv_vcpu_gfn(d, id, PV_VDATA));
    const struct mon_header *h = header(d);
    uint64_t text = block_va(id) + MON_VTEXT_OFF;

    m->entry_sp = block_va(id) + MON_CSTACK_OFF + MON_CSTACK_PAGES * FRAME_SIZE;
    m->swap_rdx[MON_SWAP_USER] = text + h->from_user;
    m->swap_rdx[MON_SWAP_FAULT] = text + h->from_fault;
    m->swap_rdx[MON_SWAP_PROTECTION] = text + h->from_protection;
    m->max_pages = d->max_pages;
    m->levels = DIRECTMAP_VA + (d->pv->levels_gfn << 12);
    m->m2p = DIRECTMAP_VA + (d->pv->m2p_gfn << 12);
    for (unsigned int i = 0; i < MON_NR_SLOTS; i++)
        m->slot_kernel[i] = pv_slot_entry(d, i, false);
    m->slot_user = pv_slot_entry(d, 0, true);
    m->nr_vcpus = d->max_vcpus;
    m->user_cs = FLAT_CS64;
    m->user_ss = FLAT_SS;
    m->ring0 = pv_ring0(d);
    /* On software KVM they work at CPL3, whatever CR4 says. */
    m->fsgsbase = !pv_ring0(d) || d->hv->host->fsgsbase;
}

static void fill_m2p(struct domain *d)
{
    uint64_t *m2p = domain_frame(d, d->pv->m2p_gfn);
    uint64_t n = d->pv->m2p_frames * FRAME_SIZE / 8;

    for (uint64_t i = 0; i < n; i++)
        m2p[i] = i < d->max_pages ? i : ~0ull;
}

int pv_domain_init(struct domain *d)
{
    struct pv_domain *pv = d->pv;
    size_t len = monitor_end - monitor_start;
    int rc;

    if (len > MON_TEXT_PAGES * FRAME_SIZE)
        return -E2BIG;
    memcpy(domain_frame(d, pv->text_gfn), monitor_start, len);
    pv->pt_level = domain_frame(d, pv->levels_gfn);
    fill_gdt(d);
    fill_m2p(d);
    rc = map_all(d);
    for (unsigned int i = 0; i < d->max_vcpus && !rc; i++) {
        fill_idt(d, i, false);
        fill_idt(d, i, true);
        fill_tss(d, i, false);
        fill_tss(d, i, true);
        fill_mon_vcpu(d, i);
    }
    return rc;
}

void pv_domain_free(struct domain *d)
{
    if (!d->pv)
        return;
    pthread_mutex_destroy(&d->pv->doorbell_lock);
    free(d->pv);
    d->pv = NULL;
}

uint64_t pv_slot_entry(const struct domain *d, unsigned int i, bool user)
{
    if (!user)
        return d->pv->slot_l3[i] << 12 | TABLE_ENTRY;
    return i ? 0 : d->pv->user_l3 << 12 | TABLE_ENTRY;
}

int pv_install_slots(struct domain *d, uint64_t l4_gfn)
{
    uint64_t *l4 = domain_frame(d, l4_gfn);

    if (!l4 || !domain_owns_frame(d, l4_gfn))
        return -EINVAL;
    for (unsigned int i = 0; i < MON_NR_SLOTS; i++)
        l4[MON_FIRST_SLOT + i] = pv_slot_entry(d, i, false);
    return 0;
}

/*
 * One 32-byte entry.  Callers expect rcx and r11 to be kept; that of iret is
 * jumped to, and rax, r11 and rcx complete its frame.
 */
static uint8_t *put(uint8_t *p, const char *code, size_t n)
{
    memcpy(p, code, n);
    return p + n;
}

static void hypercall_entry(uint8_t *p, uint32_t nr, bool syscall,
                            uint64_t target)
{
    bool iret = nr == __HYPERVISOR_iret;

    if (syscall || iret)
        p = put(p, "\x51\x41\x53", 3); /* push rcx, r11 */
    if (iret)
        *p++ = 0x50; /* push rax */
    *p++ = 0xb8;     /* mov $nr, eax */
    p = put(p, (const char *)&nr, 4);
    if (target) {
        p = put(p, "\xff\x25\0\0\0\0", 6); /* jmp *0(rip) */
        put(p, (const char *)&target, 8);
    } else if (syscall) {
        /* syscall; pop r11, rcx; ret */
        put(p, "\x0f\x05\x41\x5b\x59\xc3", 6);
    } else {
        *p++ = 0xe7; /* out eax, $DOORBELL_HYPERCALL; ret */
        *p++ = DOORBELL_HYPERCALL;
        *p++ = 0xc3;
    }
}

/*
 * On hardware KVM every way leads through the monitor.  On software KVM an OUT
 * is the shortest one for what only hv can do.
 */
static bool by_syscall(const struct domain *d, unsigned int nr)
{
    switch (nr) {
    case __HYPERVISOR_mmu_update:
    case __HYPERVISOR_update_va_mapping:
    case __HYPERVISOR_mmuext_op:
    case __HYPERVISOR_multicall:
    case __HYPERVISOR_stack_switch:
    case __HYPERVISOR_set_segment_base:
    case __HYPERVISOR_iret:
        return true;
    default:
        return pv_ring0(d);
    }
}

void pv_hypercall_page(struct domain *d, void *page)
{
    const struct mon_header *h = (const void *)monitor_start;
    uint8_t *p = page;

    memset(p, 0xcc, FRAME_SIZE);
    for (unsigned int nr = 0; nr < FRAME_SIZE / 32; nr++) {
        uint64_t target = 0;

        if (nr == __HYPERVISOR_event_channel_op && !pv_ring0(d))
            target = MON_VA + h->evtchn_op;
        if (nr == __HYPERVISOR_xen_version && !pv_ring0(d))
            target = MON_VA + h->xen_version;
        hypercall_entry(p + nr * 32, nr, by_syscall(d, nr), target);
    }
}
