/* SPDX-License-Identifier: MIT */
/*
 * The window: one KVM memslot behind a domain's own frames.  A foreign page
 * replaces a page of it by MAP_FIXED; KVM's MMU notifiers drop the old
 * translation.
 */
#include "hv/pv/foreign.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/kvm.h>
#include "hv/pv/pv.h"

struct foreign_window {
    pthread_mutex_t lock;
    uint8_t *mem;
    bool used[];
};

static void *window_page(const struct domain *d, uint64_t i)
{
    return d->foreign->mem + i * FRAME_SIZE;
}

static void *map_empty(void *at, size_t len)
{
    return mmap(at, len, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
                    (at ? MAP_FIXED : 0),
                -1, 0);
}

int foreign_window_init(struct domain *d)
{
    struct foreign_window *w = calloc(1, sizeof(*w) + d->foreign_nr);
    size_t len = d->foreign_nr * FRAME_SIZE;

    if (!w)
        return -ENOMEM;
    w->mem = map_empty(NULL, len);
    if (w->mem == MAP_FAILED) {
        free(w);
        return -ENOMEM;
    }
    pthread_mutex_init(&w->lock, NULL);
    d->foreign = w;
    if (d->vm_fd >= 0) {
        struct kvm_userspace_memory_region r = {
            .slot = 1,
            .guest_phys_addr = d->foreign_gfn << 12,
            .memory_size = len,
            .userspace_addr = (uintptr_t)w->mem,
        };

        if (ioctl(d->vm_fd, KVM_SET_USER_MEMORY_REGION, &r) < 0)
            return -errno;
    }
    return 0;
}

void foreign_window_free(struct domain *d)
{
    if (!d->foreign)
        return;
    munmap(d->foreign->mem, d->foreign_nr * FRAME_SIZE);
    pthread_mutex_destroy(&d->foreign->lock);
    free(d->foreign);
    d->foreign = NULL;
}

int foreign_window_map(struct domain *d, struct domain *rd, uint64_t rgfn,
                       bool readonly, uint64_t *gfn)
{
    struct foreign_window *w = d->foreign;
    int rc = -ENOSPC;

    if (!w || !domain_frame(rd, rgfn))
        return -EINVAL;
    pthread_mutex_lock(&w->lock);
    for (uint64_t i = 0; i < d->foreign_nr && rc == -ENOSPC; i++) {
        if (w->used[i])
            continue;
        rc = mmap(window_page(d, i), FRAME_SIZE,
                  PROT_READ | (readonly ? 0 : PROT_WRITE),
                  MAP_SHARED | MAP_FIXED, rd->mem_fd, rgfn << 12) == MAP_FAILED
                 ? -errno
                 : 0;
        w->used[i] = !rc;
        *gfn = d->foreign_gfn + i;
    }
    pthread_mutex_unlock(&w->lock);
    return rc;
}

/* Changing the rights of a whole mapping needs no other one. */
static bool put_out_of_reach(void *page)
{
    return map_empty(page, FRAME_SIZE) != MAP_FAILED ||
           !mprotect(page, FRAME_SIZE, PROT_NONE);
}

int foreign_window_unmap(struct domain *d, uint64_t gfn)
{
    struct foreign_window *w = d->foreign;
    uint64_t i = gfn - d->foreign_gfn;
    int rc = 0;

    if (!w || i >= d->foreign_nr)
        return 0;
    pthread_mutex_lock(&w->lock);
    if (w->used[i] && !put_out_of_reach(window_page(d, i)))
        rc = -ENOMEM;
    else
        w->used[i] = false;
    pthread_mutex_unlock(&w->lock);
    return rc;
}
