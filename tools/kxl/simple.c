/* SPDX-License-Identifier: MIT */
/* Commands that are one request about one or more domains. */
#include "tools/kxl/kxl.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sends `request` for each domain named; the worst status. */
static int for_each(const struct kxl_command *self, const char *request,
                    int argc, char **argv)
{
    int i, status = KXL_OK;

    if (getopt(argc, argv, "") != -1 || optind >= argc)
        return kxl_usage(self);
    for (i = optind; i < argc; i++) {
        json_t *reply = client_once(client_request(request, argv[i]));

        if (!reply)
            status = KXL_ERROR;
        json_decref(reply);
    }
    return status;
}

static int pause_run(const struct kxl_command *self, int argc, char **argv)
{
    return for_each(self, "pause", argc, argv);
}

static const struct kxl_command pause_command = {
    .name = "pause",
    .args = "DOMAIN...",
    .brief = "stop a domain's processors, keeping all as it is",
    .help = "example: kxl pause web\n",
    .run = pause_run,
};
KXL_COMMAND(pause_command);

static int unpause_run(const struct kxl_command *self, int argc, char **argv)
{
    return for_each(self, "unpause", argc, argv);
}

static const struct kxl_command unpause_command = {
    .name = "unpause",
    .args = "DOMAIN...",
    .brief = "let a paused domain run on",
    .help = "example: kxl unpause web\n",
    .run = unpause_run,
};
KXL_COMMAND(unpause_command);

static int destroy_run(const struct kxl_command *self, int argc, char **argv)
{
    return for_each(self, "destroy", argc, argv);
}

static const struct kxl_command destroy_command = {
    .name = "destroy",
    .args = "DOMAIN...",
    .brief = "end a domain at once, without asking it",
    .help = "What it has not flushed to its disks is lost; kxl shutdown is\n"
            "the gentle way.\n"
            "\n"
            "example: kxl destroy web\n",
    .run = destroy_run,
};
KXL_COMMAND(destroy_command);

static int print_field(const struct kxl_command *self, int argc, char **argv,
                       const char *field)
{
    json_t *reply, *value;

    if (getopt(argc, argv, "") != -1 || argc - optind != 1)
        return kxl_usage(self);
    reply = client_once(client_request("domid", argv[optind]));
    if (!reply)
        return KXL_ERROR;
    value = json_object_get(reply, field);
    if (json_is_integer(value))
        printf("%lld\n", (long long)json_integer_value(value));
    else
        printf("%s\n", kxl_str(reply, field));
    json_decref(reply);
    return KXL_OK;
}

static int domid_run(const struct kxl_command *self, int argc, char **argv)
{
    return print_field(self, argc, argv, "domid");
}

static const struct kxl_command domid_command = {
    .name = "domid",
    .args = "NAME",
    .brief = "the id of a domain",
    .help = "example: kxl domid web\n",
    .run = domid_run,
};
KXL_COMMAND(domid_command);

static int domname_run(const struct kxl_command *self, int argc, char **argv)
{
    return print_field(self, argc, argv, "name");
}

static const struct kxl_command domname_command = {
    .name = "domname",
    .args = "ID",
    .brief = "the name of a domain",
    .help = "example: kxl domname 3\n",
    .run = domname_run,
};
KXL_COMMAND(domname_command);

static int dmesg_run(const struct kxl_command *self, int argc, char **argv)
{
    json_t *req = client_request("dmesg", NULL), *reply;
    int c;

    while ((c = getopt(argc, argv, "c")) != -1) {
        if (c != 'c') {
            json_decref(req);
            return kxl_usage(self);
        }
        json_object_set_new(req, "clear", json_true());
    }
    reply = client_once(req);
    if (!reply)
        return KXL_ERROR;
    fputs(kxl_str(reply, "text"), stdout);
    json_decref(reply);
    return KXL_OK;
}

static const struct kxl_command dmesg_command = {
    .name = "dmesg",
    .args = "[-c]",
    .brief = "what the hypervisor has to say",
    .help = "  -c  and forget it\n"
            "\n"
            "example: kxl dmesg | tail\n",
    .run = dmesg_run,
};
KXL_COMMAND(dmesg_command);
