/* SPDX-License-Identifier: MIT */
#include "hv/vcpu.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "hv/domain.h"
#include "hv/event_channel.h"
#include "hv/kvm_host.h"
#include "hv/log.h"
#include "hv/notify.h"
#include "hv/pv/pv.h"
#include "hv/trapped/trapped.h"
#include "hv/trapped_glue.h"

#define KICK_SIGNAL SIGUSR1
#define NS_PER_S    1000000000ull

/* The kvm_run of this thread's vCPU, for the signal handler alone. */
static __thread struct kvm_run *signal_run;

static void on_kick(int sig)
{
    (void)sig;
    if (signal_run)
        signal_run->immediate_exit = 1;
}

static uint64_t monotonic_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

uint64_t hv_system_time(const struct hv *hv)
{
    return monotonic_ns() - hv->boot_ns;
}

/* ---- kicking and parking ---- */

static struct notify_vcpu *notifiers(const struct vcpu *v)
{
    return &v->d->notify->page->vcpu[v->id];
}

/* To hv's own kicks and, in the notify page, to notifiers of domain 0. */
static void set_where(struct vcpu *v, enum vcpu_where where)
{
    atomic_store(&v->where, where);
    __atomic_store_n(&notifiers(v)->where, where, __ATOMIC_SEQ_CST);
}

/* Partner of the stores above: whoever kicks sets this, then reads where. */
static bool was_kicked(const struct vcpu *v)
{
    return atomic_load(&v->kicked) ||
           __atomic_load_n(&notifiers(v)->kicked, __ATOMIC_SEQ_CST);
}

static bool take_kick(struct vcpu *v)
{
    bool k = atomic_exchange(&v->kicked, false);

    return __atomic_exchange_n(&notifiers(v)->kicked, 0, __ATOMIC_SEQ_CST) || k;
}

static void poke(struct vcpu *v)
{
    uint64_t one = 1;

    switch (atomic_load(&v->where)) {
    case VCPU_IN_GUEST:
        syscall(SYS_tgkill, getpid(), v->tid, KICK_SIGNAL);
        break;
    case VCPU_ASLEEP:
        if (write(v->wake_fd, &one, sizeof(one)) < 0)
            return; /* counter full: it is awake already */
        break;
    default:
        break; /* it looks at kicked before it goes anywhere */
    }
}

void vcpu_kick(struct vcpu *v)
{
    /* Pairs with the thread's store to where, then load of kicked. */
    if (!atomic_exchange(&v->kicked, true))
        poke(v);
}

void vcpu_wake(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
    atomic_store(&v->kicked, true);
    poke(v);
}

void vcpu_wait_parked(struct vcpu *v)
{
    if (pthread_equal(pthread_self(), v->thread))
        return;
    pthread_mutex_lock(&v->lock);
    while (!v->parked && !v->stop)
        pthread_cond_wait(&v->cond, &v->lock);
    pthread_mutex_unlock(&v->lock);
}

static bool may_run(const struct vcpu *v)
{
    const struct domain *d = v->d;

    return v->up && v->initialised && !d->pause_count && d->shutdown_code < 0;
}

/*
 * Waits until v may run; false when it is to end.  pause_count and
 * shutdown_code are written under domain->lock and followed by vcpu_wake(),
 * so a stale read here is put right by the broadcast.
 */
static bool wait_runnable(struct vcpu *v)
{
    bool go;

    pthread_mutex_lock(&v->lock);
    while (!v->stop && !may_run(v)) {
        v->parked = true;
        pthread_cond_broadcast(&v->cond);
        pthread_cond_wait(&v->cond, &v->lock);
    }
    v->parked = false;
    go = !v->stop;
    pthread_mutex_unlock(&v->lock);
    return go;
}

bool vcpu_preempt(struct vcpu *v)
{
    if (may_run(v) && !__atomic_load_n(&v->stop, __ATOMIC_RELAXED))
        return false;
    return !wait_runnable(v);
}

/* ---- time ---- */

static uint64_t next_deadline(const struct vcpu *v)
{
    uint64_t a = v->singleshot_ns, b = v->periodic_ns;

    return !a ? b : !b ? a : a < b ? a : b;
}

static struct timespec to_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

void vcpu_timers_changed(struct vcpu *v)
{
    uint64_t at = next_deadline(v);
    struct itimerspec its = {0};

    if (at)
        its.it_value = to_timespec(at + v->d->hv->boot_ns);
    timer_settime(v->timer, TIMER_ABSTIME, &its, NULL);
}

static void run_timers(struct vcpu *v)
{
    uint64_t now, next = next_deadline(v);
    bool fire = false;

    if (!next || (now = hv_system_time(v->d->hv)) < next)
        return;
    if (v->singleshot_ns && v->singleshot_ns <= now) {
        v->singleshot_ns = 0;
        fire = true;
    }
    if (v->periodic_ns && v->periodic_ns <= now) {
        v->periodic_ns += ((now - v->periodic_ns) / v->periodic_period + 1) *
                          v->periodic_period;
        fire = true;
    }
    vcpu_timers_changed(v);
    if (fire)
        evtchn_raise_virq(v, VIRQ_TIMER);
}

