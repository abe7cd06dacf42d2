/* SPDX-License-Identifier: MIT */
/*
 * Tests the guest kernel itself, on whatever hypervisor it runs: all memory
 * can be mapped and keeps what is written, grants and events work against
 * this very domain, timers wake in time, every vCPU runs, and a storm of
 * upcalls neither loses one nor eats the stack. Needs no device and no store.
 */
#include "frontends/include/gnttab.h"
#include "frontends/include/kernel.h"

#define CHUNK_PAGES 64
#define STORM       20000
#define PATIENCE    (10 * NSEC_PER_SEC)
#define SLEEP       (10 * NSEC_PER_MSEC)
#define STACK_ROOM  8192 /* more depth than this means that upcalls nest */

#define CHECK(cond, ...)                                                       \
    do {                                                                       \
        if (!(cond)) {                                                         \
            printf("selftest: " __VA_ARGS__);                                  \
            printf("\n");                                                      \
            return -EIO;                                                       \
        }                                                                      \
    } while (0)

/* ---- memory ---------------------------------------------------------------
 */

struct run {
    struct run *next;
    uint64_t word[PAGE_SIZE / sizeof(uint64_t) - 1];
};

static int test_memory(void)
{
    size_t before = page_free_count(), n = 0;
    struct run *list = NULL, *r;

    while ((r = page_alloc(CHUNK_PAGES))) {
        r->next = list;
        r->word[0] = (uint64_t)r;
        r[CHUNK_PAGES - 1].word[0] = ~(uint64_t)r;
        list = r;
        n++;
    }
    printf("selftest: %lu MiB in pieces of %lu KiB, %lu pages left\n",
           n * CHUNK_PAGES >> 8, CHUNK_PAGES * PAGE_SIZE >> 10,
           page_free_count());
    CHECK(n * CHUNK_PAGES > before * 3 / 4, "most memory cannot be had");
    while ((r = list)) {
        CHECK(r->word[0] == (uint64_t)r &&
                  r[CHUNK_PAGES - 1].word[0] == ~(uint64_t)r,
              "memory at %p lost its contents", (void *)r);
        list = r->next;
        page_free(r, CHUNK_PAGES);
    }
    return 0;
}

static int test_heap(void)
{
    static void *piece[200];
    uint64_t rng = 42, r;
    size_t i, k;

    for (i = 0; i < 20000; i++) {
        r = prng_next(&rng);
        k = r % ARRAY_SIZE(piece);
        heap_free(piece[k]);
        piece[k] = heap_alloc(1 + (r >> 16) % 6000);
        CHECK(piece[k] && (unsigned long)piece[k] % 16 == 0, "heap_alloc");
        CHECK(*(uint8_t *)piece[k] == 0, "heap memory is not zeroed");
        *(uint8_t *)piece[k] = 1;
    }
    for (k = 0; k < ARRAY_SIZE(piece); k++) {
        heap_free(piece[k]);
        piece[k] = NULL;
    }
    return 0;
}

/* ---- grants, events, time --------------------------------------------------
 */

static int test_grants(void)
{
    uint32_t before = gnttab_free_count(), n;
    void *page = page_alloc(1);
    int ref = 0;

    CHECK(before > 0, "there is no grant table");
    for (n = 0; n < before; n++) {
        ref = gnttab_grant(0, page, n % 2);
        CHECK(ref > 0, "grant %u of %u: error %d", n, before, ref);
    }
    CHECK(gnttab_grant(0, page, false) == -ENOSPC, "more grants than entries");
    for (n = 0; n < before; n++)
        CHECK(gnttab_end((grant_ref_t)ref - n) == 0, "end of grant %u",
              (grant_ref_t)ref - n);
    CHECK(gnttab_free_count() == before, "grants were lost");
    page_free(page, 1);
    return 0;
}

static volatile uint64_t heard;
static unsigned long lowest_sp;

static void hear(evtchn_port_t port, void *arg)
{
    unsigned long sp = (unsigned long)__builtin_frame_address(0);

    (void)port;
    (void)arg;
    heard++;
    lowest_sp = MIN(lowest_sp, sp);
}

static int test_time(void)
{
    uint64_t a = time_ns(), b;
    int i;

    for (i = 0; i < 100000; i++, a = b) {
        b = time_ns();
        CHECK(b >= a, "time went back from %lu to %lu", a, b);
    }
    for (i = 0; i < 10; i++) {
        a = time_ns();
        sleep_ns(SLEEP);
        b = time_ns() - a;
        CHECK(b >= SLEEP && b < 50 * SLEEP, "%lu ns of sleep took %lu", SLEEP,
              b);
    }
    CHECK(wallclock_ns() / NSEC_PER_SEC > 1000000000, "wall clock %lu",
          wallclock_ns());
    return 0;
}

