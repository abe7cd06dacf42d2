/* SPDX-License-Identifier: MIT */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct progress {
    const char *domain;
    bool shown; /* a line to be overwritten stands there */
};

static void line_end(struct progress *p)
{
    if (p->shown)
        fputc('\n', stderr);
    p->shown = false;
}

/* One line that is written over and over, for people only. */
static void show(void *arg, const char *event, const json_t *msg)
{
    struct progress *p = arg;
    const char *text = kxl_str(msg, "text");

    if (strcmp(event, "progress"))
        return;
    if (!strncmp(text, "warning", 7)) {
        line_end(p);
        kxl_say("%s", text);
    } else if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\rkxl: dumping \"%s\": %s\033[K", p->domain, text);
        p->shown = true;
    }
}

static json_t *request_make(const char *domain, const char *file, bool live,
                            bool xen)
{
    char path[PATH_MAX + 2], cwd[PATH_MAX];
    json_t *req;

    if (*file == '/') {
        snprintf(path, sizeof(path), "%s", file);
    } else if (!getcwd(cwd, sizeof(cwd)) ||
               snprintf(path, sizeof(path), "%s/%s", cwd, file) >=
                   (int)sizeof(path)) {
        kxl_error(NULL, "%s: cannot tell its whole path: %s", file,
                  strerror(errno));
        return NULL;
    }
    req = client_request("dump-core", domain);
    json_object_set_new(req, "file", json_string(path));
    json_object_set_new(req, "live", json_boolean(live));
    json_object_set_new(req, "xen", json_boolean(xen));
    return req;
}

/* Takes req over. */
static int dump(const char *domain, json_t *req, bool json)
{
    struct progress p = {.domain = domain};
    json_t *reply;
    struct client *c = req ? client_open(false) : NULL;

    if (!c) {
        json_decref(req);
        return KXL_ERROR;
    }
    reply = client_call(c, req, show, &p);
    client_close(c);
    line_end(&p);
    if (!reply) {
        kxl_error("the domain runs on, and nothing is left of the dump: try "
                  "again",
                  "dom0 died while it dumped \"%s\"", domain);
        return KXL_ERROR;
    }
    if (!json_is_true(json_object_get(reply, "ok"))) {
        client_refused(reply);
        json_decref(reply);
        return KXL_ERROR;
    }
    if (json)
        kxl_print_json(json_incref(reply));
    else
        kxl_say("%lld MiB and %lld vCPUs are in %s",
                kxl_int(reply, "memory_kib") / 1024, kxl_int(reply, "vcpus"),
                kxl_str(reply, "file"));
    json_decref(reply);
    return KXL_OK;
}

static int dump_run(const struct kxl_command *self, int argc, char **argv)
{
    static const struct option longs[] = {
        {"live", no_argument, NULL, 'L'},
        {"xen", no_argument, NULL, 'x'},
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    bool live = false, xen = false, json = false;
    json_t *req;
    int c;

    while ((c = getopt_long(argc, argv, "Lxj", longs, NULL)) != -1) {
        if (c == 'L')
            live = true;
        else if (c == 'x')
            xen = true;
        else if (c == 'j')
            json = true;
        else
            return kxl_usage(self);
    }
    if (argc - optind != 2)
        return kxl_usage(self);
    req = request_make(argv[optind], argv[optind + 1], live, xen);
    return req ? dump(argv[optind], req, json) : KXL_ERROR;
}

static const struct kxl_command dump_command = {
    .name = "dump-core",
    .args = "[-L] [-x] [--json] DOMAIN FILE",
    .brief = "write a domain's memory and registers to a file, for debuggers",
    .help =
        "FILE becomes an ELF core for gdb: the guest's memory at its virtual\n"
        "addresses, one thread a vCPU. Zero pages are holes in it. The domain\n"
        "stands while it is written and runs on afterwards; one that has\n"
        "crashed and is preserved is dumped as well. FILE appears when it\n"
        "is complete; Ctrl-C gives up and leaves nothing.\n"
        "\n"
        "  -L, --live  let the domain run meanwhile: what is written first\n"
        "              and last may not fit together\n"
        "  -x, --xen   in the format of Xen's own tools, for the program "
        "crash\n"
        "  -j, --json  print what was done as JSON\n"
        "\n"
        "example: kxl dump-core web web.core\n"
        "         gdb vmlinux web.core -ex bt\n",
    .run = dump_run,
};
KXL_COMMAND(dump_command);
