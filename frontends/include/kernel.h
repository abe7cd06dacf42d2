/* SPDX-License-Identifier: MIT */
#ifndef FRONTENDS_KERNEL_H
#define FRONTENDS_KERNEL_H

/*
 * The small PV guest kernel: what guests and drivers may call.
 *
 * There are no threads. vCPU 0 runs guest_main(); other vCPUs run what
 * smp_start() gives them. Event handlers run on the stack of whatever they
 * interrupt, with events masked: they should do next to nothing, because
 * wait_event() re-evaluates its condition after every upcall anyhow.
 */
#include "frontends/include/lib.h"
#include "frontends/include/xenabi.h"

#define PAGE_SHIFT    12
#define PAGE_SIZE     4096ul
#define PAGE_MASK     (~(PAGE_SIZE - 1))
#define MAX_CPUS      8
#define NSEC_PER_SEC  1000000000ul
#define NSEC_PER_MSEC 1000000ul

#define snprintf  format_snprintf
#define vsnprintf format_vsnprintf

#define READ_ONCE(x)     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

static inline void cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

/* The guest's own code; its return value is the SHUTDOWN_* reason. */
int guest_main(void);

/* ---- start-up facts ---------------------------------------------------- */

const struct start_info *start_info(void);
const char *cmdline(void);
struct shared_info *shared_info(void);

/*
 * A driver announces itself with one DRIVER() line; drivers_probe() calls
 * every probe, in link order, and is itself called once before guest_main().
 * A probe that finds none of its devices returns quietly.
 */
struct driver {
    const char *name;
    void (*probe)(void);
};
#define DRIVER(id, fn)                                                         \
    static const struct driver driver_##id                                     \
        __attribute__((used, section(".drivers"), aligned(8))) = {#id, fn}

/* ---- output and ends ----------------------------------------------------
 * printf goes to the active console (console.h); before there is one, and
 * with panic, to Xen's own console as well. Neither panic nor shutdown returns.
 */
int printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int vprintf(const char *fmt, va_list ap);
void xen_console_write(const char *s, size_t len);
_Noreturn void panic(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
_Noreturn void shutdown(unsigned int reason);

/* ---- memory ---------------------------------------------------------------
 * One linear map: virtual address = map base + (pfn << 12). Machine frames
 * are another matter and need not be contiguous: ask for each page.
 */

/* npages contiguous in virtual space, zeroed; NULL if there are none. */
void *page_alloc(size_t npages);
void page_free(void *va, size_t npages);
size_t page_free_count(void);
/* Any size, 16-byte aligned, zeroed; NULL if there is no memory. */
void *heap_alloc(size_t size);
void heap_free(void *p);
char *heap_strdup(const char *s);

unsigned long virt_to_pfn(const void *va);
unsigned long pfn_to_mfn(unsigned long pfn);
unsigned long virt_to_mfn(const void *va);
uint64_t virt_to_machine(const void *va);
/* Where in the linear map a frame of this guest is; NULL if not there. */
void *mfn_to_virt(unsigned long mfn);

/*
 * Maps a machine range (a device's registers, shared_info) uncached if it is
 * asked for; returns its virtual address, or NULL if there is no room or
 * Xen refuses. There are 64 pages for this; they are not given back.
 */
void *map_machine(uint64_t machine, size_t len, bool uncached);

/* ---- events ----------------------------------------------------------------
 * All functions return a port or 0, or -Exxx. A fresh port is unmasked.
 */
typedef void (*evtchn_handler_t)(evtchn_port_t port, void *arg);

int evtchn_alloc_unbound(domid_t remote, evtchn_handler_t fn, void *arg);
int evtchn_bind_interdomain(domid_t remote, evtchn_port_t port,
                            evtchn_handler_t fn, void *arg);
int evtchn_bind_virq(unsigned int virq, unsigned int cpu, evtchn_handler_t fn,
                     void *arg);
int evtchn_bind_ipi(unsigned int cpu, evtchn_handler_t fn, void *arg);
/* Physical interrupt; the handler's user calls pirq_eoi when it is served. */
int evtchn_bind_pirq(unsigned int pirq, evtchn_handler_t fn, void *arg);
int pirq_eoi(unsigned int pirq);
int evtchn_send(evtchn_port_t port);
int evtchn_close(evtchn_port_t port);
/* Takes a port Xen bound before the start (store, console). */
int evtchn_attach(evtchn_port_t port, evtchn_handler_t fn, void *arg);
void evtchn_mask(evtchn_port_t port);
void evtchn_unmask(evtchn_port_t port);
/* A handler for ports whose only use is to end a wait. */
void evtchn_wake_only(evtchn_port_t port, void *arg);

/* This vCPU's upcalls off; returns whether they were on, for events_restore. */
bool events_off(void);
void events_on(void);
void events_restore(bool were_on);
/*
 * With events off: sleep until an event comes, deliver it, events off again.
 * deadline in system time (ns), 0 for none.
 */
void events_block(uint64_t deadline);
/* Upcalls this vCPU has taken, for "events per operation". */
uint64_t events_count(void);

/*
 * Sleeps until cond is true. Events are off while it is evaluated, so an
 * event between the test and the sleep ends the sleep: nothing is lost.
 */
#define wait_event(cond)                                                       \
    do {                                                                       \
        bool were_on_ = events_off();                                          \
        while (!(cond))                                                        \
            events_block(0);                                                   \
        events_restore(were_on_);                                              \
    } while (0)

/* The same, at most until deadline; gives 0 or -ETIMEDOUT. */
#define wait_event_until(cond, deadline)                                       \
    ({                                                                         \
        int rc_ = 0;                                                           \
        bool were_on_ = events_off();                                          \
        while (!(cond)) {                                                      \
            if (time_ns() >= (deadline)) {                                     \
                rc_ = -ETIMEDOUT;                                              \
                break;                                                         \
            }                                                                  \
            events_block(deadline);                                            \
        }                                                                      \
        events_restore(were_on_);                                              \
        rc_;                                                                   \
    })

/* ---- time (ns) ----------------------------------------------------------- */

uint64_t time_ns(void);      /* system time, since the domain's start */
uint64_t wallclock_ns(void); /* since the Unix epoch */
void sleep_ns(uint64_t ns);  /* blocks */
void delay_ns(uint64_t ns);  /* spins */
uint64_t rdtsc_ordered(void);
uint64_t tsc_to_ns(uint64_t cycles); /* a difference of two rdtsc values */

/* ---- vCPUs ------------------------------------------------------------------
 * smp_start runs fn(arg) on a vCPU that is still down, with events on; when
 * fn returns the vCPU goes down again. smp_count probes how many there are.
 */
unsigned int cpu_id(void);
unsigned int smp_count(void);
int smp_start(unsigned int cpu, void (*fn)(void *), void *arg);
bool smp_is_up(unsigned int cpu);

/* ---- trapped I/O: allowed once port_io_enable() has succeeded -------------
 */

int port_io_enable(void);

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t v;

    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void insw(uint16_t port, void *buf, size_t count)
{
    __asm__ volatile("rep insw"
                     : "+D"(buf), "+c"(count)
                     : "d"(port)
                     : "memory");
}

static inline void outsw(uint16_t port, const void *buf, size_t count)
{
    __asm__ volatile("rep outsw"
                     : "+S"(buf), "+c"(count)
                     : "d"(port)
                     : "memory");
}

#endif
