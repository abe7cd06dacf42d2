/* SPDX-License-Identifier: MIT */
#include "dom0/dump.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dom0/core_file.h"
#include "dom0/core_walk.h"
#include "dom0/dom0_log.h"

#define TICK_MS     1000 /* between words about the progress */
#define CRASHES_MAX 8    /* dumps of one name that are kept */
#define CALM_TRIES  50   /* to find the vCPUs outside hv's own code */
#define CALM_US     1000
/* Xen's part of the address space, where the M2P begins in it. */
#define XEN_VA_FIRST 0xffff800000000000ull
#define XEN_VA_LAST  0xffff87ffffffffffull
#define M2P_VA       0xffff818000000000ull

struct dump_job {
    struct dump_job *next;
    struct dom0 *d0;
    struct dom *dom; /* NULL once the domain is gone */
    struct request *req;
    dump_done_fn *done;
    struct loop_timer tick;
    pthread_t thread;
    int ended_fd; /* eventfd: the thread has finished */
    unsigned flags;
    bool paused;

    /* The thread's. */
    uint32_t domid;
    char *name, *path, *partial;
    char story[768];
    kxctrl *hv;
    atomic_bool abort;
    atomic_ullong pages_done, pages;
    unsigned nr_vcpus;
    uint64_t left_out;
    bool cut;
    int rc;
    const char *doing; /* for the error, if rc */
};

/* ---- in the thread ---- */

static bool in_xen(uint64_t va)
{
    return va >= XEN_VA_FIRST && va <= XEN_VA_LAST;
}

/* Contexts of the vCPUs that there are; true if all stand in guest code. */
static bool read_vcpus(struct dump_job *job, struct core_vcpu *vcpus,
                       unsigned max)
{
    bool calm = true;
    unsigned i, nr = 0;

    for (i = 0; i < max; i++) {
        struct core_vcpu *v = &vcpus[nr];

        if (kxctrl_vcpu_getcontext(job->hv, job->domid, i, &v->ctx))
            continue;
        v->id = i;
        nr++;
        calm = calm && !in_xen(v->ctx.user_regs.rip);
    }
    job->nr_vcpus = nr;
    return calm;
}

/* The vCPU that the story is about comes first: "v2: triple fault". */
static void order_vcpus(struct dump_job *job, struct core_vcpu *vcpus)
{
    struct core_vcpu first;
    unsigned id, i;

    if (sscanf(job->story, "v%u", &id) != 1)
        return;
    for (i = 1; i < job->nr_vcpus; i++) {
        if (vcpus[i].id != id)
            continue;
        first = vcpus[i];
        memmove(&vcpus[1], &vcpus[0], i * sizeof(*vcpus));
        vcpus[0] = first;
    }
}

/*
 * A vCPU may stand in hv's code that runs in the guest, whose registers tell a
 * debugger nothing: it gets a moment to come out.
 */
static int stop_vcpus(struct dump_job *job, struct core_vcpu *vcpus,
                      unsigned max)
{
    int i, rc = 0;

    for (i = 0; !rc && i < CALM_TRIES; i++) {
        if (job->paused)
            rc = kxctrl_domain_pause(job->hv, job->domid);
        if (rc || read_vcpus(job, vcpus, max) || !job->paused)
            break;
        if (i + 1 < CALM_TRIES) {
            rc = kxctrl_domain_unpause(job->hv, job->domid);
            usleep(CALM_US);
        }
    }
    /* In Xen's format the place is the vCPU's number. */
    if (!(job->flags & DUMP_XEN))
        order_vcpus(job, vcpus);
    return rc;
}

static bool read_guest(const struct core_mem *mem, uint64_t cr3, uint64_t va,
                       void *buf, size_t len)
{
    uint64_t at = core_translate(mem, cr3, va);

    return at / CORE_PAGE < mem->nr_frames &&
           at % CORE_PAGE + len <= CORE_PAGE &&
           pread(mem->fd, buf, len, at) == (ssize_t)len;
}

/*
 * Linux's hypercall stub has no unwind data, and two registers of its own on
 * the stack.  The two pops behind its SYSCALL are done for it: a debugger that
 * knows no better finds the return address on top, and is right.
 */
