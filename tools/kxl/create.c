/* SPDX-License-Identifier: MIT */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    int status = KXL_OK;

    if (!c) {
        json_decref(req);
        return KXL_ERROR;
    }
    reply = client_ask(c, req);
    client_close(c);
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
            "  -p, --paused   do not let it run yet (kxl unpause does)\n"
            "  -c, --console  stay on its console; Ctrl-] leaves it\n"
            "  -j, --json     print the new domain as JSON\n"
            "\n"
            "example: kxl create web.cfg memory=128 name=web2\n",
    .run = create_run,
};
KXL_COMMAND(create_command);