static int loopback(evtchn_port_t *from, evtchn_port_t *to)
{
    int a = evtchn_alloc_unbound(DOMID_SELF, hear, NULL), b;

    CHECK(a > 0, "alloc_unbound: error %d", a);
    b = evtchn_bind_interdomain(DOMID_SELF, (evtchn_port_t)a, evtchn_wake_only,
                                NULL);
    CHECK(b > 0, "bind_interdomain: error %d", b);
    *from = (evtchn_port_t)b;
    *to = (evtchn_port_t)a;
    return 0;
}

static int test_events(void)
{
    evtchn_port_t from, to;
    uint64_t before;
    int i, rc = loopback(&from, &to);

    if (rc)
        return rc;
    for (i = 0; i < 1000; i++) {
        before = heard;
        CHECK(evtchn_send(from) == 0, "send");
        CHECK(wait_event_until(heard != before, time_ns() + PATIENCE) == 0,
              "event %d was lost", i);
    }
    /* Masked: no upcall, and none lost on unmasking. */
    evtchn_mask(to);
    before = heard;
    evtchn_send(from);
    sleep_ns(NSEC_PER_MSEC);
    CHECK(heard == before, "a masked port was heard");
    evtchn_unmask(to);
    CHECK(wait_event_until(heard != before, time_ns() + PATIENCE) == 0,
          "unmasking lost an event");
    CHECK(evtchn_close(from) == 0 && evtchn_close(to) == 0, "close");
    return 0;
}

/* ---- vCPUs ------------------------------------------------------------------
 */

static volatile bool storm_over;

static void storm(void *arg)
{
    evtchn_port_t port = *(evtchn_port_t *)arg;

    while (!storm_over)
        evtchn_send(port);
}

/*
 * Another vCPU sends as fast as it can while this one does nothing but take
 * upcalls, switch them off and on, and count in all its registers.
 */
static int test_storm(void)
{
    evtchn_port_t from, to;
    uint64_t end = time_ns() + PATIENCE, sum = 0, n;
    unsigned long here = (unsigned long)__builtin_frame_address(0);
    int rc;

    if (smp_count() < 2)
        return 0;
    rc = loopback(&from, &to);
    if (rc)
        return rc;
    heard = 0;
    lowest_sp = here;
    rc = smp_start(1, storm, &from);
    CHECK(rc == 0, "vCPU 1 does not start: error %d", rc);
    for (n = 0; heard < STORM && time_ns() < end; n++) {
        sum += n;
        events_restore(events_off());
    }
    storm_over = true;
    while (smp_is_up(1) && time_ns() < end)
        cpu_relax();
    printf("selftest: %lu upcalls in a storm, stack depth %lu\n", heard,
           here - lowest_sp);
    CHECK(sum == n * (n - 1) / 2, "a register was spoilt by an upcall");
    CHECK(heard >= STORM / 100, "hardly an upcall");
    CHECK(here - lowest_sp < STACK_ROOM, "upcalls nest");
    CHECK(evtchn_close(from) == 0 && evtchn_close(to) == 0, "close");
    return 0;
}

static void visit(void *arg)
{
    unsigned int *visits = arg;
    uint64_t start = time_ns();

    /* Its own timer wakes it. */
    sleep_ns(NSEC_PER_MSEC);
    if (time_ns() - start >= NSEC_PER_MSEC)
        __atomic_fetch_or(visits, 1u << cpu_id(), __ATOMIC_SEQ_CST);
}

static int test_vcpus(void)
{
    unsigned int n = smp_count(), cpu, round, visits;
    uint64_t end;

    for (round = 0; round < 3; round++) {
        visits = 1;
        for (cpu = 1; cpu < n; cpu++)
            CHECK(smp_start(cpu, visit, &visits) == 0, "start of vCPU %u", cpu);
        end = time_ns() + PATIENCE;
        for (cpu = 1; cpu < n; cpu++)
            while (smp_is_up(cpu) && time_ns() < end)
                sleep_ns(NSEC_PER_MSEC);
        CHECK(READ_ONCE(visits) == (1u << n) - 1, "of %u vCPUs ran %x", n,
              visits);
    }
    printf("selftest: %u vCPU%s\n", n, n == 1 ? "" : "s");
    return 0;
}

static const struct {
    const char *name;
    int (*run)(void);
} tests[] = {
    {"memory", test_memory}, {"heap", test_heap},     {"time", test_time},
    {"events", test_events}, {"grants", test_grants}, {"vcpus", test_vcpus},
    {"storm", test_storm},
};

int guest_main(void)
{
    unsigned int failed = 0;
    size_t i;
    int rc;

    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        rc = tests[i].run();
        printf("selftest: %-8s %s\n", tests[i].name, rc ? "FAILED" : "OK");
        failed += rc != 0;
    }
    printf("SELFTEST %s failed=%u of=%lu\n", failed ? "FAILED" : "OK", failed,
           ARRAY_SIZE(tests));
    return failed ? SHUTDOWN_crash : SHUTDOWN_poweroff;
}