static void leave_stub(const struct core_mem *mem, struct core_vcpu *v)
{
    static const uint8_t pops[] = {0x41, 0x5b, 0x59}; /* pop r11; pop rcx */
    struct cpu_user_regs *r = &v->ctx.user_regs;
    uint64_t cr3 = (uint64_t)xen_cr3_to_pfn(v->ctx.ctrlreg[3]) << 12;
    uint8_t code[sizeof(pops)];
    uint64_t words[2];

    if (!read_guest(mem, cr3, r->rip, code, sizeof(code)) ||
        memcmp(code, pops, sizeof(pops)) ||
        !read_guest(mem, cr3, r->rsp, words, sizeof(words)))
        return;
    r->r11 = words[0];
    r->rcx = words[1];
    r->rsp += sizeof(words);
    r->rip += sizeof(pops);
}

static int write_core(struct dump_job *job, const struct core_mem *mem,
                      struct core_vcpu *vcpus, int fd)
{
    struct core_info info = {.name = job->name,
                             .story = job->story,
                             .vcpus = vcpus,
                             .nr_vcpus = job->nr_vcpus};
    uint64_t cr3 = (uint64_t)xen_cr3_to_pfn(vcpus[0].ctx.ctrlreg[3]) << 12;
    struct core_map map = {0};
    uint64_t *m2p;
    unsigned i;
    int rc;

    for (i = 0; i < job->nr_vcpus && !(job->flags & DUMP_XEN); i++)
        leave_stub(mem, &vcpus[i]);
    job->doing = "read its page tables";
    m2p = core_read_m2p(mem, cr3, M2P_VA);
    rc = job->flags & DUMP_XEN ? 0 : core_walk(&map, mem, cr3, m2p);
    job->left_out = map.left_out;
    job->cut = map.cut;
    job->doing = "write the dump";
    if (!rc && (job->flags & DUMP_XEN))
        rc = core_write_xen(fd, mem, m2p, &info, &job->pages_done);
    else if (!rc)
        rc = core_write(fd, mem, &map, &info, &job->pages_done);
    free(m2p);
    core_map_free(&map);
    return rc;
}

static int with_memory(struct dump_job *job, struct core_vcpu *vcpus, int fd)
{
    struct xen_domctl_getdomaininfo info;
    struct core_mem mem = {.abort = &job->abort};
    int rc;

    job->doing = "get at its memory";
    rc = kxctrl_domain_getinfo(job->hv, job->domid, &info);
    if (!rc)
        rc = kxctrl_domain_memory(job->hv, job->domid, &mem.fd, &mem.nr_frames);
    if (rc)
        return rc;
    /* The guest's frames end where hv's begin: with this one. */
    mem.nr_pages = info.shared_info_frame < mem.nr_frames
                       ? info.shared_info_frame
                       : mem.nr_frames;
    atomic_store(&job->pages, mem.nr_pages);
    rc = write_core(job, &mem, vcpus, fd);
    close(mem.fd);
    return rc;
}

static int dump_to(struct dump_job *job, int fd)
{
    struct xen_domctl_getdomaininfo info;
    struct core_vcpu *vcpus = NULL;
    unsigned max = 0;
    int rc;

    job->doing = "stop it";
    rc = kxctrl_domain_getinfo(job->hv, job->domid, &info);
    if (!rc) {
        max = info.max_vcpu_id + 1;
        vcpus = calloc(max, sizeof(*vcpus));
        rc = vcpus ? stop_vcpus(job, vcpus, max) : -ENOMEM;
    }
    if (!rc && !job->nr_vcpus)
        rc = -ENODATA;
    if (!rc)
        rc = with_memory(job, vcpus, fd);
    free(vcpus);
    return rc;
}

static int dump_file(struct dump_job *job)
{
    int fd, rc;

    job->doing = "create the file";
    /* A guest's memory is nobody else's to read. */
    fd = open(job->partial, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
              0600);
    if (fd < 0)
        return -errno;
    rc = dump_to(job, fd);
    if (close(fd) && !rc)
        rc = -errno;
    if (!rc && rename(job->partial, job->path))
        rc = -errno;
    if (rc)
        unlink(job->partial);
    return rc;
}

static void *dump_thread(void *arg)
{
    struct dump_job *job = arg;
    uint64_t one = 1;

    job->rc = dump_file(job);
    if (write(job->ended_fd, &one, sizeof(one)) < 0)
        return NULL; /* cannot be: the counter was 0 */
    return NULL;
}

/* ---- in the loop ---- */

static void job_free(struct dump_job *job)
{
    struct dump_job **at = &job->d0->dumps;

    while (*at && *at != job)
        at = &(*at)->next;
    if (*at)
        *at = job->next;
    loop_disarm(job->d0->loop, &job->tick);
    if (job->ended_fd >= 0) {
        loop_del_fd(job->d0->loop, job->ended_fd);
        close(job->ended_fd);
    }
    if (job->hv)
        kxctrl_close(job->hv);
    free(job->name);
    free(job->path);
    free(job->partial);
    free(job);
}

