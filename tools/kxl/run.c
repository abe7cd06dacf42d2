/* SPDX-License-Identifier: MIT */
/* kxl run: a host of its own for one domain, gone with it. */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dom0/config.h"
#include "hv/client/kxen.h"

struct run {
    char dir[256];
    bool keep; /* the run directory: the user named it */
    pid_t supervisor;
    bool pv, uart, uart_input;
};

/* Which consoles the configuration gives the guest. */
static void look_at_config(struct run *run, const json_t *req)
{
    json_t *list = json_object_get(req, "overrides"), *one;
    const char **over = calloc(json_array_size(list) + 1, sizeof(char *));
    struct domain_config *cfg = NULL;
    struct config_error err;
    const char *text = kxl_str(req, "config");
    size_t i;

    run->pv = true;
    json_array_foreach (list, i, one)
        if (over)
            over[i] = json_string_value(one);
    if (!domain_config_parse("", text, strlen(text), over, &cfg, &err)) {
        for (i = 0; i < cfg->nr_trapped; i++)
            run->uart |= cfg->trapped[i].kind == TRAPPED_UART;
        run->uart_input =
            run->uart && strstr(cfg->cmdline, "console=uart") != NULL;
    }
    free(over);
    domain_config_free(cfg);
}

static int make_run_dir(struct run *run)
{
    const char *told = getenv("KXL_RUN_DIR"), *tmp = getenv("TMPDIR");

    if (told) {
        run->keep = true;
        snprintf(run->dir, sizeof(run->dir), "%s", told);
        if (!mkdir(run->dir, 0700) || errno == EEXIST)
            return 0;
    } else {
        snprintf(run->dir, sizeof(run->dir), "%s/kxl-XXXXXX",
                 tmp && *tmp == '/' && strlen(tmp) < 64 ? tmp : "/tmp");
        if (mkdtemp(run->dir))
            return kxen_set_run_dir(run->dir);
    }
    kxl_error("set TMPDIR to a folder you may write to",
              "%s: cannot make the run directory: %s", run->dir,
              strerror(errno));
    return -errno;
}

static int unlink_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    const char *dot = strrchr(path, '.');

    (void)st;
    (void)type;
    (void)ftw;
    /* A dump is what the user has asked for, and has been told of. */
    if (!strstr(path, "/dump/") || !dot || strcmp(dot, ".core"))
        remove(path);
    return 0;
}

