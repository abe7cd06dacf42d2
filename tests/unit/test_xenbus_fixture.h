/* SPDX-License-Identifier: MIT */
#pragma GCC diagnostic ignored "-Wunused-function"
/*
 * A host without hv: a real kxenstored, the real backends, and in the place
 * of libkxen a "guest" that is a memfd.  Grant reference n is its page n,
 * event channels are pairs of eventfds.  The test plays toolstack and guest.
 *
 * It defines libkxen's functions: include it in one file of a program.
 */
#ifndef TESTS_UNIT_TEST_XENBUS_FIXTURE_H
#define TESTS_UNIT_TEST_XENBUS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xencall.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "backends/backend.h"
#include "hv/client/kxen.h"
#include "tests/unit/scratch.h"

#define FX_PAGES  256u
#define FX_PORTS  32
#define FX_WAITMS 5000

struct fx {
    char dir[64];
    char image[96];
    pid_t store;
    struct xs_handle *xs;
    struct backends *b;
    int memfd;
    char (*page)[4096];
    int to_back[FX_PORTS], to_front[FX_PORTS];
    struct {
        char key[64];
        int fd;
    } inflight[16];
    pthread_mutex_t lock;
    char log[8192]; /* what the backends logged */
};

static struct fx fx;

/* ---- in the place of libkxen ---- */

struct xenevtchn_handle {
    int dummy;
};
struct xengntdev_handle {
    int dummy;
};
struct xenforeignmemory_handle {
    int dummy;
};
struct kxctrl {
    int dummy;
};

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *l, unsigned int f)
{
    (void)l;
    (void)f;
    return calloc(1, sizeof(struct xenevtchn_handle));
}

int xenevtchn_close(xenevtchn_handle *xce)
{
    free(xce);
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce,
                                                     uint32_t domid,
                                                     evtchn_port_t port)
{
    (void)xce;
    (void)domid;
    errno = EINVAL;
    return port && port < FX_PORTS ? (int)port : -1;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    (void)port;
    return 0;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    return eventfd_write(fx.to_front[port], 1);
}

int kxen_port_eventfd(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    return fx.to_back[port];
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *l, unsigned int f)
{
    (void)l;
    (void)f;
    return calloc(1, sizeof(struct xengntdev_handle));
}

int xengnttab_close(xengnttab_handle *xgt)
{
    free(xgt);
    return 0;
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count,
                                      uint32_t domid, uint32_t *refs, int prot)
{
    char *base;
    uint32_t i;

    (void)xgt;
    (void)domid;
    for (i = 0; i < count; i++)
        if (refs[i] >= FX_PAGES) {
            errno = EINVAL;
            return NULL;
        }
    base = mmap(NULL, count * 4096ul, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                -1, 0);
    for (i = 0; i < count; i++)
        if (mmap(base + i * 4096ul, 4096, prot, MAP_SHARED | MAP_FIXED,
                 fx.memfd, refs[i] * 4096l) == MAP_FAILED)
            abort();
    return base;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid,
                              uint32_t ref, int prot)
{
    return xengnttab_map_domain_grant_refs(xgt, 1, domid, &ref, prot);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *addr, uint32_t count)
{
    (void)xgt;
    return munmap(addr, count * 4096ul);
}

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *l,
                                               unsigned int f)
{
    (void)l;
    (void)f;
    return calloc(1, sizeof(struct xenforeignmemory_handle));
}

int xenforeignmemory_close(xenforeignmemory_handle *h)
{
    free(h);
    return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *h, uint32_t dom, int prot,
                           size_t pages, const xen_pfn_t arr[], int err[])
{
    (void)h;
    (void)dom;
    (void)prot;
    (void)pages;
    (void)arr;
    (void)err;
    errno = EINVAL;
    return NULL;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *h, void *addr, size_t n)
{
    (void)h;
    return munmap(addr, n * 4096);
}

kxctrl *kxctrl_open(void)
{
    return calloc(1, sizeof(struct kxctrl));
}

void kxctrl_close(kxctrl *k)
{
    free(k);
}

