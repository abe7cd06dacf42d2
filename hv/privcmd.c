/* SPDX-License-Identifier: MIT */
#include "hv/privcmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "hv/counters.h"
#include "hv/domain.h"
#include "hv/fdpass.h"
#include "hv/hypercall.h"
#include "hv/inflight.h"
#include "hv/log.h"
#include "hv/memory.h"
#include "hv/notify.h"
#include "hv/trace.h"
#include "hv/trapped_glue.h"
#include "hv/vcpu.h"
#include "kxen/privcmd.h"

struct privcmd_conn {
    struct cds_list_head node; /* server's list, under its lock */
    struct privcmd_server *server;
    int sock;
    int arena_fd;
    uint8_t *arena;
    uint64_t arena_base; /* the client's address of it */
    struct evtchn_owner ports;
    struct maptrack_owner grants;
    int only_domid; /* PRIVCMD_RESTRICT, or -1 */
    pid_t pid;
};

struct privcmd_server {
    struct hv *hv;
    int sock;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t gone;
    struct cds_list_head conns;
    atomic_bool stopping;
};

struct evtchn_owner *privcmd_evtchn_owner(struct privcmd_conn *conn)
{
    return &conn->ports;
}

struct maptrack_owner *privcmd_grant_owner(struct privcmd_conn *conn)
{
    return &conn->grants;
}

int privcmd_only_domid(const struct privcmd_conn *conn)
{
    return conn->only_domid;
}

int privcmd_copy(struct privcmd_conn *conn, void *buf, uint64_t addr,
                 size_t len, bool to_arena)
{
    uint64_t off = addr - conn->arena_base;

    if (!len)
        return 0;
    if (!conn->arena_base || off > PRIVCMD_ARENA_SIZE ||
        len > PRIVCMD_ARENA_SIZE - off)
        return -EFAULT;
    if (to_arena)
        memcpy(conn->arena + off, buf, len);
    else
        memcpy(buf, conn->arena + off, len);
    return 0;
}

/* ---- requests ---- */

/* What a request works on; the reply's descriptor mostly is its owner's. */
struct request {
    struct privcmd_conn *conn;
    struct privcmd_req q;
    int fd; /* came with it, or -1 */
    struct privcmd_rep r;
    int reply_fd;
    bool close_reply; /* it is this request's own */
};

static void op_hello(struct request *rq)
{
    if (rq->q.args[0] != PRIVCMD_VERSION) {
        rq->r.rc = -EPROTONOSUPPORT;
        return;
    }
    rq->r.vals[0] = PRIVCMD_ARENA_SIZE;
    rq->reply_fd = rq->conn->arena_fd;
}

static void op_arena(struct request *rq)
{
    rq->conn->arena_base = rq->q.args[0];
}

/* Events and grants towards the one domain; domain_get_for() sees to that. */
static bool restricted_may(const struct privcmd_req *q)
{
    if (q->args[0] == __HYPERVISOR_event_channel_op)
        return q->args[1] != EVTCHNOP_bind_virq;
    return q->args[0] == __HYPERVISOR_grant_table_op;
}

static void op_hypercall(struct request *rq)
{
    struct caller c = {
        .d = rq->conn->server->hv->dom0,
        .conn = rq->conn,
    };

    if (rq->conn->only_domid >= 0 && !restricted_may(&rq->q)) {
        rq->r.rc = -EPERM;
        return;
    }
    rq->r.rc = hypercall_dispatch(&c, rq->q.args[0], &rq->q.args[1]);
}

static void op_port_fd(struct request *rq)
{
    int fd = evtchn_port_eventfd(rq->conn->server->hv->dom0, &rq->conn->ports,
                                 rq->q.args[0]);

    rq->r.rc = fd < 0 ? fd : 0;
    rq->reply_fd = fd;
}

static void op_domain_mem(struct request *rq, struct domain *d)
{
    if (!domain_has_memory(d)) {
        rq->r.rc = -EINVAL;
        return;
    }
    rq->r.vals[0] = d->nr_frames;
    rq->reply_fd = d->mem_fd;
}

