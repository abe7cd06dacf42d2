/* SPDX-License-Identifier: MIT */
/*
 * Proves the way from domain 0's processes to hv: the real server and the real
 * client library in one process, over a socket in a temporary folder.  Calls,
 * events, grants and foreign memory do what Xen's libraries promise and leave
 * nothing behind; hostile messages cost their sender the connection and nobody
 * anything else.
 */
#include "hv_host.h"

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <xen/domctl.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xencall.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include "hv/client/kxen.h"
#include "hv/event_channel.h"
#include "hv/fdpass.h"
#include "hv/notify.h"
#include "hv/privcmd.h"
#include "kxen/privcmd.h"
#include "tests/unit/scratch.h"

static struct privcmd_server *server;
static char dir[64];
static kxctrl *k;

static int setup(void **state)
{
    char err[256], path[128];

    if (hvt_setup(state) || notify_start(&hvt))
        return -1;
    if (!mkdtemp(scratch_name(dir, sizeof(dir))) || kxen_set_run_dir(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/hv.sock", dir);
    server = privcmd_start(&hvt, path, err, sizeof(err));
    k = kxctrl_open();
    return server && k ? 0 : -1;
}

static int teardown(void **state)
{
    kxctrl_close(k);
    privcmd_stop(server);
    assert_null(kxctrl_open());
    rmdir(dir);
    return hvt_teardown(state);
}

static unsigned int open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* The number once hv's own threads have closed what earlier tests left. */
static unsigned int settled_fds(void)
{
    unsigned int n = open_fds();

    for (int same = 0; same < 5; same++) {
        rcu_barrier();
        usleep(5000);
        if (open_fds() != n) {
            n = open_fds();
            same = 0;
        }
    }
    return n;
}

/* hv closes in its own threads: what was there comes back before long. */
static void assert_fds(unsigned int want)
{
    for (int i = 0; i < 200 && open_fds() != want; i++) {
        rcu_barrier();
        usleep(10000);
    }
    assert_int_equal(open_fds(), want);
}

/* A domain with memory that runs, as far as a test without KVM can tell. */
static uint32_t make_domain(void)
{
    struct xen_domctl_createdomain cfg = {
        .max_vcpus = 2, .max_grant_frames = -1, .max_maptrack_frames = -1};
    uint32_t id = 0;

    assert_int_equal(kxctrl_domain_create(k, &cfg, &id), 0);
    assert_int_equal(kxctrl_domain_max_mem(k, id, HVT_KIB), 0);
    assert_int_equal(kxctrl_domain_populate(k, id, HVT_KIB / 4, NULL), 0);
    assert_int_equal(kxctrl_domain_unpause(k, id), 0);
    return id;
}

static struct domain *find(uint32_t id)
{
    struct domain *d = domain_get(&hvt, id);

    assert_non_null(d);
    domain_put(d); /* it lives until the test destroys it */
    return d;
}

static void test_domctl(void **state)
{
    struct xen_domctl_getdomaininfo info, list[8];
    struct xen_sysctl_physinfo phys;
    uint32_t id = make_domain();
    char text[300];

    (void)state;
    assert_int_equal(kxctrl_domain_getinfo(k, id, &info), 0);
    assert_int_equal(info.tot_pages, HVT_KIB / 4);
    assert_int_equal(info.domain, id);
    assert_int_equal(kxctrl_domain_getinfo(k, id + 1, &info), -ESRCH);
    assert_int_equal(kxctrl_domain_getinfo(k, id - 1, &info),
                     id - 1 ? -ESRCH : 0);
    assert_int_equal(kxctrl_domain_getinfolist(k, 0, 8, list), 2);
    assert_int_equal(list[0].domain, 0);
    assert_int_equal(list[1].domain, id);
    assert_int_equal(kxctrl_domain_getinfolist(k, id + 1, 8, list), 0);
    assert_int_equal(kxctrl_domain_getinfolist(k, 0, 1, list), 1);
    assert_int_equal(kxctrl_domain_pause(k, id), 0);
    assert_int_equal(kxctrl_domain_getinfo(k, id, &info), 0);
    assert_true(info.flags & XEN_DOMINF_paused);
    assert_int_equal(kxctrl_domain_unpause(k, id), 0);
    assert_int_equal(kxctrl_domain_unpause(k, id), -EINVAL);
    assert_int_equal(kxctrl_domain_pause(k, 0), -EINVAL);
    assert_int_equal(kxctrl_domain_destroy(k, 0), -EINVAL);
    assert_int_equal(kxctrl_domain_shutdown(k, 0, SHUTDOWN_crash), -EPERM);
    domain_crash(find(id), "%s", "because");
    assert_int_equal(kxctrl_crash_reason(k, id, text, sizeof(text)), 0);
    assert_string_equal(text, "because");
    assert_int_equal(kxctrl_physinfo(k, &phys), 0);
    assert_true(phys.nr_cpus >= 1);
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
    assert_int_equal(kxctrl_domain_destroy(k, id), -ESRCH);
}

static void test_foreign_memory(void **state)
{
    unsigned int fds = settled_fds();
    xenforeignmemory_handle *f = xenforeignmemory_open(NULL, 0);
    uint32_t id = make_domain();
    xen_pfn_t gfns[3] = {5, 1ull << 40, 6};
    int err[3];
    char *p = xenforeignmemory_map(f, id, PROT_READ | PROT_WRITE, 3, gfns, err);

    (void)state;
    assert_non_null(p);
    assert_int_equal(err[0], 0);
    assert_int_equal(err[1], -EINVAL);
    assert_int_equal(err[2], 0);
    strcpy(p + 8192, "over there");
    assert_string_equal((char *)domain_frame(find(id), 6), "over there");
    assert_int_equal(xenforeignmemory_unmap(f, p, 3), 0);
    assert_null(xenforeignmemory_map(f, id, PROT_READ, 3, gfns, NULL));
    assert_null(xenforeignmemory_map(f, id, PROT_READ, 1ul << 60, gfns, err));
    assert_null(xenforeignmemory_map(f, id + 1, PROT_READ, 1, gfns, err));
    assert_null(xenforeignmemory_map(f, 0, PROT_READ, 1, gfns, err));
    /* Truncated to 16 bits it would be a domain. */
    assert_null(xenforeignmemory_map(f, id + 65536, PROT_READ, 1, gfns, err));
    xenforeignmemory_close(f);
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
    assert_fds(fds);
}

static void test_grants(void **state)
{
    unsigned int fds = settled_fds();
    xengnttab_handle *g = xengnttab_open(NULL, 0);
    uint32_t id = make_domain(), refs[2] = {8, 9};
    char *p, *q;

    (void)state;
    assert_int_equal(kxctrl_gnttab_seed(k, id, 8, 0, 21), 0);
    assert_int_equal(kxctrl_gnttab_seed(k, id, 9, 0, 20), 0);
    assert_int_equal(kxctrl_gnttab_seed(k, id, 9, 0, 1ull << 40), -EINVAL);
    p = xengnttab_map_domain_grant_refs(g, 2, id, refs, PROT_READ | PROT_WRITE);
    q = xengnttab_map_grant_ref(g, id, 8, PROT_READ);
    assert_non_null(p);
    assert_non_null(q);
    strcpy(p + 4096, "second");
    assert_string_equal((char *)domain_frame(find(id), 20), "second");
    strcpy(p, "first");
    assert_string_equal(q, "first");
    refs[1] = 10; /* not granted: none of the two stays */
    assert_null(xengnttab_map_domain_grant_refs(g, 2, id, refs, PROT_READ));
    assert_int_equal(xengnttab_unmap(g, p, 1), -1);
    assert_int_equal(xengnttab_unmap(g, p, 2), 0);
    assert_int_equal(xengnttab_unmap(g, p, 2), -1);
    assert_int_equal(xengnttab_unmap(g, q, 1), 0);
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
    xengnttab_close(g);
    assert_fds(fds);
}

/* A handle that lives on keeps nothing of domains that are gone. */
static void test_long_lived_handles(void **state)
{
    xengnttab_handle *g = xengnttab_open(NULL, 0);
    xenevtchn_handle *x = xenevtchn_open(NULL, 0);
    unsigned int fds = settled_fds();

    (void)state;
    for (int i = 0; i < 20; i++) {
        uint32_t id = make_domain();
        int port = kxctrl_evtchn_alloc_unbound(k, id, 0), mine;
        void *p;

        assert_int_equal(kxctrl_gnttab_seed(k, id, 8, 0, 3), 0);
        p = xengnttab_map_grant_ref(g, id, 8, PROT_READ);
        mine = xenevtchn_bind_interdomain(x, id, port);
        assert_non_null(p);
        assert_true(mine > 0);
        assert_int_equal(kxctrl_domain_destroy(k, id), 0);
        assert_int_equal(xengnttab_unmap(g, p, 1), 0);
        assert_int_equal(xenevtchn_unbind(x, mine), 0);
    }
    assert_fds(fds);
    xenevtchn_close(x);
    xengnttab_close(g);
}

static bool pending(uint32_t id, unsigned int port)
{
    return find(id)->shared_info->evtchn_pending[0] >> port & 1;
}

static int next_port(xenevtchn_handle *x)
{
    struct pollfd p = {.fd = xenevtchn_fd(x), .events = POLLIN};

    return poll(&p, 1, 5000) == 1 ? xenevtchn_pending(x) : -1;
}

static void test_events(void **state)
{
    xenevtchn_handle *x = xenevtchn_open(NULL, 0);
    uint32_t id = make_domain();
    int port = kxctrl_evtchn_alloc_unbound(k, id, 0);
    int mine = xenevtchn_bind_interdomain(x, id, port);
    int virq = xenevtchn_bind_virq(x, VIRQ_DOM_EXC);

    (void)state;
    assert_true(port > 0 && port < 64 && mine > 0 && virq > 0);
    assert_int_equal(xenevtchn_bind_virq(x, VIRQ_DOM_EXC), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(next_port(x), mine); /* binding makes one event */
    assert_int_equal(xenevtchn_unmask(x, mine), 0);
    find(id)->shared_info->evtchn_pending[0] = 0;
    assert_int_equal(xenevtchn_notify(x, mine), 0);
    assert_true(pending(id, port));
    /* Raised without hv, it has kicked the vCPU all the same. */
    assert_int_equal(find(id)->notify->page->vcpu[0].kicked, 1);
    assert_int_equal(evtchn_send(find(id), port), 0);
    assert_int_equal(next_port(x), mine);
    domain_shutdown(find(id), SHUTDOWN_poweroff);
    assert_int_equal(next_port(x), virq);
    assert_int_equal(xenevtchn_unmask(x, virq), 0);
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
    assert_int_equal(next_port(x), virq);
    assert_int_equal(xenevtchn_notify(x, 999), -1);
    assert_int_equal(xenevtchn_unbind(x, mine), 0);
    assert_int_equal(xenevtchn_unbind(x, mine), -1);
    xenevtchn_close(x);
}

/* Ports and grants go with the connection, and can be had again. */
static void test_connection_ends(void **state)
{
    uint32_t id = make_domain(), ref = 8;
    int port = kxctrl_evtchn_alloc_unbound(k, id, 0);

    (void)state;
    assert_int_equal(kxctrl_gnttab_seed(k, id, ref, 0, 3), 0);
    for (int i = 0; i < 5; i++) {
        xenevtchn_handle *x = xenevtchn_open(NULL, 0);
        xengnttab_handle *g = xengnttab_open(NULL, 0);
        int mine = -1;

        for (int t = 0; t < 200 && mine < 0; t++) {
            mine = xenevtchn_bind_interdomain(x, id, port);
            if (mine < 0)
                usleep(5000); /* hv is still taking the last one apart */
        }
        assert_true(mine > 0);
        assert_non_null(xengnttab_map_grant_ref(g, id, ref, PROT_READ));
        xenevtchn_close(x);
        xengnttab_close(g);
    }
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
}

static void test_call_buffers(void **state)
{
    xencall_handle *h = xencall_open(NULL, 0);
    void *p[64];

    (void)state;
    assert_true(xencall2(h, __HYPERVISOR_xen_version, 0, 0) >= 4 << 16);
    assert_int_equal(xencall2(h, 45, 0, 0), -1);
    assert_int_equal(errno, ENOSYS);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 64; i++) {
            p[i] = i % 3 ? xencall_alloc_buffer(h, 100 * i + 1)
                         : xencall_alloc_buffer_pages(h, 1);
            assert_non_null(p[i]);
            assert_int_equal(i % 3 ? 0 : (uintptr_t)p[i] % 4096, 0);
            memset(p[i], i, i % 3 ? 100 * i + 1 : 4096);
        }
        /* In an order that no stack would like. */
        for (int i = 0; i < 64; i++) {
            int n = (i * 37 + round) % 64;

            assert_int_equal(*(unsigned char *)p[n], n);
            if (n % 3)
                xencall_free_buffer(h, p[n]);
            else
                xencall_free_buffer_pages(h, p[n], 1);
        }
    }
    p[0] = xencall_alloc_buffer(h, 1 << 20); /* all of it is free again */
    assert_non_null(p[0]);
    assert_null(xencall_alloc_buffer(h, 1));
    assert_null(xencall_alloc_buffer(h, ~0ul));
    assert_null(xencall_alloc_buffer_pages(h, ~0ul));
    xencall_close(h);
}

static void test_inflight(void **state)
{
    unsigned int fds = settled_fds();
    uint32_t id = make_domain();
    int fd;

    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(kxctrl_inflight_get(k, id, "a", 4096, &fd), 0);
        close(fd);
    }
    assert_true(kxctrl_inflight_get(k, id, "a", 8192, &fd) < 0);
    assert_int_equal(kxctrl_inflight_drop(k, id, "a"), 0);
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
    assert_fds(fds);
}

