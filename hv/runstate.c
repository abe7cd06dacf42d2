/* SPDX-License-Identifier: MIT */
#include "hv/runstate.h"

#include <stddef.h>
#include "hv/domain.h"
#include "hv/guest_access.h"

/* A guest that unmapped its area has only itself to blame: errors are lost. */
static void put(struct vcpu *v, uint64_t addr, const void *p, size_t n)
{
    struct caller c = {.d = v->d, .v = v};

    if (copy_to_guest(&c, GUEST_ADDR(addr), p, n))
        return;
}

/*
 * With VMASST_TYPE_runstate_update_flag the top bit of state_entry_time is set
 * while the rest changes, for readers on other vCPUs.
 */
static void write_area(struct vcpu *v, uint64_t at,
                       struct vcpu_runstate_info *r)
{
    uint64_t entry = r->state_entry_time;
    uint64_t entry_at =
        at + offsetof(struct vcpu_runstate_info, state_entry_time);

    if (!(atomic_load(&v->d->vm_assist) &
          1ul << VMASST_TYPE_runstate_update_flag)) {
        put(v, at, r, sizeof(*r));
        return;
    }
    r->state_entry_time |= XEN_RUNSTATE_UPDATE;
    put(v, entry_at, &r->state_entry_time, sizeof(entry));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    put(v, at, r, sizeof(*r));
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    put(v, entry_at, &entry, sizeof(entry));
}

void runstate_set(struct vcpu *v, int state)
{
    uint64_t at = atomic_load(&v->runstate_addr), now;
    struct vcpu_runstate_info r;

    /* Written by this thread alone, so it can be read without the lock. */
    if (v->runstate.state == state)
        return;
    now = hv_system_time(v->d->hv);
    pthread_mutex_lock(&v->lock);
    v->runstate.time[v->runstate.state] += now - v->runstate.state_entry_time;
    v->runstate.state = state;
    v->runstate.state_entry_time = now;
    r = v->runstate;
    pthread_mutex_unlock(&v->lock);
    if (at)
        write_area(v, at, &r);
}

void runstate_get(struct vcpu *v, struct vcpu_runstate_info *r)
{
    uint64_t now = hv_system_time(v->d->hv);

    pthread_mutex_lock(&v->lock);
    *r = v->runstate;
    pthread_mutex_unlock(&v->lock);
    if (now > r->state_entry_time)
        r->time[r->state] += now - r->state_entry_time;
}
