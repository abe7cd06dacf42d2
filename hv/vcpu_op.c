/* SPDX-License-Identifier: MIT */
/* vcpu_op, vCPU contexts, the guest's clocks.  Source: xen/vcpu.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include "hv/clock.h"
#include "hv/domain.h"
#include "hv/event_channel.h"
#include "hv/hypercall.h"
#include "hv/kvm_host.h"
#include "hv/pv/pv.h"
#include "hv/runstate.h"
#include "hv/vcpu.h"

#define NS_PER_S        1000000000ull
#define PERIOD_MIN_NS   1000000ull /* as Xen */
#define VCPU_INFO_VALID (FRAME_SIZE - sizeof(struct vcpu_info))

/* ---- contexts ---- */

static void apply_context(struct vcpu *v)
{
    const struct vcpu_guest_context *c = v->init;

    v->cr3 = (uint64_t)xen_cr3_to_pfn(c->ctrlreg[3]) << 12;
    v->user_cr3 = c->ctrlreg[1] ? xen_cr3_to_pfn(c->ctrlreg[1]) << 12 : 0;
    v->kernel_ss = c->kernel_ss;
    v->kernel_sp = c->kernel_sp;
    v->event_cb = c->event_callback_eip;
    v->failsafe_cb = c->failsafe_callback_eip;
    v->syscall_cb = c->syscall_callback_eip;
    v->fs_base = c->fs_base;
    v->gs_base_kernel = c->gs_base_kernel;
    v->gs_base_user = c->gs_base_user;
    for (unsigned int i = 0; i < NR_TRAPS; i++)
        if (c->trap_ctxt[i].address)
            v->traps[c->trap_ctxt[i].vector] = c->trap_ctxt[i];
}

int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
    struct vcpu_guest_context *copy = malloc(sizeof(*copy));
    int rc = -EEXIST;

    if (!copy)
        return -ENOMEM;
    *copy = *ctx;
    pthread_mutex_lock(&v->lock);
    if (v->initialised)
        goto out;
    rc = -EINVAL;
    if (!domain_owns_frame(v->d, xen_cr3_to_pfn(ctx->ctrlreg[3])) ||
        ctx->gdt_ents > 14 * 512 || ctx->ldt_ents > 8192)
        goto out;
    v->init = copy;
    copy = NULL;
    apply_context(v);
    v->initialised = true;
    rc = 0;
out:
    pthread_mutex_unlock(&v->lock);
    free(copy);
    return rc;
}

/* v stands: KVM knows the bases as the guest has left them. */
static void get_bases(struct vcpu *v, struct vcpu_guest_context *c)
{
    struct kvm_sregs s;

    c->fs_base = v->fs_base;
    c->gs_base_kernel = v->gs_base_kernel;
    c->gs_base_user = v->gs_base_user;
    if (v->fd < 0 || ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
        return;
    c->fs_base = s.fs.base;
    if (v->user_mode)
        c->gs_base_user = s.gs.base;
    else
        c->gs_base_kernel = s.gs.base;
}

int vcpu_get_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    const struct kvm_regs *r = vcpu_regs(v);

    if (!v->initialised)
        return -EINVAL;
    memset(c, 0, sizeof(*c));
    if (!v->started) {
        *c = *v->init;
        return 0;
    }
    c->flags = VGCF_online | (v->user_mode ? 0 : VGCF_in_kernel);
    c->user_regs = (struct cpu_user_regs){
        .rax = r->rax,
        .rbx = r->rbx,
        .rcx = r->rcx,
        .rdx = r->rdx,
        .rsi = r->rsi,
        .rdi = r->rdi,
        .rbp = r->rbp,
        .rsp = r->rsp,
        .r8 = r->r8,
        .r9 = r->r9,
        .r10 = r->r10,
        .r11 = r->r11,
        .r12 = r->r12,
        .r13 = r->r13,
        .r14 = r->r14,
        .r15 = r->r15,
        .rip = r->rip,
        .rflags = r->rflags,
        .cs = FLAT_CS64,
        .ss = FLAT_SS,
    };
    get_bases(v, c);
    c->ctrlreg[3] = xen_pfn_to_cr3(v->cr3 >> 12);
    c->ctrlreg[1] = xen_pfn_to_cr3(v->user_cr3 >> 12);
    c->kernel_ss = v->kernel_ss;
    c->kernel_sp = v->kernel_sp;
    c->event_callback_eip = v->event_cb;
    c->failsafe_callback_eip = v->failsafe_cb;
    c->syscall_callback_eip = v->syscall_cb;
    memcpy(c->trap_ctxt, v->traps, sizeof(v->traps));
    return 0;
}