static void op_inflight_get(struct request *rq, struct domain *d)
{
    int fd = inflight_get(d, rq->q.key, rq->q.args[0]);

    rq->r.rc = fd < 0 ? fd : 0;
    rq->reply_fd = fd;
    rq->close_reply = true;
}

static void op_inflight_drop(struct request *rq, struct domain *d)
{
    rq->r.rc = inflight_drop(d, rq->q.key);
}

static void op_trapped_add(struct request *rq, struct domain *d)
{
    struct kxen_trapped t;

    memcpy(&t, rq->q.args, sizeof(t));
    rq->r.rc = trapped_attach(d, &t, rq->fd);
    if (!rq->r.rc)
        rq->fd = -1; /* the device's now */
    rq->r.vals[0] = t.base;
}

static void op_crash_reason(struct request *rq, struct domain *d)
{
    pthread_mutex_lock(&d->lock);
    memcpy(rq->r.text, d->crash_reason, sizeof(rq->r.text));
    pthread_mutex_unlock(&d->lock);
}

static void op_gnttab_seed(struct request *rq, struct domain *d)
{
    rq->r.rc = gnttab_seed(d, rq->q.args[0], rq->q.args[1], rq->q.args[2]);
}

/* For good: it can't be widened again. */
static void op_restrict(struct request *rq)
{
    if (rq->conn->only_domid >= 0)
        rq->r.rc = -EPERM;
    else if (rq->q.domid >= DOMID_FIRST_RESERVED)
        rq->r.rc = -EINVAL;
    else
        rq->conn->only_domid = rq->q.domid;
}

static void op_stats(struct request *rq, struct domain *d)
{
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        const struct vcpu *v = d->vcpu[i];

        for (unsigned int k = 0; v && k < NR_EXIT_KINDS; k++)
            rq->r.stats[k] += v->exits[k];
        if (v)
            rq->r.stats[NR_EXIT_KINDS] += v->upcalls;
    }
    rq->r.vals[0] = NR_EXIT_KINDS + 1;
}

static void op_counters(struct request *rq, struct domain *d)
{
    rq->reply_fd = counters_fd(d);
    rq->r.rc = rq->reply_fd < 0 ? rq->reply_fd : 0;
    rq->close_reply = true;
}

static void op_trace(struct request *rq, struct domain *d)
{
    rq->r.rc = rq->fd < 0 ? -EBADF : trace_start(d, rq->fd);
}

static void op_notify_fd(struct request *rq, struct domain *d)
{
    uint64_t which = rq->q.args[0];

    rq->r.rc = -EINVAL;
    if (!domain_has_memory(d) || which >= 2 + d->max_vcpus)
        return;
    if (which < 2)
        rq->reply_fd = which ? d->notify->nudge_fd : d->notify->page_fd;
    else if (d->vcpu[which - 2])
        rq->reply_fd = d->vcpu[which - 2]->wake_fd;
    rq->r.rc = rq->reply_fd < 0 ? -ENOENT : 0;
    rq->r.vals[0] = d->max_vcpus;
}

_Static_assert(NR_EXIT_KINDS + 1 <= PRIVCMD_NR_STATS, "stats fit a reply");
_Static_assert(sizeof(struct kxen_trapped) <= 7 * 8, "fits the arguments");

/* A row: either on the connection alone, or on the domain that is named. */
static const struct {
    void (*plain)(struct request *);
    void (*on_domain)(struct request *, struct domain *);
    bool toolstack; /* making and watching domains: not when restricted */
} ops[] = {
    [PRIVCMD_HELLO] = {.plain = op_hello},
    [PRIVCMD_ARENA] = {.plain = op_arena},
    [PRIVCMD_HYPERCALL] = {.plain = op_hypercall},
    [PRIVCMD_PORT_FD] = {.plain = op_port_fd},
    [PRIVCMD_DOMAIN_MEM] = {.on_domain = op_domain_mem},
    [PRIVCMD_INFLIGHT_GET] = {.on_domain = op_inflight_get},
    [PRIVCMD_INFLIGHT_DROP] = {.on_domain = op_inflight_drop},
    [PRIVCMD_TRAPPED_ADD] = {.on_domain = op_trapped_add, .toolstack = true},
    [PRIVCMD_CRASH_REASON] = {.on_domain = op_crash_reason, .toolstack = true},
    [PRIVCMD_GNTTAB_SEED] = {.on_domain = op_gnttab_seed, .toolstack = true},
    [PRIVCMD_RESTRICT] = {.plain = op_restrict},
    [PRIVCMD_STATS] = {.on_domain = op_stats, .toolstack = true},
    [PRIVCMD_NOTIFY_FD] = {.on_domain = op_notify_fd},
    [PRIVCMD_TRACE] = {.on_domain = op_trace, .toolstack = true},
    [PRIVCMD_COUNTERS] = {.on_domain = op_counters, .toolstack = true},
};

