/* SPDX-License-Identifier: MIT */
#include "xenstore/daemon/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "xenstore/core/conn.h"
#include "xenstore/core/journal.h"
#include "xenstore/daemon/lazy.h"

#define TURN_REQUESTS 64 /* one client's share before others get theirs */

struct slistener {
    struct stask task;
    struct sworker *workers;
    struct lazy_worker **lazy; /* one for each */
    unsigned int nr_workers, next;
    int fd;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

struct sock_conn {
    struct sconn conn; /* first: the two are one object */
    struct stask task;
    struct lazy lazy;
    int fd;
    bool drained;    /* the last read got all there was */
    bool ended;      /* the client will send nothing more */
    uint32_t events; /* what epoll watches for */
};

static struct sock_conn *of_task(struct stask *t)
{
    return (struct sock_conn *)((char *)t - offsetof(struct sock_conn, task));
}

static ssize_t sock_read(struct sconn *c, void *buf, size_t len)
{
    struct sock_conn *sc = (struct sock_conn *)c;
    ssize_t n;

    if (sc->drained)
        return 0;
    n = lazy_recv(&sc->lazy, buf, len);
    /* Of the end there is no more news. */
    sc->drained = n < (ssize_t)len && !(sc->ended && n > 0);
    if (n > 0)
        return n;
    if (n < 0 && errno == EAGAIN)
        return 0;
    return n < 0 ? -errno : -ENOTCONN;
}

static ssize_t sock_writev(struct sconn *c, const struct iovec *iov, int nr)
{
    struct sock_conn *sc = (struct sock_conn *)c;
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = nr};
    ssize_t n;

    if (nr == 1) /* it is the faster call */
        n = send(sc->fd, iov[0].iov_base, iov[0].iov_len,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
    else
        n = sendmsg(sc->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

static void sock_kick(struct sconn *c)
{
    stask_queue(&((struct sock_conn *)c)->task);
}

/* Its own turn sends what it leaves, in one piece with the reply. */
static bool sock_can_push(struct sconn *c)
{
    return !stask_has_turn(&((struct sock_conn *)c)->task);
}

static const struct sconn_ops sock_ops = {
    .read = sock_read,
    .writev = sock_writev,
    .can_push = sock_can_push,
    .kick = sock_kick,
};

static void sock_free(struct stask *t)
{
    struct sock_conn *sc = of_task(t);

    lazy_stop(&sc->lazy); /* or the client would see a reset */
    close(sc->fd);
    free(sc);
}

static void sock_end(struct stask *t)
{
    sconn_fini(&of_task(t)->conn);
}

static void sock_close(struct sock_conn *sc, int why)
{
    if (why != -ENOTCONN && why != -EPIPE && why != -ECONNRESET)
        store_log(sc->conn.store, "%s: connection closed: %s", sc->conn.name,
                  strerror(-why));
    stask_forget_fd(&sc->task, sc->fd);
    sconn_fini(&sc->conn);
    stask_free_later(&sc->task);
}

/* Watches for what can be dealt with: input if not behind, room if so. */
static void sock_arm(struct sock_conn *sc, bool behind, bool stalled)
{
    uint32_t events = (stalled ? 0 : EPOLLIN) | (behind ? EPOLLOUT : 0);

    if (events == sc->events)
        return;
    sc->events = events;
    stask_change_fd(&sc->task, sc->fd, lazy_events(&sc->lazy, events));
}

static bool sock_turn(struct stask *t, uint32_t events)
{
    struct sock_conn *sc = of_task(t);
    bool was_stalled, stalled;
    int in = 0, out;

    /* A turn out of the queue reads only what a turn before left over. */
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        sc->drained = false;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        sc->ended = true;
    in = sconn_input(&sc->conn, TURN_REQUESTS);
    was_stalled = sconn_stalled(&sc->conn);
    out = in < 0 && in != -ENOTCONN ? in : sconn_flush(&sc->conn);
    if (in < 0 || out < 0 || sc->conn.closing) {
        sock_close(sc, in < 0 ? in : out < 0 ? out : -ENOTCONN);
        return false;
    }
    stalled = sconn_stalled(&sc->conn);
    sock_arm(sc, out > 0, stalled);
    lazy_settle(&sc->lazy);
    return in > 0 || (was_stalled && !stalled);
}

static void name_peer(int fd, char *buf, size_t size)
{
    struct ucred cred = {0};
    socklen_t len = sizeof(cred);
    char path[40], comm[20] = "?";
    FILE *f;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
        cred.pid = 0;
    snprintf(path, sizeof(path), "/proc/%d/comm", cred.pid);
    f = fopen(path, "re");
    if (f && fscanf(f, "%19[^\n]", comm) != 1)
        comm[0] = '?';
    if (f)
        fclose(f);
    snprintf(buf, size, "client %s (pid %d)", comm, cred.pid);
}

/* A connection on fd, not served yet; NULL: no memory. */
static struct sock_conn *sock_create(struct slistener *l, int fd,
                                     const char *name)
{
    struct sock_conn *sc = calloc(1, sizeof(*sc));
    unsigned int n = l->next++ % l->nr_workers;

    if (!sc)
        return NULL;
    sconn_init(&sc->conn, l->task.worker->store, &sock_ops, 0, name);
    sc->fd = fd;
    sc->events = EPOLLIN;
    sc->task.turn = sock_turn;
    sc->task.free = sock_free;
    sc->task.end = sock_end;
    sc->task.worker = &l->workers[n];
    lazy_start(&sc->lazy, fd, l->lazy[n]);
    return sc;
}

static int sock_start(struct sock_conn *sc)
{
    int rc;

    /* Owned first: its worker may run, and free it, at once. */
    stask_own(&sc->task);
    rc = stask_watch_fd(&sc->task, sc->fd, lazy_events(&sc->lazy, EPOLLIN));
    if (rc)
        stask_disown(&sc->task);
    if (rc) {
        sconn_fini(&sc->conn);
        free(sc);
    }
    return rc;
}

static int sock_open(struct slistener *l, int fd)
{
    struct sock_conn *sc;
    char name[48];

    name_peer(fd, name, sizeof(name));
    sc = sock_create(l, fd, name);
    return sc ? sock_start(sc) : -ENOMEM;
}

static bool listener_turn(struct stask *t, uint32_t events)
{
    struct slistener *l =
        (struct slistener *)((char *)t - offsetof(struct slistener, task));
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int rc;

    (void)events;
    if (fd < 0 && errno != EMFILE && errno != ENFILE)
        return false;
    rc = fd < 0 ? -errno : sock_open(l, fd);
    if (!rc)
        return false;
    store_log(t->worker->store,
              "cannot take a client: %s; raise the limit of open files "
              "(ulimit -n) or close some clients",
              strerror(-rc));
    if (fd >= 0)
        close(fd);
    else
        usleep(10000); /* or accept would fail again at once */
    return false;
}

/* Whether a live server holds the path; a stale socket is removed. */
static int clear_path(const struct sockaddr_un *sa)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;

    if (fd < 0)
        return -errno;
    if (!connect(fd, (const struct sockaddr *)sa, sizeof(*sa)))
        rc = -EADDRINUSE;
    else if (errno == ECONNREFUSED)
        unlink(sa->sun_path);
    close(fd);
    return rc;
}

static int bind_private(int fd, const struct sockaddr_un *sa)
{
    mode_t old = umask(0177);
    int rc = bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) ? -errno : 0;

    umask(old);
    return rc;
}

static int start_listening(struct slistener *l, const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int rc;

    if (strlen(path) >= sizeof(sa.sun_path))
        return -ENAMETOOLONG;
    strcpy(sa.sun_path, path);
    strcpy(l->path, path);
    rc = clear_path(&sa);
    if (rc)
        return rc;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0)
        return -errno;
    rc = bind_private(l->fd, &sa);
    if (!rc && listen(l->fd, SOMAXCONN))
        rc = -errno;
    if (!rc)
        rc = stask_watch_fd(&l->task, l->fd, EPOLLIN);
    if (rc)
        close(l->fd);
    return rc;
}