static void remove_run_dir(const struct run *run)
{
    if (!run->keep)
        nftw(run->dir, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In the child: the supervisor, which dies with us and takes all along. */
static void supervisor_main(struct run *run, pid_t parent, int ready_fd)
{
    char log[300];
    int status;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setsid(); /* Ctrl-C on our terminal is for us alone */
    snprintf(log, sizeof(log), "%s/host.log", run->dir);
    if (!freopen(log, "a", stderr) || !freopen("/dev/null", "r", stdin) ||
        !freopen("/dev/null", "w", stdout))
        _exit(KXL_ERROR);
    if (getppid() != parent) /* dead before we asked to be told */
        _exit(KXL_ERROR);
    status = host_supervise(run->dir, true, ready_fd);
    remove_run_dir(run);
    _exit(status);
}

/* Waits for the host, but not longer than the user does. */
static int await_ready(int fd, int signal_fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n;

    for (;;) {
        struct pollfd p[] = {{.fd = fd, .events = POLLIN},
                             {.fd = signal_fd, .events = POLLIN}};

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return -errno;
        if (p[1].revents)
            return -EINTR;
        if (!p[0].revents)
            continue;
        n = read(fd, text + len, size - 1 - len);
        if (n <= 0)
            break;
        len += n;
    }
    text[len] = 0;
    return 0;
}

static int start_host(struct run *run, int signal_fd)
{
    pid_t parent = getpid();
    char text[4096];
    int fds[2], rc;

    if (pipe2(fds, O_CLOEXEC))
        return -errno;
    run->supervisor = fork();
    if (run->supervisor == 0) {
        close(fds[0]);
        supervisor_main(run, parent, fds[1]);
    }
    close(fds[1]);
    if (run->supervisor < 0) {
        close(fds[0]);
        kxl_error(NULL, "cannot start a process: %s", strerror(errno));
        return -errno;
    }
    rc = await_ready(fds[0], signal_fd, text, sizeof(text));
    close(fds[0]);
    if (rc || !strcmp(text, "ok"))
        return rc;
    kxl_error("kxl check tells what this machine can do", "%s",
              !strcmp(text, "busy") ? "a host runs in that directory already"
              : *text               ? text
                                    : "the host does not start");
    return -EIO;
}

static void stop_host(struct run *run)
{
    if (run->supervisor <= 0)
        return;
    kill(run->supervisor, SIGTERM);
    waitpid(run->supervisor, NULL, 0);
    remove_run_dir(run); /* had it been killed, it would be left */
}

static int status_of(const json_t *end)
{
    const char *story = kxl_str(end, "story");

    if (json_is_true(json_object_get(end, "crashed"))) {
        console_say_crash(end);
        return KXL_CRASHED;
    }
    if (!strcmp(kxl_str(end, "reason"), "failed")) {
        kxl_error(NULL, "the domain could not be restarted: %s", story);
        return KXL_ERROR;
    }
    return json_is_true(json_object_get(end, "ok")) ? KXL_OK : KXL_ERROR;
}

static int show(struct run *run, const json_t *created)
{
    struct console_opts opts = {.uuid = kxl_str(created, "uuid"),
                                .pv = run->pv,
                                .uart = run->uart,
                                .uart_input = run->uart_input};
    json_t *end = NULL;
    int status = KXL_OK;

    switch (terminal_run(&opts, &end)) {
    case CONSOLE_LEFT:
        kxl_say("left; the domain is destroyed");
        break;
    case CONSOLE_ENDED:
        status = status_of(end);
        break;
    case CONSOLE_LOST:
        kxl_error("run it again with kxl -R DIR run, which keeps the logs "
                  "in DIR",
                  "the host has died under the domain");
        status = KXL_ERROR;
        break;
    case CONSOLE_SIGNAL:
        status = KXL_ERROR;
        break;
    }
    json_decref(end);
    return status;
}

static int create_and_show(struct run *run, json_t *req, int signal_fd)
{
    struct client *c = client_try();
    json_t *reply;
    int status = KXL_ERROR;

    if (!c) {
        kxl_error(NULL, "dom0 does not answer: %s", strerror(errno));
        json_decref(req);
        return KXL_ERROR;
    }
    reply = create_ask(c, req, signal_fd);
    client_close(c);
    if (reply) {
        create_warnings(reply);
        status = show(run, reply);
    }
    json_decref(reply);
    return status;
}

static int run_config(json_t *req)
{
    struct run run = {.supervisor = -1};
    int status = KXL_ERROR, signal_fd;

    look_at_config(&run, req);
    if (make_run_dir(&run)) {
        json_decref(req);
        return KXL_ERROR;
    }
    signal_fd = kxl_signals();
    if (!start_host(&run, signal_fd))
        status = create_and_show(&run, req, signal_fd);
    else
        json_decref(req);
    stop_host(&run);
    close(signal_fd);
    return status;
}

static int run_run(const struct kxl_command *self, int argc, char **argv)
{
    json_t *req;

    if (getopt(argc, argv, "") != -1 || optind >= argc)
        return kxl_usage(self);
    req = create_request(argv[optind], argv + optind + 1, argc - optind - 1,
                         false);
    return req ? run_config(req) : KXL_ERROR;
}

static const struct kxl_command run_command = {
    .name = "run",
    .args = "CFG [KEY=VALUE]...",
    .brief = "boot one domain on the terminal, with nothing else running",
    .help =
        "Starts a private host for the domain, puts its console on the\n"
        "terminal, and clears everything away when the domain ends or is\n"
        "left. Needs access to /dev/kvm, but not root. A configuration\n"
        "with trapped = [ \"uart\" ] has its output shown as well.\n"
        "\n"
        "  Ctrl-]  leaves, and destroys the domain\n"
        "\n"
        "Exit status: 0 it powered off, 1 a mistake or a host's error,\n"
        "2 the guest crashed. With kxl -R DIR run ... the logs stay in DIR.\n"
        "\n"
        "example: kxl run hello.cfg memory=64\n",
    .run = run_run,
};
KXL_COMMAND(run_command);
