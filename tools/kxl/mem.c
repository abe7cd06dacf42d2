/* SPDX-License-Identifier: MIT */
/* mem-set and mem-max. */
#include "tools/kxl/kxl.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS   100
#define SLACK_KIB 1024 /* guests keep a page or two more than asked */

/* xl's: a number with t, g, m, k or b behind it, MiB without. 0: none. */
static long long read_kib(const char *text)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (errno || end == text || !isdigit((unsigned char)*text) ||
        n > 1ull << 40 || (*end && end[1]))
        return 0;
    switch (tolower((unsigned char)*end)) {
    case 't':
        return n << 30;
    case 'g':
        return n << 20;
    case 0:
    case 'm':
        return n << 10;
    case 'k':
        return n;
    case 'b':
        return n >> 10;
    default:
        return 0;
    }
}

static json_t *ask(const char *cmd, const char *domain, const char *amount)
{
    long long kib = read_kib(amount);
    json_t *req;

    if (kib <= 0) {
        kxl_error("write 512 or 512m for MiB, 2g for GiB",
                  "\"%s\" is no amount of memory", amount);
        return NULL;
    }
    req = client_request(cmd, domain);
    json_object_set_new(req, "memory_kib", json_integer(kib));
    return client_once(req);
}

static bool reached(const char *domain, long long target, long long *now)
{
    json_t *reply = client_once(client_request("info", domain));

    *now = kxl_int(reply, "memory_kib");
    json_decref(reply);
    return reply && *now >= target - SLACK_KIB && *now <= target + SLACK_KIB;
}

/* Till the guest has done it, or the time is up. */
static int await_memory(const char *domain, long long target, int timeout_s)
{
    time_t until = time(NULL) + timeout_s;
    long long now = 0;

    while (!reached(domain, target, &now)) {
        if (!now) /* said so already */
            return KXL_ERROR;
        if (time(NULL) >= until) {
            kxl_error("only a guest with a balloon driver changes it",
                      "\"%s\" has %lld MiB after %d s, not %lld", domain,
                      now / 1024, timeout_s, target / 1024);
            return KXL_ERROR;
        }
        poll(NULL, 0, LOOK_MS);
    }
    return KXL_OK;
}

static int mem_set_run(const struct kxl_command *self, int argc, char **argv)
{
    static const struct option longs[] = {
        {"wait", no_argument, NULL, 'w'},
        {"timeout", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    int c, timeout_s = 30, status = KXL_OK;
    bool wait = false;
    json_t *reply;

    while ((c = getopt_long(argc, argv, "wt:", longs, NULL)) != -1) {
        if (c == 'w')
            wait = true;
        else if (c != 't' || (timeout_s = atoi(optarg)) <= 0)
            return kxl_usage(self);
    }
    if (argc - optind != 2)
        return kxl_usage(self);
    reply = ask("mem-set", argv[optind], argv[optind + 1]);
    if (!reply)
        return KXL_ERROR;
    if (wait)
        status =
            await_memory(argv[optind], kxl_int(reply, "target_kib"), timeout_s);
    json_decref(reply);
    return status;
}

static const struct kxl_command mem_set_command = {
    .name = "mem-set",
    .args = "[-w] [-t SECONDS] DOMAIN MEM",
    .brief = "ask a domain to have so much memory, by its balloon",
    .help = "MEM is in MiB, or has g, m or k behind it; at most maxmem. Only\n"
            "asks, through memory/target: kxl list shows what the guest has\n"
            "given back or taken. It keeps MEM over a restart.\n"
            "\n"
            "  -w, --wait     until the guest has done so\n"
            "  -t, --timeout  wait so many seconds at most (30)\n"
            "\n"
            "example: kxl mem-set -w web 256\n",
    .run = mem_set_run,
};
KXL_COMMAND(mem_set_command);

static int mem_max_run(const struct kxl_command *self, int argc, char **argv)
{
    json_t *reply;

    if (getopt(argc, argv, "") != -1 || argc - optind != 2)
        return kxl_usage(self);
    reply = ask("mem-max", argv[optind], argv[optind + 1]);
    json_decref(reply);
    return reply ? KXL_OK : KXL_ERROR;
}

static const struct kxl_command mem_max_command = {
    .name = "mem-max",
    .args = "DOMAIN MEM",
    .brief = "the most memory that a domain can take",
    .help = "Binds the guest at once: it gets no page beyond that, but keeps\n"
            "what it has. Not more than maxmem = of the configuration it was\n"
            "started with.\n"
            "\n"
            "example: kxl mem-max web 512\n",
    .run = mem_max_run,
};
KXL_COMMAND(mem_max_command);