static void listener_free(struct slistener *l)
{
    free(l->lazy);
    free(l);
}

static struct slistener *listener_create(struct sworker *workers,
                                         unsigned int nr_workers)
{
    struct slistener *l = calloc(1, sizeof(*l));

    if (l)
        l->lazy = calloc(nr_workers, sizeof(*l->lazy));
    if (!l || !l->lazy) {
        free(l);
        return NULL;
    }
    for (unsigned int i = 0; i < nr_workers; i++)
        l->lazy[i] = lazy_worker_create(&workers[i]);
    l->workers = workers;
    l->nr_workers = nr_workers;
    l->task.worker = &workers[0];
    l->task.turn = listener_turn;
    return l;
}

int slistener_open(struct sworker *workers, unsigned int nr_workers,
                   const char *path, struct slistener **out)
{
    struct slistener *l = listener_create(workers, nr_workers);
    int rc;

    if (!l)
        return -ENOMEM;
    rc = start_listening(l, path);
    if (rc)
        listener_free(l);
    else
        *out = l;
    return rc;
}

int slistener_resume(struct sworker *workers, unsigned int nr_workers,
                     const char *path, int fd, struct slistener **out)
{
    struct slistener *l = listener_create(workers, nr_workers);
    int rc;

    if (!l)
        return -ENOMEM;
    if (strlen(path) < sizeof(l->path))
        strcpy(l->path, path);
    l->fd = fd;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    rc = stask_watch_fd(&l->task, fd, EPOLLIN);
    if (rc)
        listener_free(l);
    else
        *out = l;
    return rc;
}

static int hand_on(struct stask *t, void *arg)
{
    struct sock_conn *sc = of_task(t);

    (void)arg;
    if (t->turn != sock_turn)
        return 0;
    lazy_stop(&sc->lazy);
    fcntl(sc->fd, F_SETFD, 0);
    return journal_socket(&sc->conn, sc->fd);
}

int slistener_hand_on(struct slistener *l)
{
    int rc = 0;

    for (unsigned int i = 0; i < l->nr_workers && !rc; i++)
        rc = sworker_for_each(&l->workers[i], hand_on, NULL);
    if (rc || fcntl(l->fd, F_SETFD, 0))
        return rc ? rc : -errno;
    return l->fd;
}

static void adopt_one(struct slistener *l, struct sconn *parked)
{
    int fd = parked->jkey - JKEY_SOCKET;
    struct sock_conn *sc = sock_create(l, fd, parked->name);

    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (sc) {
        store_lock(parked->store);
        sconn_take_over(&sc->conn, parked,
                        parked->out_bytes - parked->out_sent);
        free(sc->conn.shadow); /* a socket has none */
        sc->conn.shadow = NULL;
        store_unlock(parked->store);
        if (!sock_start(sc))
            stask_queue(&sc->task);
    } else {
        close(fd);
    }
    sconn_unpark(parked);
}

void slistener_adopt(struct slistener *l)
{
    struct store *s = l->task.worker->store;

    while (s->parked_sockets) {
        struct sconn *c = s->parked_sockets;

        s->parked_sockets = c->next_parked;
        adopt_one(l, c);
    }
}

void slistener_close(struct slistener *l)
{
    unlink(l->path);
    close(l->fd);
    listener_free(l);
}
