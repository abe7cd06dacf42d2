/* SPDX-License-Identifier: MIT */
/*
 * A shell on the console: for poking at the store, the disks and the domain.
 * It obeys control/shutdown at any time.
 */
#include "frontends/guests/shell/shell.h"
#include "frontends/include/blkdev.h"
#include "frontends/include/console.h"
#include "frontends/include/hypercall.h"
#include "frontends/include/xenbus.h"

#define PROMPT   "kxen> "
#define LINE_MAX 512
#define CTRL(c)  ((c) - '@')
#define DEL      0x7f

static int end_reason = -1;

/* Typed while a command ran, for the next line. */
static struct {
    char c[64];
    uint32_t put, get;
} ahead;

/* ---- input --------------------------------------------------------------- */

static bool something_to_do(struct console *con)
{
    if (end_reason < 0)
        end_reason = xenbus_shutdown_requested();
    return end_reason >= 0 || console_readable(con);
}

/* A byte, or -1 when the domain is to end or the console is gone. */
static int next_byte(struct console *con)
{
    int c;

    if (ahead.get != ahead.put)
        return (unsigned char)ahead.c[ahead.get++ % sizeof(ahead.c)];
    for (;;) {
        wait_event(something_to_do(con));
        if (end_reason >= 0)
            return -1;
        c = console_getc(con);
        if (c >= 0)
            return c;
        if (c != -EAGAIN)
            return -1;
    }
}

bool shell_interrupted(void)
{
    struct console *con = console_active();
    int c;

    if (!something_to_do(con))
        return false;
    if (end_reason >= 0 || con->dead)
        return true;
    c = console_getc(con);
    if (c == CTRL('C'))
        return true;
    if (c >= 0 && ahead.put - ahead.get < sizeof(ahead.c))
        ahead.c[ahead.put++ % sizeof(ahead.c)] = (char)c;
    return false;
}

static void rub_out(struct console *con, size_t *len)
{
    if (*len == 0)
        return;
    --*len;
    console_write(con, "\b \b", 3);
}

/* Length of the line in buf, -EIO at the end. */
static int read_line(struct console *con, char *buf, size_t size)
{
    size_t len = 0;
    char ch;
    int c;

    while ((c = next_byte(con)) >= 0) {
        if (c == '\r' || c == '\n') {
            console_write(con, "\r\n", 2);
            buf[len] = '\0';
            return (int)len;
        }
        if (c == CTRL('C')) {
            printf("^C\n" PROMPT);
            len = 0;
        } else if (c == '\b' || c == DEL) {
            rub_out(con, &len);
        } else if (c >= ' ' && c < DEL && len + 1 < size) {
            ch = (char)c;
            buf[len++] = ch;
            console_write(con, &ch, 1);
        }
    }
    return -EIO;
}

/* ---- commands ------------------------------------------------------------ */

int shell_number(const char *text, uint64_t *n)
{
    const char *p = text;

    if (!parse_u64(&p, 0, n) && !*p)
        return 0;
    printf("expected a number, found '%s'\n", text);
    return -EINVAL;
}

static int cmd_help(int argc, char **argv);

static int cmd_echo(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++)
        printf("%s%s", argv[i], i + 1 < argc ? " " : "");
    printf("\n");
    return 0;
}

static int cmd_time(int argc, char **argv)
{
    uint64_t wall = wallclock_ns(), up = time_ns();

    (void)argc;
    (void)argv;
    printf("%lu.%09lu s since the start, %lu.%09lu s since 1970\n",
           up / NSEC_PER_SEC, up % NSEC_PER_SEC, wall / NSEC_PER_SEC,
           wall % NSEC_PER_SEC);
    return 0;
}

static int cmd_sleep(int argc, char **argv)
{
    uint64_t ms, end;
    int rc = shell_number(argv[1], &ms);

    (void)argc;
    if (rc)
        return rc;
    end = time_ns() + ms * NSEC_PER_MSEC;
    return wait_event_until(shell_interrupted(), end) ? 0 : -EAGAIN;
}

static void say_up(void *arg)
{
    uint32_t *count = arg;

    __atomic_fetch_add(count, 1, __ATOMIC_SEQ_CST);
}

static int cmd_vcpus(int argc, char **argv)
{
    uint32_t ran = 0;
    unsigned int n = smp_count(), cpu;
    uint64_t end;
    int rc;

    (void)argc;
    (void)argv;
    printf("vCPU 0 runs this shell\n");
    for (cpu = 1; cpu < n; cpu++) {
        ran = 0;
        rc = smp_start(cpu, say_up, &ran);
        end = time_ns() + NSEC_PER_SEC;
        while (!rc && READ_ONCE(ran) == 0 && time_ns() < end)
            cpu_relax();
        printf("vCPU %u %s\n", cpu,
               rc || !READ_ONCE(ran) ? "does not start"
                                     : "was started and ran");
    }
    return 0;
}

