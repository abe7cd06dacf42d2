/* SPDX-License-Identifier: MIT */
/* kxl trace: a domain's hypercalls as they come to hv. */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "hv/client/kxen.h"

struct trace {
    const char *domain;
    FILE *out;
    unsigned long long limit; /* lines; 0 = no end */
};

static int find_domid(const char *domain, uint32_t *domid)
{
    json_t *reply;

    if (!strcmp(domain, "0") || !strcmp(domain, "Domain-0")) {
        *domid = 0;
        return 0;
    }
    reply = client_once(client_request("info", domain));
    if (!reply)
        return -ESRCH;
    *domid = (uint32_t)kxl_int(reply, "domid");
    json_decref(reply);
    return 0;
}

/* How much of buf is within the limit; *lines counts on. */
static size_t up_to_limit(const struct trace *t, const char *buf, size_t len,
                          unsigned long long *lines)
{
    size_t i = 0;

    while (i < len && (!t->limit || *lines < t->limit))
        *lines += buf[i++] == '\n';
    return i;
}

/*
 * Till the domain or the limit ends, or a signal.  Without stdio on the way
 * in: lines that wait in its buffer are none for poll().
 */
static int copy_lines(const struct trace *t, int fd)
{
    struct pollfd p[2] = {
        {.fd = fd, .events = POLLIN},
        {.fd = kxl_signals(), .events = POLLIN},
    };
    unsigned long long lines = 0;
    int rc = KXL_OK;
    char buf[4096];

    while (!t->limit || lines < t->limit) {
        ssize_t n;

        if (poll(p, 2, -1) < 0 && errno == EINTR)
            continue;
        n = p[1].revents ? 0 : read(fd, buf, sizeof(buf));
        if (n <= 0)
            break;
        n = up_to_limit(t, buf, n, &lines);
        if (fwrite(buf, 1, n, t->out) == (size_t)n && !fflush(t->out))
            continue;
        kxl_error(NULL, "cannot write the trace: %s", strerror(errno));
        rc = KXL_ERROR;
        break;
    }
    close(fd);
    return rc;
}

static int attach(const struct trace *t, int *fd)
{
    kxctrl *k = kxctrl_open();
    uint32_t domid;
    int p[2], rc;

    if (!k) {
        kxl_error("kxl list says whether a host runs",
                  "cannot reach the hypervisor: %s", strerror(errno));
        return KXL_ERROR;
    }
    rc = find_domid(t->domain, &domid);
    if (!rc && pipe(p) < 0) {
        rc = -errno;
        kxl_error(NULL, "cannot make a pipe: %s", strerror(-rc));
    } else if (!rc) {
        rc = kxctrl_trace(k, domid, p[1]);
        close(p[1]);
        *fd = p[0];
        if (rc)
            close(p[0]);
        if (rc)
            kxl_error(rc == -EBUSY ? "one reader at a time: end the other"
                                   : NULL,
                      "cannot trace domain %u: %s", domid, strerror(-rc));
    }
    kxctrl_close(k);
    return rc ? KXL_ERROR : KXL_OK;
}

static int parse(const struct kxl_command *self, int argc, char **argv,
                 struct trace *t)
{
    int c;

    while ((c = getopt(argc, argv, "o:n:")) != -1) {
        switch (c) {
        case 'o':
            t->out = fopen(optarg, "w");
            if (t->out)
                break;
            kxl_error(NULL, "cannot write %s: %s", optarg, strerror(errno));
            return KXL_ERROR;
        case 'n':
            t->limit = strtoull(optarg, NULL, 10);
            break;
        default:
            return kxl_usage(self);
        }
    }
    if (optind + 1 != argc)
        return kxl_usage(self);
    t->domain = argv[optind];
    return KXL_OK;
}

static int trace_run(const struct kxl_command *self, int argc, char **argv)
{
    struct trace t = {.out = stdout};
    int fd = -1, rc = parse(self, argc, argv, &t);

    if (!rc)
        rc = attach(&t, &fd);
    if (!rc)
        rc = copy_lines(&t, fd);
    if (t.out && t.out != stdout && fclose(t.out) && !rc)
        rc = KXL_ERROR;
    return rc;
}

static const struct kxl_command trace_command = {
    .name = "trace",
    .args = "[-n LINES] [-o FILE] DOMAIN",
    .brief = "show a domain's hypercalls as they come to the hypervisor",
    .help =
        "A line a call: when it came, in seconds since hv started; which\n"
        "vCPU made it; name, arguments and result; how long it took in hv.\n"
        "What the monitor answers inside the guest does not come to hv.\n"
        "\n"
        "  -n LINES   end after so many\n"
        "  -o FILE    write there, not to the terminal\n"
        "\n"
        "example: kxl trace -n 100 web\n",
    .run = trace_run,
};
KXL_COMMAND(trace_command);
