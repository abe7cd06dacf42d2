/* SPDX-License-Identifier: MIT */
#include "hv/kvm_host.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CPUID_MAX 256
#define BIT_SMEP  (1u << 7)
#define BIT_VMX   (1u << 5)
#define BIT_SVM   (1u << 2)

static int read_cpuid(struct kvm_host *h)
{
    h->cpuid = calloc(1, sizeof(*h->cpuid) +
                             CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
    if (!h->cpuid)
        return -ENOMEM;
    h->cpuid->nent = CPUID_MAX;
    if (ioctl(h->fd, KVM_GET_SUPPORTED_CPUID, h->cpuid) < 0)
        return -errno;
    h->xcr0 = 3;
    for (uint32_t i = 0; i < h->cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *e = &h->cpuid->entries[i];

        /* Whoever gets to CPL0 there is not to find a hypervisor's tools. */
        if (e->function == 1)
            e->ecx &= ~BIT_VMX;
        if (e->function == 0x80000001)
            e->ecx &= ~BIT_SVM;
        if (e->function == 0xd && e->index == 0)
            h->xcr0 = (uint64_t)e->edx << 32 | e->eax;
        if (e->function == 7 && e->index == 0) {
            h->fsgsbase = e->ebx & bit_FSGSBASE;
            h->smep = e->ebx & BIT_SMEP;
        }
    }
    return 0;
}

static int missing(char *err, unsigned int size, const char *what)
{
    snprintf(err, size,
             "this kernel's KVM lacks %s, which hv needs; "
             "a newer kernel has it",
             what);
    return -ENOTSUP;
}

int kvm_host_open(struct kvm_host *h, char *err, unsigned int size)
{
    int rc;

    memset(h, 0, sizeof(*h));
    h->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (h->fd < 0) {
        rc = -errno;
        snprintf(err, size, "cannot open /dev/kvm: %s; %s", strerror(-rc),
                 rc == -ENOENT ? "load the kvm module (kvm_intel, kvm_amd or "
                                 "kvm_pvm), or enable virtualization"
                               : "add yourself to the group kvm, or be root");
        return rc;
    }
    rc = ioctl(h->fd, KVM_GET_API_VERSION, 0);
    if (rc != KVM_API_VERSION) {
        rc = missing(err, size, "API version 12");
        goto fail;
    }
    rc = ioctl(h->fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
    h->sync_regs = rc > 0 && (rc & KVM_SYNC_X86_REGS);
    if (!h->sync_regs) {
        rc = missing(err, size, "KVM_CAP_SYNC_REGS");
        goto fail;
    }
    if (ioctl(h->fd, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0) {
        rc = missing(err, size, "KVM_CAP_IMMEDIATE_EXIT");
        goto fail;
    }
    h->ioeventfd = ioctl(h->fd, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD) > 0;
    rc = ioctl(h->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (rc <= 0) {
        rc = missing(err, size, "a mapping for vCPUs");
        goto fail;
    }
    h->run_size = rc;
    rc = read_cpuid(h);
    if (rc) {
        snprintf(err, size, "KVM_GET_SUPPORTED_CPUID: %s", strerror(-rc));
        goto fail;
    }
    return 0;
fail:
    kvm_host_close(h);
    return rc;
}

void kvm_host_close(struct kvm_host *h)
{
    free(h->cpuid);
    h->cpuid = NULL;
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}
