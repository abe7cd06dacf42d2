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
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include "hv/clock.h"
#include "hv/domain.h"
#include "hv/event_channel.h"
#include "hv/kvm_host.h"
#include "hv/log.h"
#include "hv/notify.h"
#include "hv/pv/pv.h"
#include "hv/runstate.h"
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
        if (write(v->sleep_fd, &one, sizeof(one)) < 0)
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

void vcpu_signal(struct vcpu *v)
{
    atomic_store(&v->kicked, true);
    poke(v);
}

void vcpu_wake(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    pthread_cond_broadcast(&v->cond);
    pthread_mutex_unlock(&v->lock);
    vcpu_signal(v);
}

void vcpu_wait_parked(struct vcpu *v)
{
    pthread_mutex_lock(&v->lock);
    while (!v->parked && !v->stop && atomic_load(&v->d->pause_count))
        pthread_cond_wait(&v->cond, &v->lock);
    pthread_mutex_unlock(&v->lock);
}

static bool may_run(const struct vcpu *v)
{
    return v->up && v->initialised && domain_may_run(v->d);
}

/* Waits until v may run; false when it is to end. */
static bool wait_runnable(struct vcpu *v)
{
    bool go;

    if (!may_run(v))
        runstate_set(v, v->blocked ? RUNSTATE_blocked : RUNSTATE_offline);
    pthread_mutex_lock(&v->lock);
    while (!v->stop && !may_run(v)) {
        v->parked = true;
        pthread_cond_broadcast(&v->cond);
        pthread_cond_wait(&v->cond, &v->lock);
    }
    v->parked = false;
    go = !v->stop;
    pthread_mutex_unlock(&v->lock);
    if (go)
        runstate_set(v, RUNSTATE_running);
    return go;
}

bool vcpu_preempt(struct vcpu *v)
{
    if (may_run(v) && !v->stop)
        return false;
    return !wait_runnable(v);
}

bool vcpu_service_stuck(struct vcpu *v, uint64_t *since)
{
    struct itimerspec its = {.it_value = {.tv_sec = 1}};
    uint64_t now = host_monotonic();

    if (v->stop || (*since && now - *since >= NS_PER_S))
        return true;
    if (*since)
        return false;
    /* Nobody may signal a second time: the deadline timer does. */
    *since = now;
    timer_settime(v->timer, 0, &its, NULL);
    return false;
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
    uint64_t at = next_deadline(v), now;
    struct itimerspec its = {0};

    v->timer_at = 0;
    if (at) {
        now = hv_system_time(v->d->hv);
        v->timer_at = host_monotonic() + (at > now ? at - now : 0);
        its.it_value = to_timespec(v->timer_at);
    }
    timer_settime(v->timer, TIMER_ABSTIME, &its, NULL);
}

/*
 * The host's timers go by another clock, which may be a little faster: a timer
 * that has expired is due, as nobody would arm it again.
 */
static bool timer_is_due(const struct vcpu *v)
{
    uint64_t next = next_deadline(v);

    return next && (hv_system_time(v->d->hv) >= next ||
                    (v->timer_at && host_monotonic() >= v->timer_at));
}

/* Long enough to be through the monitor, entry to the guest included. */
#define KICK_LATER_NS 100000

void vcpu_kick_later(struct vcpu *v)
{
    struct itimerspec its = {.it_value.tv_nsec = KICK_LATER_NS};

    v->kick_later = true;
    timer_settime(v->timer, 0, &its, NULL);
}

