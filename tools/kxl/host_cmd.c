/* SPDX-License-Identifier: MIT */
/* Commands about the host itself. */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hv/client/kxen.h"

#define STOP_MS 20000

static int start_run(const struct kxl_command *self, int argc, char **argv)
{
    static const struct option longs[] = {
        {"foreground", no_argument, NULL, 'F'},
        {"quiet", no_argument, NULL, 'q'},
        {NULL, 0, NULL, 0},
    };
    bool foreground = false, quiet = false;
    int c;

    while ((c = getopt_long(argc, argv, "Fq", longs, NULL)) != -1) {
        if (c == 'F')
            foreground = true;
        else if (c == 'q')
            quiet = true;
        else
            return kxl_usage(self);
    }
    if (optind < argc)
        return kxl_usage(self);
    if (host_supervisor()) {
        if (!quiet)
            kxl_say("a host runs in %s already", kxen_run_dir());
        return KXL_OK;
    }
    if (foreground)
        return host_supervise(kxen_run_dir(), false, -1);
    if (host_start())
        return KXL_ERROR;
    if (!quiet)
        kxl_say("a host runs in %s", kxen_run_dir());
    return KXL_OK;
}

static const struct kxl_command start_command = {
    .name = "host-start",
    .args = "[-F] [-q]",
    .brief = "start hv, kxenstored and dom0, and restart what dies of them",
    .help = "kxl create does so by itself when no host runs. Daemons that an\n"
            "earlier host left running are taken over, with their domains.\n"
            "\n"
            "  -F, --foreground  stay here, as a service manager wants it\n"
            "  -q, --quiet       say nothing but errors\n"
            "\n"
            "example: kxl -R /run/kxen host-start\n",
    .run = start_run,
};
KXL_COMMAND(start_command);

int host_domains(void)
{
    struct client *c = client_try();
    json_t *reply = NULL, *dom;
    size_t i;
    int nr = 0;

    if (c)
        reply = client_call(c, client_request("list", NULL), NULL, NULL);
    json_array_foreach (json_object_get(reply, "domains"), i, dom)
        nr += kxl_int(dom, "domid") != 0;
    json_decref(reply);
    client_close(c);
    return nr;
}

/* Nobody watches over the daemons: a supervisor takes them over to stop them.
 */
static int supervisor_needed(void)
{
    struct client *c = client_try();
    int pid = host_supervisor();

    if (!pid && c)
        pid = host_start() ? 0 : host_supervisor();
    client_close(c);
    return pid;
}

static int stop_run(const struct kxl_command *self, int argc, char **argv)
{
    bool force = false;
    int c, pid, nr, waited;

    while ((c = getopt(argc, argv, "f")) != -1) {
        if (c != 'f')
            return kxl_usage(self);
        force = true;
    }
    nr = host_domains();
    if (nr && !force) {
        kxl_error("kxl shutdown -aw ends them gently, host-stop -f at once",
                  "%d domain%s still running", nr, nr == 1 ? " is" : "s are");
        return KXL_ERROR;
    }
    pid = supervisor_needed();
    if (!pid) {
        kxl_say("no host runs in %s", kxen_run_dir());
        return KXL_OK;
    }
    kill(pid, SIGTERM);
    for (waited = 0; waited < STOP_MS; waited += 20) {
        if (!host_supervisor())
            return KXL_OK;
        poll(NULL, 0, 20);
    }
    kxl_error("look into host.log there", "the host in %s does not stop",
              kxen_run_dir());
    return KXL_ERROR;
}

static const struct kxl_command stop_command = {
    .name = "host-stop",
    .args = "[-f]",
    .brief = "stop the host's daemons",
    .help = "  -f  also when domains still run: they are lost\n"
            "\n"
            "example: kxl host-stop\n",
    .run = stop_run,
};
KXL_COMMAND(stop_command);

static int check_run(const struct kxl_command *self, int argc, char **argv)
{
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    bool json = false;
    char hv[4096];
    int c, rc;

    while ((c = getopt_long(argc, argv, "j", longs, NULL)) != -1) {
        if (c != 'j')
            return kxl_usage(self);
        json = true;
    }
    if (optind < argc)
        return kxl_usage(self);
    rc = kxl_program_path(hv, sizeof(hv), "hv");
    if (!rc) {
        execl(hv, "hv", "--check", json ? "--json" : (char *)NULL,
              (char *)NULL);
        rc = -errno;
    }
    kxl_error("build or install all of Kxen", "cannot run %s: %s", hv,
              strerror(-rc));
    return KXL_ERROR;
}

static const struct kxl_command check_command = {
    .name = "check",
    .args = "[--json]",
    .brief = "what this machine can do for Kxen, and what that means",
    .help = "  -j, --json  as JSON\n"
            "\n"
            "example: kxl check\n",
    .run = check_run,
};
KXL_COMMAND(check_command);