/* ---- hostile ---- */

static int raw(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    kxen_path(a.sun_path, sizeof(a.sun_path), "hv.sock");
    assert_int_equal(connect(s, (struct sockaddr *)&a, sizeof(a)), 0);
    return s;
}

/* The reply's rc; fails the test if the connection has gone. */
static int64_t ask(int s, const struct privcmd_req *q)
{
    struct privcmd_rep r;
    int fd;

    assert_int_equal(fdpass_send(s, q, sizeof(*q), -1), 0);
    assert_int_equal(fdpass_recv(s, &r, sizeof(r), &fd), sizeof(r));
    if (fd >= 0)
        close(fd);
    return r.rc;
}

static void assert_closed(int s)
{
    struct pollfd p = {.fd = s, .events = POLLIN};
    char c;

    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_true(recv(s, &c, 1, 0) <= 0);
    close(s);
}

static void test_broken_messages(void **state)
{
    unsigned int fds = settled_fds();
    struct privcmd_req q = {.op = PRIVCMD_HELLO, .args = {PRIVCMD_VERSION}};
    char big[4096] = {0};
    static const size_t sizes[] = {1, 64, sizeof(q) - 1, sizeof(q) + 1, 4096};

    (void)state;
    memcpy(big, &q, sizeof(q));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int s = raw();

        assert_int_equal(send(s, big, sizes[i], 0), sizes[i]);
        assert_closed(s);
    }
    int s = raw();
    assert_int_equal(fdpass_send(s, big, 0, s), 0); /* nothing, with an fd */
    assert_closed(s);
    for (int i = 0; i < 50; i++)
        close(raw()); /* comes and goes */
    s = raw();        /* asks and does not wait for the answer */
    assert_int_equal(fdpass_send(s, &q, sizeof(q), -1), 0);
    close(s);
    assert_fds(fds);
}