static void run_timers(struct vcpu *v)
{
    uint64_t now;
    bool fire = false;

    if (!timer_is_due(v))
        return;
    now = hv_system_time(v->d->hv);
    if (now < next_deadline(v))
        now = next_deadline(v);
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
 * Empties what woke us.  Clients may have made their eventfd blocking, or
 * emptied it meanwhile: it is not to stop us here.
 */
static void empty(int fd)
{
    uint64_t n;
    struct iovec iov = {&n, sizeof(n)};

    if (preadv2(fd, &iov, 1, -1, RWF_NOWAIT) < 0)
        return; /* nothing there: a signal or the deadline */
}

/*
 * The guest waits for an event.  It is awake again on a kick (an event, a
 * poll match, a pause), or at a deadline.
 */
static void sleep_blocked(struct vcpu *v)
{
    struct pollfd p[] = {
        {.fd = v->sleep_fd, .events = POLLIN},
        {.fd = v->wake_fd, .events = POLLIN},
    };
    uint64_t at = next_deadline(v), now = hv_system_time(v->d->hv);
    struct timespec ts;

    if (v->poll_deadline_ns && (!at || v->poll_deadline_ns < at))
        at = v->poll_deadline_ns;
    if (at && at <= now)
        return;
    if (at)
        ts = to_timespec(at - now);
    runstate_set(v, RUNSTATE_blocked);
    set_where(v, VCPU_ASLEEP);
    if (!was_kicked(v))
        ppoll(p, 2, at ? &ts : NULL, NULL);
    set_where(v, VCPU_IN_HV);
    runstate_set(v, RUNSTATE_running);
    /* One that was written after we looked costs a turn the next time. */
    for (int i = 0; i < 2; i++)
        if (p[i].revents)
            empty(p[i].fd);
}

/*
 * A poll ends with its ports or its timeout, and as on Xen for an event that
 * the vCPU is to be told of: who waits for it to be handled may hold what the
 * poller waits for.
 */
static bool poll_done(struct vcpu *v)
{
    return sched_poll_done(v) ||
           (events_due(v) && !atomic_load(&v->vcpu_info)->evtchn_upcall_mask);
}

static void handle_blocked(struct vcpu *v)
{
    __atomic_store_n(&notifiers(v)->polling,
                     atomic_load(&v->poll_port) != POLL_NONE, __ATOMIC_SEQ_CST);
    while (v->blocked) {
        bool polling = atomic_load(&v->poll_port) != POLL_NONE;
        bool kicked = take_kick(v);

        run_timers(v);
        if ((!polling && events_due(v)) || (polling && poll_done(v)))
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
    pv_to_guest(v);
    rc = ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
    pv_from_guest(v);
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
        case DOORBELL_FAULT:
            v->exits[EXIT_TRAP]++;
            pv_fault_exit(v);
            return;
        case DOORBELL_BROKEN:
            v->exits[EXIT_TRAP]++;
            pv_broken_exit(v);
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
    /* The timer's signal may have come in between: not to be lost. */
    if (timer_is_due(v))
        atomic_store(&v->kicked, true);
}

static void run_once(struct vcpu *v)
{
    int rc;

    /* In this order: a kick that is taken here is for what is looked at now. */
    take_kick(v);
    if (v->stop || !may_run(v))
        return;
    if (atomic_exchange(&v->flush, false))
        pv_flush_tlb(v);
    if (v->kick_later) {
        v->kick_later = false;
        vcpu_timers_changed(v);
    }
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

    if (!rc && !v->started && !v->id)
        pv_types_boot(v);

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
    v->has_timer = !timer_create(CLOCK_MONOTONIC, &sev, &v->timer);
    if (!v->has_timer)
        domain_crash(v->d, "v%u: no timer to be had: %s (RLIMIT_SIGPENDING?)",
                     v->id, strerror(errno));
    signal_run = v->run;
    while (wait_runnable(v)) {
        if (!start_kvm(v))
            continue;
        if (v->blocked)
            handle_blocked(v);
        if (!v->blocked)
            run_once(v);
    }
    signal_run = NULL;
    if (v->has_timer)
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
    v->stats_fd = ioctl(v->fd, KVM_GET_STATS_FD, 0);
    return ioctl(v->fd, KVM_SET_CPUID2, h->cpuid) < 0 ? -errno : 0;
}

static void install_kick_handler(void)
{
    struct sigaction sa = {.sa_handler = on_kick};

    sigaction(KICK_SIGNAL, &sa, NULL);
}

static struct vcpu *vcpu_new(struct domain *d, unsigned int id)
{
    struct vcpu *v = calloc(1, sizeof(*v));

    if (!v)
        return NULL;
    v->d = d;
    v->id = id;
    v->fd = v->stats_fd = -1;
    v->poll_port = POLL_NONE;
    v->vcpu_info = &d->shared_info->vcpu_info[id];
    v->vcpu_info_gfn = d->shared_info_gfn;
    v->parked = true; /* its thread has not begun */
    v->runstate.state = RUNSTATE_offline;
    v->runstate.state_entry_time = hv_system_time(d->hv);
    v->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    v->sleep_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->cond, NULL);
    return v;
}

int vcpu_create(struct domain *d, unsigned int id)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct vcpu *v = vcpu_new(d, id);
    int rc;

    if (!v)
        return -ENOMEM;
    pthread_once(&once, install_kick_handler);
    rc = v->wake_fd < 0 || v->sleep_fd < 0 ? -errno : 0;
    if (!rc && d->vm_fd >= 0)
        rc = open_kvm_vcpu(v);
    if (rc) {
        vcpu_free(v);
        return rc;
    }
    pv_vcpu_info_changed(v);
    d->vcpu[id] = v; /* complete: others look it up without a lock */
    if (d->vm_fd < 0)
        return 0;
    rc = -pthread_create(&v->thread, NULL, vcpu_thread, v);
    v->thread_started = !rc;
    return rc;
}

void vcpu_ask_stop(struct vcpu *v)
{
    v->stop = true;
    vcpu_wake(v);
}

void vcpu_stop(struct vcpu *v)
{
    bool running;

    vcpu_ask_stop(v);
    pthread_mutex_lock(&v->lock);
    running = v->thread_started;
    v->thread_started = false; /* v->thread means nothing once it is joined */
    pthread_mutex_unlock(&v->lock);
    if (running)
        pthread_join(v->thread, NULL);
}

uint64_t vcpu_cpu_time(struct vcpu *v)
{
    struct timespec ts = {0};
    clockid_t clk;

    pthread_mutex_lock(&v->lock);
    if (!v->thread_started || pthread_getcpuclockid(v->thread, &clk) ||
        clock_gettime(clk, &ts))
        ts = (struct timespec){0};
    pthread_mutex_unlock(&v->lock);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
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
    if (v->stats_fd >= 0)
        close(v->stats_fd);
    if (v->wake_fd >= 0)
        close(v->wake_fd);
    if (v->sleep_fd >= 0)
        close(v->sleep_fd);
    pthread_cond_destroy(&v->cond);
    pthread_mutex_destroy(&v->lock);
    free(v->init);
    free(v);
}
