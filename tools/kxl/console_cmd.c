/* SPDX-License-Identifier: MIT */
#include "tools/kxl/kxl.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int console_run(const struct kxl_command *self, int argc, char **argv)
{
    static const struct option longs[] = {
        {"all", no_argument, NULL, 'a'},
        {"type", required_argument, NULL, 't'},
        {NULL, 0, NULL, 0},
    };
    struct console_opts opts = {.pv = true, .from = -1, .leave_at_eof = true};
    json_t *reply, *end = NULL;
    int c, status = KXL_OK;

    while ((c = getopt_long(argc, argv, "at:", longs, NULL)) != -1) {
        if (c == 'a')
            opts.from = 0;
        else if (c == 't' && (!strcmp(optarg, "uart") || !strcmp(optarg, "pv")))
            opts.uart = opts.uart_input = !strcmp(optarg, "uart");
        else
            return kxl_usage(self);
    }
    if (argc - optind != 1)
        return kxl_usage(self);
    opts.pv = !opts.uart;
    reply = client_request("console", argv[optind]);
    json_object_set_new(reply, "stream",
                        json_string(opts.uart ? "uart" : "pv"));
    reply = client_once(reply);
    if (!reply)
        return KXL_ERROR;
    opts.uuid = kxl_str(reply, "uuid");
    switch (terminal_run(&opts, &end)) {
    case CONSOLE_LOST:
        kxl_error("kxl host-start starts it again", "dom0 does not come back");
        status = KXL_ERROR;
        break;
    case CONSOLE_ENDED:
        if (json_is_true(json_object_get(end, "crashed"))) {
            console_say_crash(end);
            status = KXL_CRASHED;
        } else {
            kxl_say("the domain has ended: %s", kxl_str(end, "reason"));
        }
        break;
    default:
        break;
    }
    json_decref(end);
    json_decref(reply);
    return status;
}

static const struct kxl_command console_command = {
    .name = "console",
    .args = "[-a] [-t pv|uart] DOMAIN",
    .brief = "put a domain's console on the terminal",
    .help = "Stays over restarts of the domain and of dom0. Its whole output\n"
            "is also in console/<id>.log of the run directory.\n"
            "\n"
            "  -a, --all      first show all it has put out so far\n"
            "  -t, --type     pv (the default), or the trapped UART's\n"
            "  Ctrl-]         leaves; the domain runs on\n"
            "\n"
            "Input from a pipe is typed; when it has ended and the domain has\n"
            "said nothing for a second, kxl leaves. Without any input\n"
            "(</dev/null) it shows the output till the domain's end.\n"
            "The guest does not learn how large the terminal is: say\n"
            "stty rows R cols C there, or run resize.\n"
            "\n"
            "Exit status: 0, or 2 when the guest crashed meanwhile.\n"
            "\n"
            "example: kxl console -a web\n",
    .run = console_run,
};
KXL_COMMAND(console_command);