int kxctrl_inflight_get(kxctrl *k, uint32_t domid, const char *key, size_t size,
                        int *fd)
{
    unsigned int i;

    (void)k;
    (void)domid;
    for (i = 0; i < 16; i++) {
        if (fx.inflight[i].key[0] && strcmp(fx.inflight[i].key, key))
            continue;
        if (!fx.inflight[i].key[0]) {
            fx.inflight[i].fd = memfd_create(key, MFD_CLOEXEC);
            if (ftruncate(fx.inflight[i].fd, (off_t)size))
                return -errno;
            snprintf(fx.inflight[i].key, 64, "%s", key);
        }
        *fd = dup(fx.inflight[i].fd);
        return 0;
    }
    return -ENOSPC;
}

int kxctrl_inflight_drop(kxctrl *k, uint32_t domid, const char *key)
{
    unsigned int i;

    (void)k;
    (void)domid;
    for (i = 0; i < 16; i++) {
        if (strcmp(fx.inflight[i].key, key))
            continue;
        close(fx.inflight[i].fd);
        fx.inflight[i].key[0] = '\0';
    }
    return 0;
}

int kxctrl_domain_memory(kxctrl *k, uint32_t domid, int *fd, uint64_t *frames)
{
    (void)k;
    (void)domid;
    *fd = dup(fx.memfd);
    *frames = FX_PAGES;
    return *fd < 0 ? -errno : 0;
}

struct xencall_handle {
    int dummy;
};

xencall_handle *xencall_open(struct xentoollog_logger *l, unsigned int f)
{
    (void)l;
    (void)f;
    return calloc(1, sizeof(struct xencall_handle));
}

int xencall_close(xencall_handle *h)
{
    free(h);
    return 0;
}

void *xencall_alloc_buffer(xencall_handle *h, size_t size)
{
    (void)h;
    return calloc(1, size);
}

void xencall_free_buffer(xencall_handle *h, void *p)
{
    (void)h;
    free(p);
}

/* Maps grants; what else there is succeeds. */
int xencall3(xencall_handle *h, unsigned int nr, uint64_t cmd, uint64_t arg,
             uint64_t n)
{
    gnttab_map_grant_ref_t *op = (void *)(uintptr_t)arg;
    uint64_t i;

    (void)h;
    if (nr != __HYPERVISOR_grant_table_op || cmd != GNTTABOP_map_grant_ref)
        return 0;
    for (i = 0; i < n; i++) {
        op[i].status = op[i].ref < FX_PAGES ? GNTST_okay : GNTST_bad_gntref;
        op[i].dev_bus_addr = op[i].ref * 4096ull;
        op[i].handle = op[i].ref;
    }
    return 0;
}

/* ---- host ---- */

static void fx_log(void *arg, const char *line)
{
    size_t n;

    (void)arg;
    pthread_mutex_lock(&fx.lock);
    n = strlen(fx.log);
    snprintf(fx.log + n, sizeof(fx.log) - n, "%s\n", line);
    pthread_mutex_unlock(&fx.lock);
}

static bool fx_logged(const char *what)
{
    bool found;

    pthread_mutex_lock(&fx.lock);
    found = strstr(fx.log, what) != NULL;
    pthread_mutex_unlock(&fx.lock);
    return found;
}

static void fx_backends_start(void)
{
    struct backends_opts opts = {.run_dir = fx.dir, .log = fx_log};

    fx.b = backends_start(&opts);
    assert_non_null(fx.b);
}

static void fx_backends_restart(void)
{
    backends_stop(fx.b);
    fx_backends_start();
}

/* build/tests/unit/<test> -> build/bin/kxenstored. */
static bool fx_find_store(char *path, size_t size)
{
    char self[512] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    const char *env = getenv("KXENSTORED");

    if (n <= 0)
        return false;
    snprintf(path, size, "%.400s/../../bin/kxenstored", dirname(self));
    if (env)
        snprintf(path, size, "%s", env);
    return !access(path, X_OK);
}

static int fx_store_start(void)
{
    char bin[600];
    int i;

    if (!fx_find_store(bin, sizeof(bin)))
        return -1;
    fx.store = fork();
    if (!fx.store) {
        freopen("/dev/null", "w", stderr);
        execl(bin, bin, "--run-dir", fx.dir, NULL);
        _exit(127);
    }
    for (i = 0; i < FX_WAITMS && !fx.xs; i++) {
        usleep(1000);
        fx.xs = xs_open(0);
    }
    return fx.xs ? 0 : -1;
}

