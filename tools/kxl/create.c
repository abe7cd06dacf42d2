/* SPDX-License-Identifier: MIT */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "dom0/config.h"

/* So that a mistake is found before any daemon is started for it. */
static int syntax_check(const char *cfg, const char *text, size_t len,
                        json_t *overrides)
{
    struct config_error err = {.text = "out of memory"};
    const char **list =
        calloc(json_array_size(overrides) + 1, sizeof(const char *));
    struct domain_config *parsed = NULL;
    size_t i;
    int rc;

    for (i = 0; list && i < json_array_size(overrides); i++)
        list[i] = json_string_value(json_array_get(overrides, i));
    rc = domain_config_parse(cfg, text, len, list, &parsed, &err);
    free(list);
    domain_config_free(parsed);
    if (rc)
        kxl_error(NULL, "%s", err.text);
    return rc;
}

static json_t *overrides_json(char **overrides, int nr)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < nr; i++) {
        if (!strchr(overrides[i], '=')) {
            kxl_error("settings after the file look like memory=64",
                      "\"%s\" is no key=value", overrides[i]);
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, json_string(overrides[i]));
    }
    return list;
}

json_t *create_request(const char *cfg, char **overrides, int nr_overrides,
                       bool paused)
{
    char cwd[PATH_MAX];
    json_t *list = overrides_json(overrides, nr_overrides), *req = NULL;
    size_t len = 0;
    char *text;

    if (!list)
        return NULL;
    text = kxl_read_file(cfg, &len);
    if (!text) {
        kxl_error(NULL, "%s: cannot read the configuration: %s", cfg,
                  strerror(errno));
    } else if (!getcwd(cwd, sizeof(cwd))) {
        kxl_error(NULL, "the working directory is gone: %s", strerror(errno));
    } else if (!syntax_check(cfg, text, len, list)) {
        req = json_pack("{s:s, s:s#, s:s, s:s, s:b, s:O}", "cmd", "create",
                        "config", text, len, "file", cfg, "cwd", cwd, "paused",
                        paused, "overrides", list);
        if (!req)
            kxl_error("save the file as UTF-8",
                      "%s: it holds bytes that are no text", cfg);
    }
    free(text);
    json_decref(list);
    return req;
}

/* The create's own answer; what else comes is shown or dropped. */
static json_t *answer_of(struct client *c, int id)
{
    json_t *msg;

    while ((msg = client_read(c))) {
        if (!json_object_get(msg, "event") && kxl_int(msg, "id") == id)
            return msg;
        if (!strcmp(kxl_str(msg, "event"), "progress"))
            client_progress(msg);
        json_decref(msg);
    }
    return NULL;
}

/* False at the second signal: the user does not wait for an answer, then. */
static bool take_back(struct client *c, int id, int signal_fd, bool *told)
{
    struct signalfd_siginfo info;

    if (*told || read(signal_fd, &info, sizeof(info)) < 0) {
        kxl_error("kxl list shows what has become of the domain",
                  "interrupted again: not waiting for the host");
        return false;
    }
    *told = true;
    kxl_say("interrupted: the host takes back what it has begun");
    client_send(c, json_pack("{s:s, s:i}", "cmd", "cancel", "of", id));
    return true;
}

static json_t *await_answer(struct client *c, int signal_fd, bool *told)
{
    int id = client_last_id(c);

    for (;;) {
        struct pollfd p[] = {{.fd = client_fd(c), .events = POLLIN},
                             {.fd = signal_fd, .events = POLLIN}};
        json_t *msg = answer_of(c, id);

        if (msg)
            return msg;
        if (errno != EAGAIN) {
            kxl_error("kxl list shows whether it was done; look into dom0.log",
                      "dom0 died before it answered");
            return NULL;
        }
        if (poll(p, 2, -1) > 0 && p[1].revents &&
            !take_back(c, id, signal_fd, told))
            return NULL;
    }
}

json_t *create_ask(struct client *c, json_t *req, int signal_fd)
{
    bool told = false;
    json_t *reply = NULL;

    if (client_send(c, req))
        kxl_error(NULL, "dom0 has hung up");
    else
        reply = await_answer(c, signal_fd, &told);
    if (!reply)
        return NULL;
    if (!json_is_true(json_object_get(reply, "ok"))) {
        client_refused(reply);
    } else if (told) {
        kxl_error("kxl destroy ends it",
                  "it was too late: domain %lld, \"%s\", is there",
                  kxl_int(reply, "domid"), kxl_str(reply, "name"));
    } else {
        return reply;
    }
    json_decref(reply);
    return NULL;
}

void create_warnings(const json_t *reply)
{
    json_t *warnings = json_object_get(reply, "warnings"), *one;
    size_t i;

    json_array_foreach (warnings, i, one)
        kxl_say("warning: %s", json_string_value(one));
}

static int show_console(const json_t *created)
{
    struct console_opts opts = {.uuid = kxl_str(created, "uuid"), .pv = true};
    json_t *end = NULL;
    int status = KXL_OK;

    if (terminal_run(&opts, &end) == CONSOLE_ENDED &&
        json_is_true(json_object_get(end, "crashed"))) {
        console_say_crash(end);
        status = KXL_CRASHED;
    }
    json_decref(end);
    return status;
}

static int create(json_t *req, bool console, bool json)
{
    struct client *c = client_open(true);
    json_t *reply;
    int status = KXL_OK, signal_fd;

    if (!c) {
        json_decref(req);
        return KXL_ERROR;
    }
    /* Not earlier: a host that it started must not inherit the mask. */
    signal_fd = kxl_signals();
    reply = create_ask(c, req, signal_fd);
    client_close(c);
    close(signal_fd);
    if (!reply)
        return KXL_ERROR;
    create_warnings(reply);
    if (json)
        kxl_print_json(json_incref(reply));
    else
        kxl_say("domain %lld, \"%s\", is created", kxl_int(reply, "domid"),
                kxl_str(reply, "name"));
    if (console)
        status = show_console(reply);
    json_decref(reply);
    return status;
}

static int create_run(const struct kxl_command *self, int argc, char **argv)
{
    static const struct option longs[] = {
        {"paused", no_argument, NULL, 'p'},
        {"console", no_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    bool paused = false, console = false, json = false;
    json_t *req;
    int c;

    while ((c = getopt_long(argc, argv, "pcj", longs, NULL)) != -1) {
        switch (c) {
        case 'p':
            paused = true;
            break;
        case 'c':
            console = true;
            break;
        case 'j':
            json = true;
            break;
        default:
            return kxl_usage(self);
        }
    }
    if (optind >= argc)
        return kxl_usage(self);
    req = create_request(argv[optind], argv + optind + 1, argc - optind - 1,
                         paused);
    return req ? create(req, console, json) : KXL_ERROR;
}

static const struct kxl_command create_command = {
    .name = "create",
    .args = "[-p] [-c] [--json] CFG [KEY=VALUE]...",
    .brief = "make a domain and let it run; starts the host if there is none",
    .help = "CFG is in xl.cfg syntax. KEY=VALUE replaces what it says.\n"
            "Relative paths in it are looked for from the working directory,\n"
            "then beside CFG.\n"
            "\n"
            "Ctrl-C while it is made has all of it taken back.\n"
            "\n"
            "  -p, --paused   do not let it run yet (kxl unpause does)\n"
            "  -c, --console  stay on its console; Ctrl-] leaves it\n"
            "  -j, --json     print the new domain as JSON\n"
            "\n"
            "example: kxl create web.cfg memory=128 name=web2\n",
    .run = create_run,
};
KXL_COMMAND(create_command);