static void run_request(struct request *rq)
{
    uint32_t op = rq->q.op;
    struct domain *d;

    if (op >= sizeof(ops) / sizeof(ops[0]) ||
        (!ops[op].plain && !ops[op].on_domain)) {
        rq->r.rc = -ENOSYS;
        return;
    }
    if (ops[op].plain) {
        ops[op].plain(rq);
        return;
    }
    if (rq->conn->only_domid >= 0 &&
        (ops[op].toolstack || rq->conn->only_domid != (int)rq->q.domid)) {
        rq->r.rc = -EPERM;
        return;
    }
    d = rq->q.domid < DOMID_FIRST_RESERVED
            ? domain_get(rq->conn->server->hv, rq->q.domid)
            : NULL;
    if (!d) {
        rq->r.rc = -ESRCH;
        return;
    }
    ops[op].on_domain(rq, d);
    /*
     * The descriptor is sent while the reference holds it open; a dying
     * domain can't close it before.
     */
    if (fdpass_send(rq->conn->sock, &rq->r, sizeof(rq->r), rq->reply_fd))
        shutdown(rq->conn->sock, SHUT_RDWR);
    rq->conn = NULL;
    domain_put(d);
}

static bool serve_one(struct privcmd_conn *conn)
{
    struct request rq = {.conn = conn, .fd = -1, .reply_fd = -1};
    ssize_t n = fdpass_recv(conn->sock, &rq.q, sizeof(rq.q), &rq.fd);
    bool ok = n > 0;

    if (!ok)
        goto out;
    rq.q.key[PRIVCMD_KEY_MAX - 1] = 0;
    if (n != sizeof(rq.q)) {
        hv_log("privcmd: process %d sent %zd bytes where a request has %zu; "
               "closing its connection",
               conn->pid, n, sizeof(rq.q));
        ok = false;
    } else {
        run_request(&rq);
        if (rq.conn)
            ok = !fdpass_send(conn->sock, &rq.r, sizeof(rq.r), rq.reply_fd);
    }
out:
    if (rq.fd >= 0)
        close(rq.fd);
    if (rq.close_reply && rq.reply_fd >= 0)
        close(rq.reply_fd);
    return ok;
}

/* ---- connections ---- */

static void conn_free(struct privcmd_conn *c)
{
    if (c->arena)
        munmap(c->arena, PRIVCMD_ARENA_SIZE);
    if (c->arena_fd >= 0)
        close(c->arena_fd);
    close(c->sock);
    free(c);
}

