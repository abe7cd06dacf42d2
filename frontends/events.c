/* SPDX-License-Identifier: MIT */
/* Event channels, 2-level: binding, dispatch, sleeping. */
#include "frontends/include/cpu.h"
#include "frontends/include/hypercall.h"

#define WORD_BITS 64
#define NR_PORTS  EVTCHN_2L_NR_CHANNELS
#define NR_WORDS  (NR_PORTS / WORD_BITS)

static struct {
    evtchn_handler_t fn;
    void *arg;
} handlers[NR_PORTS];

/* Which ports a vCPU serves: a word may hold another vCPU's bits as well. */
static uint64_t served[MAX_CPUS][NR_WORDS];

struct vcpu_info *events_upcall(void *frame);

void evtchn_wake_only(evtchn_port_t port, void *arg)
{
    (void)port;
    (void)arg;
}

static void dispatch_word(unsigned int word)
{
    struct shared_info *s = shared_info();
    uint64_t bits, bit;
    evtchn_port_t port;

    /*
     * One look at the word: a port that comes again raises the selector
     * again, so a flood of one port cannot keep the others waiting.
     */
    bits = READ_ONCE(s->evtchn_pending[word]) &
           ~READ_ONCE(s->evtchn_mask[word]) & served[cpu_id()][word];
    while (bits) {
        bit = bits & -bits;
        bits &= ~bit;
        port = word * WORD_BITS + (unsigned int)__builtin_ctzl(bit);
        __atomic_fetch_and(&s->evtchn_pending[word], ~bit, __ATOMIC_SEQ_CST);
        if (handlers[port].fn)
            handlers[port].fn(port, handlers[port].arg);
    }
}

