/* SPDX-License-Identifier: MIT */
/* Asking guests to go: shutdown and reboot. */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct ask {
    const char *reason;
    bool wait, all;
    int timeout_s; /* 0: for ever */
};

/* Waits for the domain's end, or its restart. */
static int await_end(struct client *c, const struct ask *ask, const char *name)
{
    time_t until = time(NULL) + ask->timeout_s;

    for (;;) {
        struct pollfd p = {.fd = client_fd(c), .events = POLLIN};
        json_t *msg = client_read(c);
        bool known = msg != NULL;

        json_decref(msg);
        if (known) /* the reply, or the event "restart": it has ended */
            return KXL_OK;
        if (errno != EAGAIN) {
            kxl_error("kxl list shows what has become of it",
                      "dom0 died while waiting for \"%s\"", name);
            return KXL_ERROR;
        }
        if (ask->timeout_s && time(NULL) >= until) {
            kxl_error("kxl destroy ends it by force",
                      "\"%s\" has not ended after %d s", name, ask->timeout_s);
            return KXL_ERROR;
        }
        poll(&p, 1, ask->timeout_s ? 200 : -1);
    }
}

static int ask_one(const struct ask *ask, const char *name, struct client **c)
{
    json_t *req = client_request("shutdown", name), *reply;

    *c = client_open(false);
    if (!*c) {
        json_decref(req);
        return KXL_ERROR;
    }
    json_object_set_new(req, "reason", json_string(ask->reason));
    reply = client_ask(*c, req);
    json_decref(reply);
    if (reply && ask->wait)
        client_send(*c, client_request("wait", name));
    return reply ? KXL_OK : KXL_ERROR;
}

/* All are asked before any is waited for. */
static int ask_each(const struct ask *ask, int nr, const char **names)
{
    struct client **clients = calloc(nr + 1, sizeof(*clients));
    int i, one, status = KXL_OK;

    if (!clients)
        return KXL_ERROR;
    for (i = 0; i < nr; i++) {
        one = ask_one(ask, names[i], &clients[i]);
        if (one) {
            status = one;
            client_close(clients[i]);
            clients[i] = NULL;
        }
    }
    for (i = 0; i < nr; i++) {
        if (clients[i] && ask->wait && await_end(clients[i], ask, names[i]))
            status = KXL_ERROR;
        client_close(clients[i]);
    }
    free(clients);
    return status;
}

static int ask_all(const struct ask *ask)
{
    json_t *reply = client_once(client_request("list", NULL)), *list, *dom;
    const char **names;
    int status = KXL_ERROR, nr = 0;
    size_t i;

    if (!reply)
        return KXL_ERROR;
    list = json_object_get(reply, "domains");
    names = calloc(json_array_size(list) + 1, sizeof(*names));
    json_array_foreach (list, i, dom)
        if (names && !strcmp(kxl_str(dom, "managed"), "running"))
            names[nr++] = kxl_str(dom, "name");
    if (names)
        status = ask_each(ask, nr, names);
    free(names);
    json_decref(reply);
    return status;
}

static int ask_run(const struct kxl_command *self, int argc, char **argv,
                   const char *reason)
{
    static const struct option longs[] = {
        {"all", no_argument, NULL, 'a'},
        {"wait", no_argument, NULL, 'w'},
        {"timeout", required_argument, NULL, 't'},
        {"reason", required_argument, NULL, 'r'},
        {NULL, 0, NULL, 0},
    };
    struct ask ask = {.reason = reason};
    int c;

    while ((c = getopt_long(argc, argv, "awt:r:", longs, NULL)) != -1) {
        switch (c) {
        case 'a':
            ask.all = true;
            break;
        case 'w':
            ask.wait = true;
            break;
        case 't':
            ask.timeout_s = atoi(optarg);
            if (ask.timeout_s <= 0)
                return kxl_usage(self);
            break;
        case 'r':
            ask.reason = optarg;
            break;
        default:
            return kxl_usage(self);
        }
    }
    if (ask.all == (optind < argc))
        return kxl_usage(self);
    if (ask.all)
        return ask_all(&ask);
    return ask_each(&ask, argc - optind, (const char **)argv + optind);
}

static int shutdown_run(const struct kxl_command *self, int argc, char **argv)
{
    return ask_run(self, argc, argv, "poweroff");
}

static const struct kxl_command shutdown_command = {
    .name = "shutdown",
    .args = "[-w] [-t SECONDS] [-r REASON] -a | DOMAIN...",
    .brief = "ask a domain to power off, through control/shutdown",
    .help = "  -a, --all      every domain\n"
            "  -w, --wait     until it has ended\n"
            "  -t, --timeout  wait so many seconds at most\n"
            "  -r, --reason   poweroff, reboot, halt or suspend\n"
            "\n"
            "example: kxl shutdown -w web\n",
    .run = shutdown_run,
};
KXL_COMMAND(shutdown_command);

static int reboot_run(const struct kxl_command *self, int argc, char **argv)
{
    return ask_run(self, argc, argv, "reboot");
}

static const struct kxl_command reboot_command = {
    .name = "reboot",
    .args = "[-w] [-t SECONDS] -a | DOMAIN...",
    .brief = "ask a domain to restart; it comes back under a new id",
    .help = "  -a, --all      every domain\n"
            "  -w, --wait     until it has gone down\n"
            "  -t, --timeout  wait so many seconds at most\n"
            "\n"
            "example: kxl reboot web\n",
    .run = reboot_run,
};
KXL_COMMAND(reboot_command);
