/* SPDX-License-Identifier: MIT */
/*
 * A vCPU: a thread around KVM_RUN.  Its registers belong to that thread;
 * others reach it only by vcpu_kick() and the atomic fields.
 */
#ifndef HV_VCPU_H
#define HV_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/vcpu.h>
#include <linux/kvm.h>
#include "hv/guest_access.h"

#define NR_TRAPS  256
#define POLL_NONE (-1)
#define POLL_ANY  0

enum vcpu_exit_kind {
    EXIT_HYPERCALL,
    EXIT_TRAP,
    EXIT_PIO,
    EXIT_MMIO,
    EXIT_SIGNAL,
    EXIT_HALT,
    EXIT_OTHER,
    NR_EXIT_KINDS
};

struct hv;

/* Where a parked vCPU goes on: see pv/ring0.c. */
struct pv_resume {
    uint64_t rip, rsp, rflags;
};

/* Where the thread is, which decides how a kick reaches it. */
enum vcpu_where { VCPU_IN_HV, VCPU_IN_GUEST, VCPU_ASLEEP };

struct vcpu {
    struct domain *d;
    unsigned int id;
    pthread_t thread;
    pid_t tid;
    bool thread_started;
    int fd;       /* KVM vCPU: ioctls on it wait while it runs */
    int stats_fd; /* KVM's counters of it, -1 without */
    struct kvm_run *run;

    /*
     * vcpu->lock guards parked, thread_started, runstate, and the condition
     * variable: what may_run() looks at is changed first and broadcast after,
     * by vcpu_wake().  where is written by the vCPU's thread alone.
     */
    pthread_mutex_t lock;
    pthread_cond_t cond;     /* paused or no longer */
    atomic_bool up;          /* VCPUOP_up */
    atomic_bool initialised; /* a context is set */
    atomic_bool started;     /* KVM has its first registers */
    atomic_bool stop;        /* the domain is going */
    bool parked;             /* the thread waits: paused, down or shut down */
    atomic_int where;        /* enum vcpu_where */
    atomic_bool kicked;      /* someone wants the thread to look around */
    atomic_bool flush;       /* forget translations before running on */
    bool blocked;            /* in SCHEDOP_block or _poll; own thread only */
    /*
     * Eventfds the thread sleeps on: hv's own, and one for notifiers of domain
     * 0, to which hv never writes: who shares an open file can make it
     * blocking, and its counter full.
     */
    int sleep_fd, wake_fd;
    bool kick_later;   /* the timer is set for vcpu_kick_later() */
    timer_t timer;     /* brings it out of KVM_RUN at a deadline */
    uint64_t timer_at; /* host_monotonic() of that; 0: not armed */
    bool has_timer;

    /* SCHEDOP_poll: POLL_NONE, POLL_ANY (several ports) or one port. */
    atomic_int poll_port;

    /* Where vcpu_info lives now (shared_info, or registered), host address. */
    struct vcpu_info *_Atomic vcpu_info;
    uint64_t vcpu_info_gfn;

    /* Timers, deadlines in system time (ns); 0 = none. */
    uint64_t singleshot_ns, periodic_ns, periodic_period;
    uint64_t poll_deadline_ns; /* SCHEDOP_poll's timeout, 0 = none */
    unsigned int poll_nr;
    uint32_t poll_ports[128];
    atomic_ulong runstate_addr; /* where the guest wants them, or 0 */
    struct vcpu_runstate_info runstate;

    /* The PV context: what hypercalls set and bounces use. */
    struct trap_info traps[NR_TRAPS];
    uint64_t kernel_ss, kernel_sp;
    uint64_t event_cb, failsafe_cb, syscall_cb;
    uint32_t cb_mask; /* callbacks (1 << CALLBACKTYPE_*) that mask events */
    bool user_mode;   /* the guest's user, not its kernel, was running */
    uint16_t user_cs, user_ss; /* its selectors; 0: as KVM has them */
    bool parked_cpl0;          /* KVM has it in the monitor: pv/ring0.c */
    struct pv_resume resume;
    uint64_t cr3, user_cr3;
    atomic_bool in_guest; /* the tables it is on are the monitor's to say */
    /* Of a list that the monitor has begun; not to be believed. */
    uint64_t done_calls, done_ops;
    uint64_t gdt_frames[16];
    unsigned int gdt_ents;
    uint64_t debugreg[8];
    uint64_t gs_base_kernel, gs_base_user, fs_base;
    unsigned int iopl;
    uint64_t io_bitmap; /* where the guest has its user's, of io_ports bits */
    unsigned int io_ports;
    uint64_t cr4, tsc_aux;           /* as the guest's kernel reads them */
    bool ts;                         /* CR0.TS, the same */
    struct vcpu_guest_context *init; /* until the first run */