static void job_why(const struct dump_job *job, struct why *why)
{
    if (job->rc == -ECANCELED)
        why_set(why, job->rc, NULL, "%s: given up", job->path);
    else
        why_set(why, job->rc,
                job->rc == -ENOSPC    ? "nothing of it is left there; give "
                                        "another folder"
                : job->rc == -ENODATA ? "it has not been let run yet"
                                      : NULL,
                "%s: cannot %s: %s", job->path, job->doing, strerror(-job->rc));
}

static void answer(struct dump_job *job, const struct why *why)
{
    json_t *body;

    if (!job->req)
        return;
    if (job->rc) {
        request_fail(job->req, why->hint, "%s", why->text);
        return;
    }
    if (job->left_out || job->cut)
        request_progress(job->req,
                         "warning: its page tables are too many: %s%llu "
                         "regions are left out",
                         job->cut ? "at least " : "",
                         (unsigned long long)job->left_out);
    body = json_pack("{s:s, s:i, s:I}", "file", job->path, "vcpus",
                     (int)job->nr_vcpus, "memory_kib",
                     (json_int_t)(atomic_load(&job->pages) * 4));
    request_ok(job->req, body);
}

/* Lets go of the domain: it runs on, unless somebody paused it meanwhile. */
static void release_dom(struct dump_job *job)
{
    struct dom *dom = job->dom;

    if (!dom)
        return;
    dom->dump = NULL;
    if (job->paused && !dom->dump_keeps_paused)
        kxctrl_domain_unpause(dom->d0->hv, dom->domid);
    dom->dump_paused = dom->dump_keeps_paused = false;
    free(dom->dump_partial);
    dom->dump_partial = NULL;
    dom_record(dom);
}

static void job_ended(void *arg, uint32_t events)
{
    struct dump_job *job = arg;
    struct why why = {{0}, {0}};

    (void)events;
    pthread_join(job->thread, NULL);
    if (job->rc)
        job_why(job, &why);
    if (job->rc)
        dom0_warn("d%u: memory dump: %s", job->domid, why.text);
    else
        dom0_info("d%u: memory dumped to %s", job->domid, job->path);
    release_dom(job);
    if (job->dom && job->done)
        job->done(job->dom, job->rc ? NULL : job->path, &why);
    answer(job, &why);
    job_free(job);
}

static void job_tick(void *arg)
{
    struct dump_job *job = arg;
    unsigned long long all = atomic_load(&job->pages);

    if (job->req && !request_alive(job->req))
        atomic_store(&job->abort, true);
    else if (job->req && all)
        request_progress(job->req, "%llu of %llu MiB",
                         atomic_load(&job->pages_done) / 256, all / 256);
    loop_arm(job->d0->loop, &job->tick, TICK_MS);
}

static bool is_paused(struct dom *dom)
{
    struct xen_domctl_getdomaininfo info;

    return !kxctrl_domain_getinfo(dom->d0->hv, dom->domid, &info) &&
           (info.flags & XEN_DOMINF_paused);
}

/* What is there must not be replaced by accident. */
static int check_path(const struct dom *dom, const char *path, struct why *why)
{
    struct stat st;

    if (dom->dump)
        return why_set(why, -EBUSY, "wait for it, or destroy the domain",
                       "domain \"%s\" (%u) is being dumped already",
                       dom->cfg->name, dom->domid);
    if (*path != '/')
        return why_set(why, -EINVAL, NULL, "%s: not an absolute path", path);
    if (!lstat(path, &st) && !S_ISREG(st.st_mode))
        return why_set(why, -EEXIST, "give the name of a file",
                       "%s is there, and is no file", path);
    return 0;
}

static struct dump_job *job_new(struct dom *dom, const char *path)
{
    struct dump_job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    *job = (struct dump_job){.d0 = dom->d0, .dom = dom, .domid = dom->domid};
    job->name = strdup(dom->cfg->name);
    job->path = strdup(path);
    if (asprintf(&job->partial, "%s.partial.%d", path, (int)getpid()) < 0)
        job->partial = NULL;
    dom_story(dom, job->story, sizeof(job->story));
    job->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    job->hv = kxctrl_open();
    if (job->name && job->path && job->partial && job->ended_fd >= 0 && job->hv)
        return job;
    job_free(job);
    return NULL;
}