/* ---- time ---- */

#define TIME_REFRESH_NS (NS_PER_S)

static void write_time(struct vcpu *v, struct vcpu_time_info *t)
{
    /* Odd version while it is in change: the guest reads again. */
    __atomic_store_n(&t->version, t->version | 1, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    clock_fill(v->d->hv, t);
    __atomic_store_n(&t->version, (t->version | 1) + 1, __ATOMIC_RELEASE);
}

static void write_wallclock(struct domain *d, uint64_t now)
{
    struct shared_info *s = d->shared_info;
    struct timespec ts;
    uint64_t boot;

    clock_gettime(CLOCK_REALTIME, &ts);
    boot = ts.tv_sec * NS_PER_S + ts.tv_nsec - now;
    __atomic_store_n(&s->wc_version, s->wc_version | 1, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    s->wc_sec = boot / NS_PER_S;
    s->wc_nsec = boot % NS_PER_S;
    s->wc_sec_hi = (boot / NS_PER_S) >> 32;
    __atomic_store_n(&s->wc_version, (s->wc_version | 1) + 1, __ATOMIC_RELEASE);
}

void vcpu_update_time(struct vcpu *v)
{
    struct vcpu_info *vi = atomic_load(&v->vcpu_info);
    uint64_t now = hv_system_time(v->d->hv);

    if (v->time_written_at == vi && now - v->time_written_ns < TIME_REFRESH_NS)
        return;
    if (!v->id)
        write_wallclock(v->d, now);
    v->time_written_at = vi;
    v->time_written_ns = now;
    write_time(v, &vi->time);
}

/* ---- vcpu_op ---- */

static struct vcpu *vcpu_of(struct domain *d, uint64_t id)
{
    return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

static long vcpu_initialise(struct caller *c, struct vcpu *v, guest_addr_t arg)
{
    struct vcpu_guest_context *ctx = malloc(sizeof(*ctx));
    long rc;

    if (!ctx)
        return -ENOMEM;
    rc = copy_from_guest(c, ctx, arg, sizeof(*ctx));
    if (!rc)
        rc = vcpu_set_context(v, ctx);
    free(ctx);
    return rc;
}

static long vcpu_set_up(struct vcpu *v, bool up)
{
    long rc = 0;

    pthread_mutex_lock(&v->lock);
    if (up && !v->initialised)
        rc = -EINVAL;
    else
        v->up = up;
    pthread_mutex_unlock(&v->lock);
    vcpu_wake(v);
    return rc;
}

/* The last one to go down takes the domain with it. */
static long vcpu_down(struct domain *d, struct vcpu *v)
{
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i] != v && d->vcpu[i]->up)
            return vcpu_set_up(v, false);
    domain_shutdown(d, SHUTDOWN_poweroff);
    return 0;
}

static long register_vcpu_info(struct caller *c, struct vcpu *v,
                               guest_addr_t arg)
{
    struct vcpu_register_vcpu_info r;
    struct vcpu_info *to;

    if (copy_from_guest(c, &r, arg, sizeof(r)))
        return -EFAULT;
    if (v != c->v && v->up)
        return -EINVAL; /* not under the hands of one that runs */
    if (r.offset % 8 || r.offset > VCPU_INFO_VALID)
        return -ENXIO;
    if (v->vcpu_info_gfn != v->d->shared_info_gfn ||
        !domain_owns_frame(v->d, r.mfn))
        return -EINVAL;
    to = (void *)((uint8_t *)domain_frame(v->d, r.mfn) + r.offset);
    *to = *atomic_load(&v->vcpu_info);
    v->vcpu_info_gfn = r.mfn;
    atomic_store(&v->vcpu_info, to);
    pv_vcpu_info_changed(v);
    evtchn_vcpu_info_moved(v);
    return 0;
}

static long set_singleshot(struct caller *c, struct vcpu *v, guest_addr_t arg)
{
    struct vcpu_set_singleshot_timer t;

    if (v != c->v)
        return -EINVAL;
    if (copy_from_guest(c, &t, arg, sizeof(t)))
        return -EFAULT;
    /* Past or not (VCPU_SSHOTTMR_future): 4.17 just lets it fire. */
    v->singleshot_ns = t.timeout_abs_ns ? t.timeout_abs_ns : 1;
    vcpu_timers_changed(v);
    return 0;
}

static long set_periodic(struct caller *c, struct vcpu *v, guest_addr_t arg)
{
    struct vcpu_set_periodic_timer t;

    if (copy_from_guest(c, &t, arg, sizeof(t)))
        return -EFAULT;
    if (v != c->v || t.period_ns < PERIOD_MIN_NS || t.period_ns > INT64_MAX / 2)
        return -EINVAL;
    v->periodic_period = t.period_ns;
    v->periodic_ns = hv_system_time(v->d->hv) + t.period_ns;
    vcpu_timers_changed(v);
    return 0;
}

static long stop_timer(struct caller *c, struct vcpu *v, uint64_t *deadline)
{
    if (v != c->v)
        return -EINVAL;
    *deadline = 0;
    vcpu_timers_changed(v);
    return 0;
}

static long runstate_area(struct caller *c, struct vcpu *v, guest_addr_t arg)
{
    struct vcpu_register_runstate_memory_area a;
    struct vcpu_runstate_info r;

    if (copy_from_guest(c, &a, arg, sizeof(a)) ||
        !guest_va_ok((uintptr_t)a.addr.p))
        return -EFAULT;
    atomic_store(&v->runstate_addr, (uintptr_t)a.addr.p);
    runstate_get(v, &r);
    copy_to_guest(c, GUEST_ADDR(a.addr.p), &r, sizeof(r));
    return 0;
}

/*
 * Where user code may read the clock too.  Written once, so only for clocks
 * that stay as they are.
 */
static long time_area(struct caller *c, guest_addr_t arg)
{
    struct vcpu_register_time_memory_area a;
    struct vcpu_time_info t = {.version = 2};

    if (!c->d->hv->clock.stable)
        return -ENOSYS;
    if (copy_from_guest(c, &a, arg, sizeof(a)))
        return -EFAULT;
    if (!a.addr.v)
        return 0;
    clock_fill(c->d->hv, &t);
    return copy_to_guest(c, GUEST_ADDR(a.addr.v), &t, sizeof(t)) ? -EFAULT : 0;
}

static long get_runstate(struct caller *c, struct vcpu *v, guest_addr_t arg)
{
    struct vcpu_runstate_info r;

    runstate_get(v, &r);
    return copy_to_guest(c, arg, &r, sizeof(r)) ? -EFAULT : 0;
}

long do_vcpu_op(struct caller *c, const uint64_t args[6])
{
    struct vcpu *v = vcpu_of(c->d, args[1]);
    guest_addr_t arg = {args[2]};

    if (!c->v)
        return -ENOSYS;
    if (!v)
        return -ENOENT;
    switch (args[0]) {
    case VCPUOP_initialise:
        return vcpu_initialise(c, v, arg);
    case VCPUOP_up:
        return vcpu_set_up(v, true);
    case VCPUOP_down:
        return vcpu_down(c->d, v);
    case VCPUOP_is_up:
        return v->up;
    case VCPUOP_get_runstate_info:
        return get_runstate(c, v, arg);
    case VCPUOP_register_runstate_memory_area:
        return runstate_area(c, v, arg);
    case VCPUOP_set_periodic_timer:
        return set_periodic(c, v, arg);
    case VCPUOP_stop_periodic_timer:
        return stop_timer(c, v, &v->periodic_ns);
    case VCPUOP_set_singleshot_timer:
        return set_singleshot(c, v, arg);
    case VCPUOP_stop_singleshot_timer:
        return stop_timer(c, v, &v->singleshot_ns);
    case VCPUOP_register_vcpu_time_memory_area:
        return time_area(c, arg);
    case VCPUOP_register_vcpu_info:
        return register_vcpu_info(c, v, arg);
    case VCPUOP_send_nmi:
        return arg.addr ? -EINVAL : 0;
    case VCPUOP_get_physid:
        return -EINVAL; /* only for one that is pinned to a CPU */
    default:
        return -ENOSYS;
    }
}