/* Two descriptors fit where one is expected: neither may stay in hv. */
static void test_many_descriptors(void **state)
{
    struct privcmd_req q = {.op = PRIVCMD_ARENA};
    struct iovec iov = {&q, sizeof(q)};
    union {
        char buf[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } c = {{0}};
    struct msghdr m = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = c.buf,
        .msg_controllen = sizeof(c.buf),
    };
    struct privcmd_rep r;
    int s = raw(), fd;
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);

    (void)state;
    assert_int_equal(ask(s, &q), 0);
    unsigned int fds = settled_fds();
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(h), (int[2]){s, s}, 2 * sizeof(int));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(sendmsg(s, &m, 0), sizeof(q));
        assert_int_equal(fdpass_recv(s, &r, sizeof(r), &fd), sizeof(r));
    }
    assert_fds(fds);
    close(s);
}

static void test_bad_requests(void **state)
{
    struct privcmd_req q = {.op = PRIVCMD_HELLO, .args = {99}};
    uint32_t id = make_domain();
    int s = raw();

    (void)state;
    assert_int_equal(ask(s, &q), -EPROTONOSUPPORT);
    for (uint32_t op = PRIVCMD_COUNTERS + 1; op < 300; op += 13) {
        q.op = op;
        assert_int_equal(ask(s, &q), -ENOSYS);
    }
    q.op = 0;
    assert_int_equal(ask(s, &q), -ENOSYS);
    q.op = ~0u;
    assert_int_equal(ask(s, &q), -ENOSYS);
    q.op = PRIVCMD_HYPERCALL;
    q.args[0] = __HYPERVISOR_domctl;
    assert_int_equal(ask(s, &q), -EFAULT); /* no arena yet */
    q.op = PRIVCMD_ARENA;
    q.args[0] = 0x10000;
    assert_int_equal(ask(s, &q), 0);
    q.op = PRIVCMD_HYPERCALL;
    q.args[0] = __HYPERVISOR_domctl;
    static const uint64_t at[] = {
        0, 0xffff, 0x10000 + PRIVCMD_ARENA_SIZE - 8, ~0ull, 1ull << 63,
    };
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        q.args[1] = at[i];
        assert_int_equal(ask(s, &q), -EFAULT);
    }
    q = (struct privcmd_req){.op = PRIVCMD_PORT_FD, .args = {~0ull}};
    assert_true(ask(s, &q) < 0);
    q = (struct privcmd_req){
        .op = PRIVCMD_NOTIFY_FD, .domid = id, .args = {1ull << 63}};
    assert_int_equal(ask(s, &q), -EINVAL);
    q = (struct privcmd_req){
        .op = PRIVCMD_INFLIGHT_GET, .domid = id, .args = {4096}};
    memset(q.key, 'x', sizeof(q.key));
    assert_int_equal(ask(s, &q), 0); /* cut at its end */
    close(s);
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
}

