/* SPDX-License-Identifier: MIT */
#include "hv/probe.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEM_SIZE (2u << 20)
#define L4       0x1000
#define L3       0x2000
#define L2       0x3000
#define IDT      0x4000
#define GDT      0x5000
#define TSS      0x6000 /* and two more pages of bitmap */
#define TOP0     0xa000
#define CODE     0x10000
#define TOP3     0x20000
#define CS0      0x08
#define CS3      0x23
#define SS3      0x1b
#define TABLE    0x27ull /* present, writable, user, accessed */
#define BIG      0xe7ull /* and dirty, 2 MiB */

uint64_t probe_va(const char *piece)
{
    return CODE + (piece - probe_code);
}

static void put64(struct probe_vm *p, uint64_t at, uint64_t val)
{
    memcpy(p->mem + at, &val, sizeof(val));
}

static void fill_memory(struct probe_vm *p)
{
    uint64_t trap = probe_va(probe_trap), top = TOP0;

    put64(p, L4, L3 | TABLE);
    put64(p, L4 + 256 * 8, L3 | TABLE);
    put64(p, L3, L2 | TABLE);
    put64(p, L2, BIG);
    put64(p, GDT + CS0, 0x00af9b000000ffff);
    put64(p, GDT + 0x10, 0x00cf93000000ffff);
    put64(p, GDT + 0x18, 0x00cff3000000ffff);
    put64(p, GDT + 0x20, 0x00affb000000ffff);
    for (unsigned int v = 0; v < 256; v++)
        put64(p, IDT + v * 16,
              (trap & 0xffff) | (uint64_t)CS0 << 16 | 0x8eull << 40 |
                  (trap >> 16 & 0xffff) << 48);
    memcpy(p->mem + TSS + 4, &top, sizeof(top));
    p->mem[TSS + 102] = 104;
    p->mem[TSS + 104 + 8192] = 0xff;
    memcpy(p->mem + CODE, probe_code, probe_code_end - probe_code);
}

static int make_vcpu(struct probe_vm *p)
{
    struct kvm_userspace_memory_region r = {
        .memory_size = MEM_SIZE,
        .userspace_addr = (uintptr_t)p->mem,
    };

    if (ioctl(p->vm_fd, KVM_SET_USER_MEMORY_REGION, &r) < 0)
        return -errno;
    p->fd = ioctl(p->vm_fd, KVM_CREATE_VCPU, 0);
    if (p->fd < 0)
        return -errno;
    p->run = mmap(NULL, p->host->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                  p->fd, 0);
    if (p->run == MAP_FAILED) {
        p->run = NULL;
        return -errno;
    }
    return ioctl(p->fd, KVM_SET_CPUID2, p->host->cpuid) < 0 ? -errno : 0;
}

int probe_vm_open(struct probe_vm *p, const struct kvm_host *host, bool irqchip)
{
    int rc;

    memset(p, 0, sizeof(*p));
    p->host = host;
    p->fd = -1;
    p->vm_fd = ioctl(host->fd, KVM_CREATE_VM, 0);
    if (p->vm_fd < 0)
        return -errno;
    if (irqchip && ioctl(p->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0) {
        rc = -errno;
        probe_vm_close(p);
        return rc;
    }
    p->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p->mem == MAP_FAILED) {
        p->mem = NULL;
        rc = -ENOMEM;
    } else {
        fill_memory(p);
        rc = make_vcpu(p);
    }
    if (rc)
        probe_vm_close(p);
    return rc;
}

void probe_vm_close(struct probe_vm *p)
{
    if (p->run)
        munmap(p->run, p->host->run_size);
    if (p->fd >= 0)
        close(p->fd);
    if (p->vm_fd >= 0)
        close(p->vm_fd);
    if (p->mem)
        munmap(p->mem, MEM_SIZE);
}

static struct kvm_segment segment(uint16_t sel, uint8_t type, bool code)
{
    return (struct kvm_segment){
        .selector = sel,
        .limit = 0xffffffff,
        .type = type,
        .present = 1,
        .dpl = sel & 3,
        .s = 1,
        .g = 1,
        .db = !code,
        .l = code,
    };
}

static int set_sregs(struct probe_vm *p, int cpl)
{
    struct kvm_sregs s;

    if (ioctl(p->fd, KVM_GET_SREGS, &s) < 0)
        return -errno;
    s.cs = segment(cpl ? CS3 : CS0, 11, true);
    s.ss = segment(cpl ? SS3 : 0x10, 3, false);
    s.ds = s.es = s.fs = s.gs = segment(SS3, 3, false);
    s.tr = (struct kvm_segment){
        .selector = 0x28,
        .base = TSS,
        .limit = 104 + 8192,
        .type = 11,
        .present = 1,
    };
    s.gdt.base = GDT;
    s.gdt.limit = 0xfff;
    s.idt.base = IDT;
    s.idt.limit = 0xfff;
    s.cr0 = 0x80010033;
    s.cr3 = L4;
    s.cr4 = 0x620;
    s.efer = 0xd01;
    return ioctl(p->fd, KVM_SET_SREGS, &s) < 0 ? -errno : 0;
}

static int set_lstar(struct probe_vm *p)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry e[3];
    } m = {
        .head.nmsrs = 3,
        .e = {{.index = 0xc0000081, .data = 0x13ull << 48 | 0x08ull << 32},
              {.index = 0xc0000082, .data = probe_va(probe_lstar)},
              {.index = 0xc0000084, .data = 0x47700}},
    };

    return ioctl(p->fd, KVM_SET_MSRS, &m) == 3 ? 0 : -EIO;
}

int probe_vm_set(struct probe_vm *p, const char *piece, int cpl,
                 struct probe_regs regs)
{
    struct kvm_regs r = {
        .rip = probe_va(piece),
        .rsp = cpl ? TOP3 : TOP0,
        .rflags = 0x202,
        .rbx = regs.rbx,
        .rcx = regs.rcx,
        .rdx = regs.rdx,
    };
    int rc = set_sregs(p, cpl);

    if (!rc)
        rc = set_lstar(p);
    if (!rc && ioctl(p->fd, KVM_SET_REGS, &r) < 0)
        rc = -errno;
    return rc;
}

int probe_vm_run(struct probe_vm *p)
{
    if (ioctl(p->fd, KVM_RUN, 0) < 0 || p->run->exit_reason != KVM_EXIT_IO)
        return -1;
    return p->run->io.port;
}
