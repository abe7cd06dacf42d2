/* SPDX-License-Identifier: MIT */
#include "tools/kxbench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/sched.h>

#include "hv/client/kxen.h"

#define BENCH_MARK "BENCH "
#define LINES_KEPT 12
#define FILL_CHUNK (1u << 20)
#define GUEST_MEM  64
#define LIMIT_NS   120000000000ull /* a run may take, at most */
#define STEP_NS    20000000        /* between looks at the domain */
#define LOG_NS     2000000000ull   /* for the last line to reach the log */

/* The last console lines, shown when the guest fails. */
struct tail {
    char line[LINES_KEPT][256];
    unsigned next;
};

static void tail_add(struct tail *t, const char *line)
{
    snprintf(t->line[t->next++ % LINES_KEPT], sizeof(t->line[0]), "%s", line);
}

static void tail_show(const struct tail *t)
{
    unsigned from = t->next > LINES_KEPT ? t->next - LINES_KEPT : 0;

    for (unsigned i = from; i < t->next; i++)
        fprintf(stderr, "  | %s\n", t->line[i % LINES_KEPT]);
}

/* The image as built beside us, else as installed. */
static int find_image(const struct kxb *b, char *path, size_t size)
{
    static const char *const places[] = {"../lib/guests", "../lib/kxen/guests"};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, size, "%s/%s/bench.elf", b->bin_dir, places[i]);
        if (!access(path, R_OK))
            return 0;
    }
    kxb_say("the bench guest (bench.elf) is not where it should be, in "
            "%s/../lib; build or install it with make",
            b->bin_dir);
    return -ENOENT;
}

static int write_config(const struct kxb *b, const char *path,
                        const struct kxb_guest *guest)
{
    char image[5000];
    FILE *f;
    int rc = find_image(b, image, sizeof(image));

    if (rc)
        return rc;
    f = fopen(path, "we");
    if (!f) {
        rc = -errno;
        kxb_say("cannot write %s: %s", path, strerror(errno));
        return rc;
    }
    fprintf(f,
            "name = \"kxbench\"\nkernel = \"%s\"\nmemory = %d\n"
            "extra = \"%s\"\non_poweroff = \"preserve\"\n"
            "on_crash = \"preserve\"\n%s\n",
            image, GUEST_MEM, guest->extra, guest->devices);
    return fclose(f) ? -EIO : 0;
}

/* Makes the domain, paused. */
static int guest_create(struct kxb *b, const struct kxb_guest *guest,
                        uint32_t *domid)
{
    char cfg[5000], *text = NULL;
    json_t *made = NULL, *id;
    int rc;

    snprintf(cfg, sizeof(cfg), "%s/bench.cfg", b->work_dir);
    rc = write_config(b, cfg, guest);
    if (!rc)
        rc = kxb_kxl(b, &text, "create", "-p", "--json", cfg, NULL);
    unlink(cfg);
    if (rc)
        return rc;
    made = json_loads(text, 0, NULL);
    id = json_object_get(made, "domid");
    *domid = (uint32_t)json_integer_value(id);
    rc = *domid ? 0 : -EPROTO;
    if (rc)
        kxb_say("`kxl create --json` printed no domid: %s", text);
    json_decref(made);
    free(text);
    return rc;
}

/* One node of the store, with the domain as owner if it is the frontend's. */
static int store_put(struct xs_handle *xs, uint32_t owner, const char *dir,
                     const char *node, const char *value)
{
    struct xs_permissions perms[] = {{owner, XS_PERM_NONE},
                                     {owner ? 0 : ~0u, XS_PERM_READ}};
    char path[256];

    snprintf(path, sizeof(path), "%s%s%s", dir, *node ? "/" : "", node);
    if (!xs_write(xs, XBT_NULL, path, value, (unsigned)strlen(value)))
        return -errno;
    return !owner || xs_set_permissions(xs, XBT_NULL, path, perms, 2) ? 0
                                                                      : -errno;
}