/* Every hypercall with every kind of argument that fits in registers. */
static void test_random_hypercalls(void **state)
{
    struct privcmd_req q = {.op = PRIVCMD_ARENA, .args = {0x10000}};
    uint32_t id = make_domain();
    int s = raw();

    (void)state;
    srandom(2);
    assert_int_equal(ask(s, &q), 0);
    q.op = PRIVCMD_HYPERCALL;
    for (int i = 0; i < 5000; i++) {
        q.args[0] = random() % 48;
        for (int a = 1; a < 7; a++)
            q.args[a] =
                random() % 2 ? random() % 40 : 0x10000u + random() % 4096;
        (void)ask(s, &q);
    }
    close(s);
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
}

static void test_restrict(void **state)
{
    uint32_t id = make_domain(), other = make_domain();
    struct privcmd_req q = {.op = PRIVCMD_RESTRICT, .domid = 0x80000001u};
    xenevtchn_handle *x = xenevtchn_open(NULL, 0);
    int port = kxctrl_evtchn_alloc_unbound(k, id, 0);
    int not_ours = kxctrl_evtchn_alloc_unbound(k, other, 0);
    int s = raw();

    (void)state;
    assert_int_equal(ask(s, &q), -EINVAL);
    q.domid = id;
    assert_int_equal(ask(s, &q), 0);
    q.domid = other;
    assert_int_equal(ask(s, &q), -EPERM);
    q.op = PRIVCMD_DOMAIN_MEM;
    assert_int_equal(ask(s, &q), -EPERM);
    q.domid = id + 65536;
    assert_int_equal(ask(s, &q), -EPERM);
    q.domid = id;
    assert_int_equal(ask(s, &q), 0);
    q.op = PRIVCMD_HYPERCALL;
    for (unsigned int nr = 0; nr < 64; nr++) {
        q.args[0] = nr;
        if (nr != __HYPERVISOR_event_channel_op &&
            nr != __HYPERVISOR_grant_table_op)
            assert_int_equal(ask(s, &q), -EPERM);
    }
    close(s);
    assert_int_equal(xenevtchn_restrict(x, id), 0);
    assert_int_equal(xenevtchn_bind_interdomain(x, other, not_ours), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(xenevtchn_bind_virq(x, VIRQ_DOM_EXC), -1);
    assert_true(xenevtchn_bind_interdomain(x, id, port) > 0);
    xenevtchn_close(x);
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
    assert_int_equal(kxctrl_domain_destroy(k, other), 0);
}

/* Who shares the page may write anything there: his, not another's, loss. */
static void test_hostile_notify_page(void **state)
{
    uint32_t id = make_domain();
    struct notify *n = find(id)->notify;
    xenevtchn_handle *x = xenevtchn_open(NULL, 0);
    int port = kxctrl_evtchn_alloc_unbound(k, id, 0);
    int mine = xenevtchn_bind_interdomain(x, id, port);
    struct notify_page saved = *n->page;

    (void)state;
    assert_int_equal(ftruncate(n->page_fd, 0), -1);
    memset(n->page, 0xff, sizeof(*n->page));
    (void)xenevtchn_notify(x, mine);
    for (int i = 0; i < 3; i++) {
        *n->page = saved;
        n->page->shared_info_off = i == 0 ? ~0ull : saved.shared_info_off;
        n->page->vcpu[0].info_off = i == 1 ? ~0ull - 3 : 1;
        n->page->port_vcpu[port] = i == 2 ? 0xffff : 1;
        (void)xenevtchn_notify(x, mine);
    }
    *n->page = saved;
    assert_int_equal(xenevtchn_notify(x, mine), 0);
    xenevtchn_close(x);
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
}

/* Two toolstacks that do not know of each other. */
static void *pauser(void *arg)
{
    kxctrl *mine = kxctrl_open();
    uint32_t id = *(uint32_t *)arg;

    for (int i = 0; i < 500; i++) {
        int rc = i % 2 ? kxctrl_domain_unpause(mine, id)
                       : kxctrl_domain_pause(mine, id);
        struct xen_domctl_getdomaininfo info;

        if (rc == -ESRCH)
            break;
        (void)kxctrl_domain_getinfo(mine, id, &info);
    }
    kxctrl_close(mine);
    return NULL;
}

static void test_many_clients(void **state)
{
    pthread_t t[4];
    uint32_t id = make_domain();

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, pauser, &id), 0);
    usleep(50000);
    assert_int_equal(kxctrl_domain_destroy(k, id), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_domctl),
        cmocka_unit_test(test_foreign_memory),
        cmocka_unit_test(test_grants),
        cmocka_unit_test(test_long_lived_handles),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_connection_ends),
        cmocka_unit_test(test_call_buffers),
        cmocka_unit_test(test_inflight),
        cmocka_unit_test(test_broken_messages),
        cmocka_unit_test(test_many_descriptors),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_random_hypercalls),
        cmocka_unit_test(test_restrict),
        cmocka_unit_test(test_hostile_notify_page),
        cmocka_unit_test(test_many_clients),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