/* With this vCPU's events off. */
static void dispatch(struct vcpu_info *vi)
{
    uint64_t sel;

    /* Pending is cleared before the selector is read; see xen.h. */
    __atomic_store_n(&vi->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
    sel = __atomic_exchange_n(&vi->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    for (; sel; sel &= sel - 1)
        dispatch_word((unsigned int)__builtin_ctzl(sel));
}

/* From start.S, which needs the vcpu_info for its way out. */
struct vcpu_info *events_upcall(void *frame)
{
    struct cpu *cpu = this_cpu();

    (void)frame;
    cpu->upcalls++;
    dispatch(cpu->info);
    return cpu->info;
}

bool events_off(void)
{
    struct vcpu_info *vi = this_cpu()->info;
    bool were_on = !vi->evtchn_upcall_mask;

    WRITE_ONCE(vi->evtchn_upcall_mask, 1);
    __asm__ volatile("" ::: "memory");
    return were_on;
}

void events_on(void)
{
    struct vcpu_info *vi = this_cpu()->info;

    for (;;) {
        __asm__ volatile("" ::: "memory");
        WRITE_ONCE(vi->evtchn_upcall_mask, 0);
        __asm__ volatile("" ::: "memory");
        /* What came while they were off raised no upcall. */
        if (!READ_ONCE(vi->evtchn_upcall_pending))
            return;
        WRITE_ONCE(vi->evtchn_upcall_mask, 1);
        this_cpu()->upcalls++;
        dispatch(vi);
    }
}

void events_restore(bool were_on)
{
    if (were_on)
        events_on();
}

void events_block(uint64_t deadline)
{
    struct cpu *cpu = this_cpu();

    if (READ_ONCE(cpu->info->evtchn_upcall_pending)) {
        cpu->upcalls++;
        dispatch(cpu->info);
        return;
    }
    if (deadline)
        hypervisor_set_timer(deadline);
    /* Xen unmasks and sleeps in one step; the upcall comes on the way back. */
    SCHED_OP(block, NULL);
    events_off();
}

uint64_t events_count(void)
{
    return this_cpu()->upcalls;
}

void evtchn_mask(evtchn_port_t port)
{
    __atomic_fetch_or(&shared_info()->evtchn_mask[port / WORD_BITS],
                      1ul << (port % WORD_BITS), __ATOMIC_SEQ_CST);
}

void evtchn_unmask(evtchn_port_t port)
{
    uint64_t bit = 1ul << (port % WORD_BITS);
    struct evtchn_unmask op = {.port = port};
    struct shared_info *s = shared_info();

    __atomic_fetch_and(&s->evtchn_mask[port / WORD_BITS], ~bit,
                       __ATOMIC_SEQ_CST);
    if (!(READ_ONCE(s->evtchn_pending[port / WORD_BITS]) & bit))
        return;
    /* It came while masked and raised nothing: only Xen can, on its vCPU. */
    evtchn_mask(port);
    EVTCHN_OP(unmask, &op);
}

static int attach(evtchn_port_t port, unsigned int cpu, evtchn_handler_t fn,
                  void *arg)
{
    if (port == 0 || port >= NR_PORTS || cpu >= MAX_CPUS)
        return -EINVAL;
    handlers[port].arg = arg;
    handlers[port].fn = fn;
    __atomic_fetch_or(&served[cpu][port / WORD_BITS], 1ul << (port % WORD_BITS),
                      __ATOMIC_SEQ_CST);
    evtchn_unmask(port);
    return (int)port;
}

int evtchn_attach(evtchn_port_t port, evtchn_handler_t fn, void *arg)
{
    return attach(port, 0, fn, arg);
}

int evtchn_alloc_unbound(domid_t remote, evtchn_handler_t fn, void *arg)
{
    struct evtchn_alloc_unbound op = {.dom = DOMID_SELF, .remote_dom = remote};
    long rc = EVTCHN_OP(alloc_unbound, &op);

    return rc ? (int)rc : attach(op.port, 0, fn, arg);
}

int evtchn_bind_interdomain(domid_t remote, evtchn_port_t port,
                            evtchn_handler_t fn, void *arg)
{
    struct evtchn_bind_interdomain op = {.remote_dom = remote,
                                         .remote_port = port};
    long rc = EVTCHN_OP(bind_interdomain, &op);

    return rc ? (int)rc : attach(op.local_port, 0, fn, arg);
}

int evtchn_bind_virq(unsigned int virq, unsigned int cpu, evtchn_handler_t fn,
                     void *arg)
{
    struct evtchn_bind_virq op = {.virq = virq, .vcpu = cpu};
    long rc = EVTCHN_OP(bind_virq, &op);

    return rc ? (int)rc : attach(op.port, cpu, fn, arg);
}

int evtchn_bind_ipi(unsigned int cpu, evtchn_handler_t fn, void *arg)
{
    struct evtchn_bind_ipi op = {.vcpu = cpu};
    long rc = EVTCHN_OP(bind_ipi, &op);

    return rc ? (int)rc : attach(op.port, cpu, fn, arg);
}

int evtchn_bind_pirq(unsigned int pirq, evtchn_handler_t fn, void *arg)
{
    struct evtchn_bind_pirq op = {.pirq = pirq, .flags = BIND_PIRQ__WILL_SHARE};
    long rc = EVTCHN_OP(bind_pirq, &op);

    return rc ? (int)rc : attach(op.port, 0, fn, arg);
}

int pirq_eoi(unsigned int pirq)
{
    struct physdev_eoi op = {.irq = pirq};

    return (int)PHYSDEV_OP(eoi, &op);
}

int evtchn_send(evtchn_port_t port)
{
    struct evtchn_send op = {.port = port};

    return (int)EVTCHN_OP(send, &op);
}

int evtchn_close(evtchn_port_t port)
{
    struct evtchn_close op = {.port = port};
    unsigned int cpu;

    if (port >= NR_PORTS)
        return -EINVAL;
    evtchn_mask(port);
    for (cpu = 0; cpu < MAX_CPUS; cpu++)
        __atomic_fetch_and(&served[cpu][port / WORD_BITS],
                           ~(1ul << (port % WORD_BITS)), __ATOMIC_SEQ_CST);
    handlers[port].fn = NULL;
    return (int)EVTCHN_OP(close, &op);
}

static long set_callback(unsigned int type, const char *entry)
{
    struct callback_register cb = {
        .type = (uint16_t)type,
        .flags = CALLBACKF_mask_events,
        .address = (unsigned long)entry,
    };

    return hypercall_op(__HYPERVISOR_callback_op, CALLBACKOP_register, &cb);
}

void events_init(void)
{
    struct shared_info *s = shared_info();
    unsigned int i;
    long rc;

    for (i = 0; i < NR_WORDS; i++)
        WRITE_ONCE(s->evtchn_mask[i], ~0ul);
    rc = set_callback(CALLBACKTYPE_event, event_callback);
    if (!rc)
        rc = set_callback(CALLBACKTYPE_failsafe, failsafe_callback);
    if (rc)
        panic("Xen refused the event callback: error %ld", rc);
}