/* ---- sleeping ---- */

static bool events_due(const struct vcpu *v)
{
    return atomic_load(&v->vcpu_info)->evtchn_upcall_pending;
}

/*
 * The guest waits for an event.  It is awake again on a kick (an event, a
 * poll match, a pause), or at a deadline.
 */
static void sleep_blocked(struct vcpu *v)
{
    struct pollfd p = {.fd = v->wake_fd, .events = POLLIN};
    uint64_t at = next_deadline(v), now = hv_system_time(v->d->hv), n;
    struct timespec ts;

    if (v->poll_deadline_ns && (!at || v->poll_deadline_ns < at))
        at = v->poll_deadline_ns;
    if (at && at <= now)
        return;
    if (at)
        ts = to_timespec(at - now);
    set_where(v, VCPU_ASLEEP);
    if (!was_kicked(v))
        ppoll(&p, 1, at ? &ts : NULL, NULL);
    set_where(v, VCPU_IN_HV);
    if (read(v->wake_fd, &n, sizeof(n)) < 0)
        return; /* nothing there: a signal or the deadline */
}

static void handle_blocked(struct vcpu *v)
{
    __atomic_store_n(&notifiers(v)->polling,
                     atomic_load(&v->poll_port) != POLL_NONE, __ATOMIC_SEQ_CST);
    while (v->blocked) {
        bool polling = atomic_load(&v->poll_port) != POLL_NONE;
        bool kicked = take_kick(v);

        run_timers(v);
        if ((!polling && events_due(v)) || (polling && sched_poll_done(v)))
            v->blocked = false;
        else if (kicked && (v->stop || !may_run(v)))
            return; /* park first, block again after */
        else
            sleep_blocked(v);
    }
    atomic_store(&v->poll_port, POLL_NONE);
    __atomic_store_n(&notifiers(v)->polling, 0, __ATOMIC_SEQ_CST);
    v->poll_deadline_ns = 0;
}

/* ---- KVM ---- */

int vcpu_enter(struct vcpu *v)
{
    int rc;

    set_where(v, VCPU_IN_GUEST);
    /* A kick from before the store has set kicked; later ones signal. */
    if (was_kicked(v))
        v->run->immediate_exit = 1;
    rc = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
    set_where(v, VCPU_IN_HV);
    v->run->immediate_exit = 0;
    return rc;
}

static void doorbell_or_port(struct vcpu *v)
{
    struct kvm_run *r = v->run;
    uint8_t *data = (uint8_t *)r + r->io.data_offset;
    bool write = r->io.direction == KVM_EXIT_IO_OUT;

    if (write && r->io.size == 4) {
        v->out_next = vcpu_regs(v)->rip +
                      (v->d->hv->host->out_advanced ? 0 : DOORBELL_OUT_LEN);
        switch (r->io.port) {
        case DOORBELL_HYPERCALL:
            v->exits[EXIT_HYPERCALL]++;
            pv_hypercall_exit(v);
            return;
        case DOORBELL_SYSCALL:
            v->exits[EXIT_HYPERCALL]++;
            pv_syscall_exit(v);
            return;
        case DOORBELL_TRAP:
            v->exits[EXIT_TRAP]++;
            pv_trap_exit(v);
            return;
        }
    }
    v->exits[EXIT_PIO]++;
    v->io_pending = true;
    pv_port_io(v, r->io.port, r->io.size, write, data, r->io.count);
}

static void mmio(struct vcpu *v)
{
    struct kvm_run *r = v->run;

    v->exits[EXIT_MMIO]++;
    v->io_pending = true;
    if (v->d->trapped &&
        trapped_mmio(v->d->trapped, r->mmio.phys_addr, r->mmio.len,
                     r->mmio.is_write, r->mmio.data))
        return;
    domain_crash(v->d, "v%u touched machine address %#llx, where nothing is",
                 v->id, r->mmio.phys_addr);
}

static void handle_exit(struct vcpu *v)
{
    struct kvm_run *r = v->run;

    switch (r->exit_reason) {
    case KVM_EXIT_IO:
        doorbell_or_port(v);
        break;
    case KVM_EXIT_MMIO:
        mmio(v);
        break;
    case KVM_EXIT_SHUTDOWN:
        pv_triple_fault(v);
        break;
    case KVM_EXIT_INTERNAL_ERROR:
        v->exits[EXIT_OTHER]++;
        domain_crash(v->d, "v%u: KVM gave up (internal error %u) at rip %#llx",
                     v->id, r->internal.suberror, vcpu_regs(v)->rip);
        break;
    case KVM_EXIT_FAIL_ENTRY:
        v->exits[EXIT_OTHER]++;
        domain_crash(v->d, "v%u: KVM cannot enter it (reason %#llx)", v->id,
                     r->fail_entry.hardware_entry_failure_reason);
        break;
    default:
        v->exits[EXIT_OTHER]++;
        domain_crash(v->d, "v%u: unexpected KVM exit %u at rip %#llx", v->id,
                     r->exit_reason, vcpu_regs(v)->rip);
    }
}