static void *conn_thread(void *arg)
{
    struct privcmd_conn *c = arg;
    struct privcmd_server *s = c->server;

    rcu_register_thread();
    while (serve_one(c))
        ;
    evtchn_owner_closed(s->hv->dom0, &c->ports);
    maptrack_owner_closed(&c->grants);
    rcu_unregister_thread();
    pthread_mutex_lock(&s->lock);
    cds_list_del(&c->node);
    conn_free(c);
    pthread_cond_signal(&s->gone);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static int make_arena(struct privcmd_conn *c)
{
    c->arena_fd = memfd_create("kxen-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (c->arena_fd < 0 || ftruncate(c->arena_fd, PRIVCMD_ARENA_SIZE) < 0 ||
        fcntl(c->arena_fd, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return -errno;
    c->arena = mmap(NULL, PRIVCMD_ARENA_SIZE, PROT_READ | PROT_WRITE,
                    MAP_SHARED, c->arena_fd, 0);
    if (c->arena == MAP_FAILED) {
        c->arena = NULL;
        return -errno;
    }
    return 0;
}

static bool peer_allowed(int sock, pid_t *pid)
{
    struct ucred u;
    socklen_t len = sizeof(u);

    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &u, &len) < 0)
        return false;
    *pid = u.pid;
    if (u.uid == 0 || u.uid == geteuid())
        return true;
    hv_log("privcmd: process %d of user %u is refused: only user %u and root "
           "are domain 0",
           u.pid, u.uid, geteuid());
    return false;
}

static void start_conn(struct privcmd_server *s, int sock)
{
    struct privcmd_conn *c = calloc(1, sizeof(*c));
    pthread_attr_t attr;
    pthread_t t;
    int rc = -ENOMEM;

    if (!c) {
        close(sock);
        return;
    }
    c->server = s;
    c->sock = sock;
    c->arena_fd = -1;
    c->only_domid = -1;
    evtchn_owner_init(&c->ports);
    rc = peer_allowed(sock, &c->pid) ? make_arena(c) : -EPERM;
    if (!rc)
        rc = gnttab_conn_init(s->hv->dom0, &c->grants);
    if (rc) {
        conn_free(c);
        return;
    }
    pthread_mutex_lock(&s->lock);
    cds_list_add(&c->node, &s->conns);
    pthread_mutex_unlock(&s->lock);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&t, &attr, conn_thread, c)) {
        maptrack_owner_closed(&c->grants);
        pthread_mutex_lock(&s->lock);
        cds_list_del(&c->node);
        pthread_mutex_unlock(&s->lock);
        conn_free(c);
    }
    pthread_attr_destroy(&attr);
}

static void *accept_thread(void *arg)
{
    struct privcmd_server *s = arg;

    for (;;) {
        int sock = accept4(s->sock, NULL, NULL, SOCK_CLOEXEC);

        if (sock >= 0) {
            start_conn(s, sock);
        } else if (!s->stopping && errno != EINTR && errno != ECONNABORTED) {
            hv_log("privcmd: cannot accept: %s", strerror(errno));
            usleep(100000);
        } else if (s->stopping) {
            return NULL; /* the listener was shut down */
        }
    }
}

static int listen_at(struct privcmd_server *s, const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(a.sun_path))
        return -ENAMETOOLONG;
    strcpy(a.sun_path, path);
    strcpy(s->path, path);
    s->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (s->sock < 0)
        return -errno;
    unlink(path);
    if (bind(s->sock, (struct sockaddr *)&a, sizeof(a)) < 0 ||
        chmod(path, 0600) < 0 || listen(s->sock, 64) < 0)
        return -errno;
    return 0;
}

struct privcmd_server *privcmd_start(struct hv *hv, const char *path, char *err,
                                     size_t size)
{
    struct privcmd_server *s = calloc(1, sizeof(*s));
    int rc = -ENOMEM;

    if (s) {
        s->hv = hv;
        s->sock = -1;
        CDS_INIT_LIST_HEAD(&s->conns);
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->gone, NULL);
        rc = listen_at(s, path);
    }
    if (!rc)
        rc = -pthread_create(&s->thread, NULL, accept_thread, s);
    if (!rc)
        return s;
    snprintf(err, size, "cannot listen on %s: %s", path, strerror(-rc));
    if (s && s->sock >= 0)
        close(s->sock);
    free(s);
    return NULL;
}

void privcmd_stop(struct privcmd_server *s)
{
    struct privcmd_conn *c;

    s->stopping = true;
    shutdown(s->sock, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->sock);
    unlink(s->path);
    pthread_mutex_lock(&s->lock);
    cds_list_for_each_entry (c, &s->conns, node)
        shutdown(c->sock, SHUT_RDWR);
    while (!cds_list_empty(&s->conns))
        pthread_cond_wait(&s->gone, &s->lock);
    pthread_mutex_unlock(&s->lock);
    free(s);
}