/* The backend's part is readable by the frontend's domain. */
static int store_share(struct xs_handle *xs, uint32_t domid, const char *path)
{
    struct xs_permissions perms[] = {{0, XS_PERM_NONE}, {domid, XS_PERM_READ}};

    return xs_set_permissions(xs, XBT_NULL, path, perms, 2) ? 0 : -errno;
}

/* What libxl would write for a device of ours: both halves, state 1. */
static int echo_plant(struct xs_handle *xs, uint32_t domid, const char *poll_us)
{
    char fe[128], be[128], state[160], id[16];

    snprintf(id, sizeof(id), "%u", domid);
    snprintf(fe, sizeof(fe), "/local/domain/%u/device/echo/0", domid);
    snprintf(be, sizeof(be), "/local/domain/0/backend/echo/%u/0", domid);
    snprintf(state, sizeof(state), "%s/state", be);
    if (store_put(xs, domid, fe, "", "") ||
        store_put(xs, domid, fe, "backend", be) ||
        store_put(xs, domid, fe, "backend-id", "0") ||
        store_put(xs, domid, fe, "state", "1") ||
        store_put(xs, 0, be, "frontend", fe) ||
        store_put(xs, 0, be, "frontend-id", id) ||
        store_put(xs, 0, be, "online", "1") ||
        store_put(xs, 0, be, "poll-us", poll_us) ||
        store_put(xs, 0, be, "state", "1") || store_share(xs, domid, be) ||
        store_share(xs, domid, state))
        return -errno;
    return 0;
}

/* What the configuration cannot say: how backends wait, and the echo device. */
static int store_prepare(const struct kxb_guest *guest, uint32_t domid)
{
    struct xs_handle *xs = xs_open(0);
    char poll_us[16], vbd[128], *there;
    unsigned len;
    int rc = 0;

    if (!xs) {
        rc = -errno;
        goto out;
    }
    snprintf(poll_us, sizeof(poll_us), "%d", guest->poll_us);
    snprintf(vbd, sizeof(vbd), "/local/domain/0/backend/vbd/%u/51712", domid);
    there = xs_read(xs, XBT_NULL, vbd, &len);
    free(there);
    if (there)
        rc = store_put(xs, 0, vbd, "poll-us", poll_us);
    if (!rc && guest->echo)
        rc = echo_plant(xs, domid, poll_us);
    xs_close(xs);
out:
    if (rc)
        kxb_say("cannot prepare the guest's devices in the store: %s",
                strerror(-rc));
    return rc;
}

/* Waits till the domain has shut down; its SHUTDOWN_* code or -Exxx. */
static int wait_for_end(kxctrl *k, uint32_t domid)
{
    const struct timespec step = {.tv_nsec = STEP_NS};
    struct xen_domctl_getdomaininfo info;
    uint64_t start = kxb_now();
    int rc;

    while (!(rc = kxctrl_domain_getinfo(k, domid, &info))) {
        if (info.flags & XEN_DOMINF_shutdown)
            return (info.flags >> XEN_DOMINF_shutdownshift) &
                   XEN_DOMINF_shutdownmask;
        if (kxb_now() - start > LIMIT_NS)
            return -ETIMEDOUT;
        nanosleep(&step, NULL);
    }
    return rc;
}

static int bench_line(struct kxb_result *res, const char *text)
{
    json_error_t err;
    json_t *line = json_loads(text, 0, &err);

    if (!line) {
        kxb_say("the guest's line is not JSON: %s: %.60s", err.text, text);
        return -EPROTO;
    }
    return json_array_append_new(res->lines, line) ? -ENOMEM : 0;
}