static int fx_setup(void **state)
{
    int i, fd;

    (void)state;
    memset(&fx, 0, sizeof(fx));
    pthread_mutex_init(&fx.lock, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(scratch_name(fx.dir, sizeof(fx.dir))))
        return -1;
    setenv("KXEN_RUN_DIR", fx.dir, 1);
    snprintf(fx.image, sizeof(fx.image), "%s/disk.img", fx.dir);
    fx.memfd = memfd_create("guest", MFD_CLOEXEC);
    if (ftruncate(fx.memfd, FX_PAGES * 4096l))
        return -1;
    fx.page = mmap(NULL, FX_PAGES * 4096l, PROT_READ | PROT_WRITE, MAP_SHARED,
                   fx.memfd, 0);
    for (i = 0; i < FX_PORTS; i++) {
        fx.to_back[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        fx.to_front[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    fd = creat(fx.image, 0600);
    if (fd < 0 || ftruncate(fd, 1 << 20))
        return -1;
    close(fd);
    if (fx_store_start())
        return -1;
    fx_backends_start();
    return 0;
}

static int fx_teardown(void **state)
{
    char cmd[128];
    int i;

    (void)state;
    if (fx.b)
        backends_stop(fx.b);
    if (fx.xs)
        xs_close(fx.xs);
    if (fx.store > 0) {
        kill(fx.store, SIGKILL);
        waitpid(fx.store, NULL, 0);
    }
    for (i = 0; i < FX_PORTS; i++) {
        close(fx.to_back[i]);
        close(fx.to_front[i]);
    }
    munmap(fx.page, FX_PAGES * 4096l);
    close(fx.memfd);
    snprintf(cmd, sizeof(cmd), "rm -rf %s", fx.dir);
    return system(cmd);
}

/* ---- store ---- */

static void fx_write(const char *dir, const char *node, const char *value)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", dir, node);
    assert_true(
        xs_write(fx.xs, XBT_NULL, path, value, (unsigned int)strlen(value)));
}

static int fx_read_num(const char *dir, const char *node)
{
    char path[256], *v;
    unsigned int len;
    int n = -1;

    snprintf(path, sizeof(path), "%s/%s", dir, node);
    v = xs_read(fx.xs, XBT_NULL, path, &len);
    if (v)
        n = atoi(v);
    free(v);
    return n;
}

static void fx_await(const char *dir, const char *node, int want)
{
    int i;

    for (i = 0; i < FX_WAITMS; i++) {
        if (fx_read_num(dir, node) == want)
            return;
        usleep(1000);
    }
    fail_msg("%s/%s is %d, not %d; log:\n%s", dir, node, fx_read_num(dir, node),
             want, fx.log);
}

static void fx_front(const char *type, const char *id, char *path)
{
    sprintf(path, "/local/domain/1/device/%s/%s", type, id);
}

static void fx_back(const char *type, const char *id, char *path)
{
    sprintf(path, "/local/domain/0/backend/%s/1/%s", type, id);
}

/* What the toolstack writes; a vbd gets the fixture's image. */
static void fx_add_device(const char *type, const char *id, const char *image)
{
    char be[128], fe[128];

    fx_front(type, id, fe);
    fx_back(type, id, be);
    fx_write(fe, "backend", be);
    fx_write(fe, "state", "1");
    fx_write(be, "online", "1");
    fx_write(be, "mode", "w");
    if (image)
        fx_write(be, "params", image);
    fx_write(be, "frontend-id", "1");
    fx_write(be, "state", "1");
    fx_write(be, "frontend", fe);
}

static void fx_num(const char *dir, const char *node, unsigned int n)
{
    char v[16];

    snprintf(v, sizeof(v), "%u", n);
    fx_write(dir, node, v);
}

static void fx_wait_event(int port)
{
    struct pollfd p = {.fd = fx.to_front[port], .events = POLLIN};
    eventfd_t v;

    if (poll(&p, 1, FX_WAITMS) != 1)
        fail_msg("no event on port %d; log:\n%s", port, fx.log);
    eventfd_read(fx.to_front[port], &v);
}

#endif
