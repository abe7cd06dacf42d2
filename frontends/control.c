/* SPDX-License-Identifier: MIT */
/* control/shutdown: how the toolstack asks a guest to end. */
#include "frontends/include/kernel.h"
#include "frontends/include/xenbus.h"

#define NODE "control/shutdown"

static const struct {
    const char *word;
    int reason;
} words[] = {
    {"poweroff", SHUTDOWN_poweroff},
    {"halt", SHUTDOWN_poweroff},
    {"reboot", SHUTDOWN_reboot},
};

static struct xenbus_watch watch = {.path = NODE};
static bool watching, broken;
static uint32_t seen;
static int requested = -1;

static int read_request(void)
{
    char word[16] = "";
    size_t i;

    if (xenbus_read(XBT_NIL, NODE, word, sizeof(word)) <= 0)
        return -1;
    /* Empty means: taken note of. */
    xenbus_write(XBT_NIL, NODE, "", 0);
    for (i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(word, words[i].word) == 0)
            return words[i].reason;
    printf("control/shutdown: '%s' is not something this guest does\n", word);
    return -1;
}

int xenbus_shutdown_requested(void)
{
    if (!watching && !broken) {
        broken = xenbus_watch(&watch) != 0;
        watching = !broken;
    }
    xenbus_poll();
    if (requested < 0 && watching && seen != watch.fired) {
        seen = watch.fired;
        requested = read_request();
    }
    return requested;
}