static int read_lines(const char *path, struct tail *tail,
                      struct kxb_result *res)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    int rc = f ? 0 : -errno;

    while (f && !rc && getline(&line, &size, f) > 0) {
        char *mark = strstr(line, BENCH_MARK);

        line[strcspn(line, "\r\n")] = '\0';
        tail_add(tail, line);
        if (mark)
            rc = bench_line(res, mark + strlen(BENCH_MARK));
    }
    free(line);
    if (f)
        fclose(f);
    return rc;
}

/* A guest's last words may reach its log after its end: the size settles. */
static void log_settle(const char *path)
{
    const struct timespec step = {.tv_nsec = STEP_NS};
    uint64_t start = kxb_now();
    off_t last = -1, size = 0;

    while (size != last && kxb_now() - start < LOG_NS) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        last = size;
        nanosleep(&step, NULL);
        size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
        if (fd >= 0)
            close(fd);
    }
}

static int guest_measure(kxctrl *k, uint32_t domid, struct kxb_result *res)
{
    struct kxen_exit_stats s = {0};
    struct tail tail = {0};
    char leaf[64], log[5000];
    int code = wait_for_end(k, domid), rc;

    kxctrl_exit_stats(k, domid, &s);
    res->exits =
        (double)(s.hypercall + s.trap + s.pio + s.mmio + s.signal + s.other);
    snprintf(leaf, sizeof(leaf), "console/%u.log", domid);
    kxen_path(log, sizeof(log), leaf);
    log_settle(log);
    rc = read_lines(log, &tail, res);
    if (!rc && code == SHUTDOWN_poweroff)
        return 0;
    if (code < 0)
        kxb_say("the bench guest: %s", strerror(-code));
    else
        kxb_say("the bench guest did not end well (SHUTDOWN code %d)", code);
    tail_show(&tail);
    return rc ? rc : -EIO;
}

/* The domain exists; it does not when we leave. */
static int guest_life(struct kxb *b, const struct kxb_guest *guest,
                      uint32_t domid, struct kxb_result *res)
{
    kxctrl *k = kxctrl_open();
    char id[16];
    int rc = k ? 0 : -errno;

    if (rc)
        kxb_say("cannot reach hv: %s", strerror(-rc));
    snprintf(id, sizeof(id), "%u", domid);
    if (!rc)
        rc = store_prepare(guest, domid);
    if (!rc)
        rc = kxb_kxl(b, NULL, "unpause", id, NULL);
    if (!rc)
        rc = guest_measure(k, domid, res);
    if (k)
        kxctrl_close(k);
    if (kxb_kxl(b, NULL, "destroy", id, NULL) && !rc)
        rc = -EIO;
    return rc;
}

int kxb_guest_run(struct kxb *b, const struct kxb_guest *guest,
                  struct kxb_result *res)
{
    uint32_t domid;
    int rc;

    *res = (struct kxb_result){.lines = json_array()};
    rc = kxb_host_start(b);
    if (!rc)
        rc = guest_create(b, guest, &domid);
    if (!rc)
        rc = guest_life(b, guest, domid, res);
    if (rc) {
        json_decref(res->lines);
        res->lines = NULL;
    }
    return rc;
}

int kxb_make_image(struct kxb *b, char *path, size_t path_size, uint64_t size)
{
    char *chunk = malloc(FILL_CHUNK);
    int fd = -1, rc = -ENOMEM;

    if (!chunk)
        return rc;
    memset(chunk, 0xa5, FILL_CHUNK);
    snprintf(path, path_size, "%s/disk.img", b->work_dir);
    fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    for (uint64_t at = 0; fd >= 0 && at < size; at += FILL_CHUNK)
        if (write(fd, chunk, FILL_CHUNK) != FILL_CHUNK)
            goto fail;
    if (fd < 0 || fsync(fd))
        goto fail;
    rc = 0;
    goto out;
fail:
    rc = errno ? -errno : -ENOSPC;
    kxb_say("cannot fill %s: %s; set TMPDIR to a folder with room", path,
            strerror(-rc));
out:
    if (fd >= 0)
        close(fd);
    free(chunk);
    return rc;
}
