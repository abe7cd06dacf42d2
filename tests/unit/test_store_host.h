/* SPDX-License-Identifier: MIT */
/* The store of the fixture behind a real socket, served by one thread. */
#ifndef TESTS_UNIT_TEST_STORE_HOST_H
#define TESTS_UNIT_TEST_STORE_HOST_H

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/test_store_fixture.h"
#include "xenstore/daemon/loop.h"
#include "xenstore/daemon/socket.h"

struct host {
    struct stask awake; /* first: the two are one object */
    struct sworker worker;
    bool stop;
    struct slistener *listener;
    pthread_t thread;
    char path[100];
};

static inline void *host_thread(void *arg)
{
    sworker_run(arg);
    return NULL;
}

/* So that no measurement has a sleeping thread to wake and another has not. */
static inline bool awake_turn(struct stask *t, uint32_t events)
{
    (void)events;
    return !__atomic_load_n(&((struct host *)t)->stop, __ATOMIC_RELAXED);
}

static inline void host_open(struct host *h, bool awake)
{
    const char *tmp = getenv("KXEN_TEST_TMP");

    snprintf(h->path, sizeof(h->path), "%s/fair-%d", tmp ? tmp : "/tmp",
             getpid());
    assert_int_equal(sworker_init(&h->worker, sf.s), 0);
    assert_int_equal(slistener_open(&h->worker, 1, h->path, &h->listener), 0);
    h->stop = false;
    h->awake = (struct stask){.worker = &h->worker, .turn = awake_turn};
    if (awake)
        stask_queue(&h->awake);
    pthread_create(&h->thread, NULL, host_thread, &h->worker);
}

static inline void host_close(struct host *h)
{
    __atomic_store_n(&h->stop, true, __ATOMIC_RELAXED);
    sworker_stop(&h->worker);
    pthread_join(h->thread, NULL);
    slistener_close(h->listener);
    sworker_fini(&h->worker);
}

static inline int client_open(const struct host *h)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(sa.sun_path, h->path);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

#endif