static int cmd_info(int argc, char **argv)
{
    const struct start_info *si = start_info();
    long v = hypervisor_xen_version(XENVER_version, NULL);

    (void)argc;
    (void)argv;
    printf("%.*s, version %ld.%ld; %lu MiB, %lu KiB free; %lu events\n",
           (int)sizeof(si->magic), si->magic, v >> 16, v & 0xffff,
           si->nr_pages >> 8, page_free_count() << 2, events_count());
    printf("command line: %s\n", cmdline());
    return 0;
}

static int cmd_end(int argc, char **argv)
{
    (void)argc;
    end_reason =
        strcmp(argv[0], "reboot") == 0 ? SHUTDOWN_reboot : SHUTDOWN_poweroff;
    return 0;
}

static int cmd_crash(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    panic("crash, as asked for");
}

static const struct command own_commands[] = {
    {"help", "", "this", 1, 1, cmd_help},
    {"echo", "WORD...", "says it", 1, MAX_WORDS, cmd_echo},
    {"info", "", "hypervisor, memory, command line", 1, 1, cmd_info},
    {"time", "", "system time and wall clock", 1, 1, cmd_time},
    {"sleep", "MS", "waits; ^C ends it", 2, 2, cmd_sleep},
    {"vcpus", "", "starts every vCPU in turn", 1, 1, cmd_vcpus},
    {"halt", "", "powers off", 1, 1, cmd_end},
    {"reboot", "", "asks for a reboot", 1, 1, cmd_end},
    {"crash", "", "panics", 1, 1, cmd_crash},
    {0},
};

static const struct command *const tables[] = {own_commands, store_commands,
                                               disk_commands};

static int cmd_help(int argc, char **argv)
{
    const struct command *c;
    char left[40];
    size_t i;

    (void)argc;
    (void)argv;
    for (i = 0; i < ARRAY_SIZE(tables); i++)
        for (c = tables[i]; c->name; c++) {
            snprintf(left, sizeof(left), "%s %s", c->name, c->args);
            printf("  %-30s %s\n", left, c->help);
        }
    return 0;
}

static const struct command *find_command(const char *name)
{
    const struct command *c;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(tables); i++)
        for (c = tables[i]; c->name; c++)
            if (strcmp(c->name, name) == 0)
                return c;
    return NULL;
}

static int split(char *line, char **argv)
{
    int n = 0;

    while (*line && n < MAX_WORDS) {
        while (*line == ' ')
            *line++ = '\0';
        if (!*line)
            break;
        argv[n++] = line;
        while (*line && *line != ' ')
            line++;
    }
    return n;
}

static const char *error_text(int err)
{
    static const struct {
        int err;
        const char *text;
    } texts[] = {
        {ENOENT, "there is no such node"},
        {EACCES, "not permitted"},
        {EPERM, "not permitted"},
        {EROFS, "the disk is read-only"},
        {EOPNOTSUPP, "the disk does not offer that"},
        {EIO, "the disk failed"},
        {ENOSPC, "a quota is used up"},
        {E2BIG, "too long"},
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(texts); i++)
        if (texts[i].err == err)
            return texts[i].text;
    return "failed";
}

static void run_line(char *line)
{
    char *argv[MAX_WORDS];
    int argc = split(line, argv), rc;
    const struct command *c;

    if (argc == 0)
        return;
    c = find_command(argv[0]);
    if (!c) {
        printf("%s: no such command; help lists them\n", argv[0]);
        return;
    }
    rc = argc < c->min_words || argc > c->max_words ? -EINVAL
                                                    : c->run(argc, argv);
    if (rc == -EINVAL)
        printf("usage: %s %s\n", c->name, c->args);
    else if (rc)
        printf("%s: %s (error %d)\n", c->name, error_text(-rc), rc);
}

int guest_main(void)
{
    struct console *con = console_active();
    char line[LINE_MAX];

    if (!con)
        panic("the shell needs a console");
    printf("A shell in a Xen PV guest; help lists the commands.\n");
    while (end_reason < 0) {
        printf(PROMPT);
        if (read_line(con, line, sizeof(line)) < 0)
            break;
        run_line(line);
    }
    printf("shell: %s\n",
           end_reason == SHUTDOWN_reboot ? "rebooting" : "powering off");
    return end_reason >= 0 ? end_reason : SHUTDOWN_poweroff;
}