    const void *time_written_at; /* the vcpu_info that has the time */
    uint64_t time_written_ns;
    bool io_pending;   /* an I/O instruction is not finished: finish_io() */
    uint64_t soft_rip; /* where int3 may wait, and how often it did in a row */
    unsigned int soft_waits;
    uint64_t out_next; /* rip behind the OUT of the current doorbell exit */
    uint64_t exits[NR_EXIT_KINDS];
    uint64_t upcalls;

    /* VIRQ and PIRQ bindings are event_channel.c's. */
    uint32_t virq_to_port[NR_VIRQS];
};

/* Registers of the running exit, valid only in the vCPU's own thread. */
static inline struct kvm_regs *vcpu_regs(struct vcpu *v)
{
    return &v->run->s.regs.regs;
}

static inline struct kvm_sregs *vcpu_sregs(struct vcpu *v)
{
    return &v->run->s.regs.sregs;
}

/* Makes vCPU `id` of d: KVM's side and its thread, which waits to come up. */
int vcpu_create(struct domain *d, unsigned int id);

/* Tells the thread to end, without waiting for it. */
void vcpu_ask_stop(struct vcpu *v);

/* Ends the thread; not from v's own. */
void vcpu_stop(struct vcpu *v);

/* CPU time that v's thread has used, ns; 0 once it has ended. */
uint64_t vcpu_cpu_time(struct vcpu *v);

/* Frees a stopped vCPU, or NULL. */
void vcpu_free(struct vcpu *v);

/* True when what SCHEDOP_poll waits for is there, or its timeout is over. */
bool sched_poll_done(struct vcpu *v);

/* Lets the thread look at up, stop and the domain's pause count again. */
void vcpu_wake(struct vcpu *v);

/*
 * Inside a long hypercall, now and then, without locks: waits here if v is to
 * pause.  True if v is to end instead: give up with -EINTR.  Own thread only.
 */
bool vcpu_preempt(struct vcpu *v);

/*
 * Waits until the thread is out of the guest and parked, or somebody has ended
 * the pause meanwhile.
 */
void vcpu_wait_parked(struct vcpu *v);

/*
 * A service of the monitor, which is guest memory, was interrupted.  True when
 * it is to be given up: v is to end, or the service runs for a second.  *since
 * starts as 0; if it is not afterwards, vcpu_timers_changed() is due.  Own
 * thread only.
 */
bool vcpu_service_stuck(struct vcpu *v, uint64_t *since);

/* Sets the registers of the first entry; -EEXIST if it has run, -EINVAL. */
int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx);
int vcpu_get_context(struct vcpu *v, struct vcpu_guest_context *ctx);

/* One KVM_RUN, uninterpreted: 0, -EINTR or -errno. Own thread only. */
int vcpu_enter(struct vcpu *v);

/* Arms or, with 0, forgets a deadline. Own thread only. */
void vcpu_timers_changed(struct vcpu *v);

/* Rewrites pvclock data in vcpu_info and the runstate area. */
void vcpu_update_time(struct vcpu *v);

/*
 * An event may be pending for v: wakes it if it is blocked or polling, brings
 * it out of KVM_RUN if it runs.  Any thread, any lock but vcpu->lock.
 */
void vcpu_kick(struct vcpu *v);

/*
 * The same, whatever others have done: when this returns a v that was in the
 * guest has the signal that brings it out.
 */
void vcpu_signal(struct vcpu *v);

/* An event waits that can't be delivered here: looks again soon. Own thread. */
void vcpu_kick_later(struct vcpu *v);

#endif