/*
 * KVM ends an I/O instruction (its result, its rip) at the next KVM_RUN, even
 * over registers set in between: before an upcall changes them it must be
 * ended, by a run that does not enter the guest.  A string instruction may
 * then ask for its next items.  An event that comes too late for this kicks.
 */
static void finish_io(struct vcpu *v)
{
    while (v->io_pending && v->event_cb && events_due(v) &&
           !atomic_load(&v->vcpu_info)->evtchn_upcall_mask) {
        int rc;

        v->io_pending = false;
        v->run->immediate_exit = 1;
        rc = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
        v->run->immediate_exit = 0;
        trapped_replay(v);
        if (!rc)
            handle_exit(v);
    }
}

static void run_once(struct vcpu *v)
{
    int rc;

    take_kick(v);
    if (atomic_exchange(&v->flush, false))
        pv_flush_tlb(v);
    run_timers(v);
    vcpu_update_time(v);
    finish_io(v);
    if (!v->io_pending)
        pv_deliver_upcall(v);
    rc = vcpu_enter(v);
    v->io_pending = false;
    trapped_replay(v);
    if (rc == -EINTR || rc == -EAGAIN) {
        v->exits[EXIT_SIGNAL]++;
    } else if (rc) {
        v->exits[EXIT_OTHER]++;
        domain_crash(v->d, "v%u: KVM_RUN: %s at rip %#llx", v->id,
                     strerror(-rc), vcpu_regs(v)->rip);
    } else {
        handle_exit(v);
    }
}

static bool start_kvm(struct vcpu *v)
{
    int rc = v->started ? 0 : pv_vcpu_start(v);

    if (rc)
        domain_crash(v->d, "v%u cannot start: %s; its context is not usable",
                     v->id, strerror(-rc));
    v->started = !rc;
    return !rc;
}

static void *vcpu_thread(void *arg)
{
    struct vcpu *v = arg;
    struct sigevent sev = {
        .sigev_notify = SIGEV_THREAD_ID,
        .sigev_signo = KICK_SIGNAL,
    };

    rcu_register_thread();
    v->tid = gettid();
    sev._sigev_un._tid = v->tid;
    timer_create(CLOCK_MONOTONIC, &sev, &v->timer);
    signal_run = v->run;
    while (wait_runnable(v)) {
        if (!start_kvm(v))
            continue;
        if (v->blocked)
            handle_blocked(v);
        if (!v->blocked && may_run(v))
            run_once(v);
    }
    signal_run = NULL;
    timer_delete(v->timer);
    rcu_unregister_thread();
    return NULL;
}

static int open_kvm_vcpu(struct vcpu *v)
{
    const struct kvm_host *h = v->d->hv->host;

    v->fd = ioctl(v->d->vm_fd, KVM_CREATE_VCPU, v->id);
    if (v->fd < 0)
        return -errno;
    v->run =
        mmap(NULL, h->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (v->run == MAP_FAILED) {
        v->run = NULL;
        return -errno;
    }
    v->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
    return ioctl(v->fd, KVM_SET_CPUID2, h->cpuid) < 0 ? -errno : 0;
}

static void install_kick_handler(void)
{
    struct sigaction sa = {.sa_handler = on_kick};

    sigaction(KICK_SIGNAL, &sa, NULL);
}

int vcpu_create(struct domain *d, unsigned int id)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct vcpu *v = calloc(1, sizeof(*v));
    int rc = 0;

    if (!v)
        return -ENOMEM;
    pthread_once(&once, install_kick_handler);
    v->d = d;
    v->id = id;
    v->fd = -1;
    v->poll_port = POLL_NONE;
    v->vcpu_info = &d->shared_info->vcpu_info[id];
    v->vcpu_info_gfn = d->shared_info_gfn;
    v->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->cond, NULL);
    d->vcpu[id] = v;
    pv_vcpu_info_changed(v);
    if (v->wake_fd < 0)
        return -errno;
    if (d->vm_fd < 0)
        return 0;
    rc = open_kvm_vcpu(v);
    if (!rc)
        rc = -pthread_create(&v->thread, NULL, vcpu_thread, v);
    v->thread_started = !rc;
    return rc;
}

void vcpu_stop(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    v->stop = true;
    pthread_mutex_unlock(&v->lock);
    vcpu_wake(v);
    if (v->thread_started)
        pthread_join(v->thread, NULL);
    v->thread_started = false;
}

void vcpu_free(struct vcpu *v)
{
    if (!v)
        return;
    vcpu_stop(v);
    if (v->run)
        munmap(v->run, v->d->hv->host->run_size);
    if (v->fd >= 0)
        close(v->fd);
    if (v->wake_fd >= 0)
        close(v->wake_fd);
    free(v->init);
    free(v);
}