/* The record first: who comes after us must know what to clear up. */
static int job_run(struct dump_job *job)
{
    struct dom *dom = job->dom;
    int rc;

    dom->dump_partial = strdup(job->partial);
    dom->dump_paused = job->paused;
    rc = dom->dump_partial ? dom_record(dom) : -ENOMEM;
    if (!rc)
        rc = loop_add_fd(job->d0->loop, job->ended_fd, EPOLLIN, job_ended, job);
    if (!rc)
        rc = -pthread_create(&job->thread, NULL, dump_thread, job);
    if (!rc)
        return 0;
    job->paused = false; /* the thread would have done it */
    release_dom(job);
    return rc;
}

int dump_start(struct dom *dom, const char *path, unsigned flags,
               struct request *req, dump_done_fn *done, struct why *why)
{
    struct dump_job *job;
    int rc = check_path(dom, path, why);

    if (rc)
        return rc;
    job = job_new(dom, path);
    if (!job)
        return why_set(why, -ENOMEM, NULL, "cannot start a dump: %s",
                       strerror(errno));
    job->flags = flags;
    job->paused =
        !(flags & DUMP_LIVE) && dom->state == DOM_RUNNING && !is_paused(dom);
    rc = job_run(job);
    if (rc) {
        job_free(job);
        return why_set(why, rc, NULL, "cannot start a dump: %s", strerror(-rc));
    }
    job->req = req;
    job->done = done;
    job->next = dom->d0->dumps;
    dom->d0->dumps = job;
    dom->dump = job;
    job->tick.fn = job_tick;
    job->tick.arg = job;
    loop_arm(dom->d0->loop, &job->tick, TICK_MS);
    dom0_info("d%u: dumping its memory to %s", dom->domid, path);
    return 0;
}

void dump_cancel(struct dom *dom)
{
    struct dump_job *job = dom->dump;

    if (!job)
        return;
    atomic_store(&job->abort, true);
    job->dom = NULL;
    dom->dump = NULL;
}

void dumps_stop(struct dom0 *d0)
{
    struct dump_job *job;

    for (job = d0->dumps; job; job = job->next)
        atomic_store(&job->abort, true);
    while (d0->dumps) {
        d0->dumps->done = NULL;
        job_ended(d0->dumps, 0);
    }
}

void dump_recover(struct dom *dom)
{
    if (!dom->dump_partial)
        return;
    dom0_info("d%u: a dump was cut off: removing %s", dom->domid,
              dom->dump_partial);
    unlink(dom->dump_partial);
    if (dom->existed && dom->dump_paused && !dom->dump_keeps_paused &&
        is_paused(dom))
        kxctrl_domain_unpause(dom->d0->hv, dom->domid);
    free(dom->dump_partial);
    dom->dump_partial = NULL;
    dom->dump_paused = dom->dump_keeps_paused = false;
    dom_record(dom);
}

/* "NAME-" and digits and ".core" or what is in the making of it. */
static bool is_dump_of(const char *leaf, const char *name)
{
    size_t len = strlen(name);

    return !strncmp(leaf, name, len) && leaf[len] == '-' &&
           leaf[len + 1] >= '0' && leaf[len + 1] <= '9' &&
           strstr(leaf + len, ".core");
}

static unsigned count_dumps(const char *dir, const char *name)
{
    DIR *d = opendir(dir);
    struct dirent *de;
    unsigned n = 0;

    while (d && (de = readdir(d)))
        n += is_dump_of(de->d_name, name);
    if (d)
        closedir(d);
    return n;
}

int dump_crash_path(struct dom *dom, char *path, size_t size, struct why *why)
{
    char dir[320], when[32];
    time_t now = time(NULL);
    struct tm tm;

    snprintf(dir, sizeof(dir), "%s/dump", dom->d0->run_dir);
    if (mkdir(dir, 0700) && errno != EEXIST)
        return why_set(why, -errno, NULL, "%s: %s", dir, strerror(errno));
    /* One that crashes for ever must not fill the disk. */
    if (count_dumps(dir, dom->cfg->name) >= CRASHES_MAX)
        return why_set(why, -EDQUOT, NULL,
                       "%s has %d dumps of \"%s\" already: look at them and "
                       "remove some",
                       dir, CRASHES_MAX, dom->cfg->name);
    localtime_r(&now, &tm);
    strftime(when, sizeof(when), "%Y%m%d-%H%M%S", &tm);
    if (snprintf(path, size, "%s/%s-%s.%u.core", dir, dom->cfg->name, when,
                 dom->domid) >= (int)size)
        return why_set(why, -ENAMETOOLONG, NULL, "%s: too long a name", dir);
    return 0;
}
