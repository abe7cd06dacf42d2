/* SPDX-License-Identifier: MIT */
/* A domain's console on the terminal. */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "backends/console.h"

#define ESCAPE     0x1d /* Ctrl-] */
#define RETRY_MS   100
#define LOST_MS    15000 /* dom0 away for so long: it will not come back */
#define DRAIN_MS   1000  /* for the last words of a domain that has ended */
#define QUIET_MS   1000  /* without output: the piped input is answered */
#define NR_STREAMS 2

enum { PV, UART };

struct stream {
    const char *name;
    int fd; /* -1: not connected */
    bool wanted;
    uint32_t domid; /* whose it was when last connected */
    int64_t offset; /* bytes of its output that we have had */
};

struct session {
    const struct console_opts *opts;
    struct stream streams[NR_STREAMS];
    struct client *watch; /* has a `wait` under way */
    uint64_t lost_ms;     /* since when dom0 is away; 0: it is not */
    int signal_fd;
    bool stdin_open;
    bool had_input;
    bool deaf;         /* nobody reads our output any more */
    uint64_t heard_ms; /* the last output or input */
    bool raw;
    char typed[1024]; /* not yet sent: its stream is away just now */
    size_t nr_typed;
    struct termios saved;
    json_t *end;
};

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * UINT64_C(1000) + ts.tv_nsec / 1000000;
}

static void terminal_raw(struct session *s)
{
    struct termios t;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &s->saved))
        return;
    t = s->saved;
    cfmakeraw(&t);
    t.c_oflag |= OPOST | ONLCR; /* guests may end lines by \n alone */
    s->raw = !tcsetattr(STDIN_FILENO, TCSANOW, &t);
    if (s->raw && !s->opts->quiet)
        kxl_say("console of the domain; Ctrl-] leaves it");
}

static void terminal_restore(struct session *s)
{
    if (s->raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &s->saved);
    if (s->raw)
        fputc('\n', stderr); /* the guest's prompt has the line */
    s->raw = false;
}

/* Nothing more will be typed, and what was has had its answer. */
static uint64_t quiet_left_ms(const struct session *s)
{
    uint64_t now = now_ms();

    return now < s->heard_ms + QUIET_MS ? s->heard_ms + QUIET_MS - now : 0;
}

static bool leaves_at_eof(const struct session *s)
{
    return s->opts->leave_at_eof && s->had_input && !s->stdin_open &&
           !s->nr_typed;
}

static int write_all(int fd, const char *buf, size_t len)
{
    while (len) {
        ssize_t n = write(fd, buf, len);

        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};

            poll(&p, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return -errno;
        } else if (n > 0) {
            buf += n;
            len -= n;
        }
    }
    return 0;
}

/* The domain's id now, or 0: a restart gives it another. */
static uint32_t domid_now(const struct session *s)
{
    struct client *c = client_try();
    json_t *reply = NULL;
    uint32_t domid = 0;

    if (c)
        reply =
            client_call(c, client_request("domid", s->opts->uuid), NULL, NULL);
    if (json_is_true(json_object_get(reply, "ok")))
        domid = kxl_int(reply, "domid");
    json_decref(reply);
    client_close(c);
    return domid;
}

/* Goes on where it was cut off; a new domain's output is wanted whole. */
static void stream_connect(struct stream *stream, uint32_t domid)
{
    int64_t start;

    if (domid != stream->domid && stream->domid)
        stream->offset = 0;
    stream->fd =
        console_attach(NULL, domid, stream->name, stream->offset, 0, &start);
    if (stream->fd < 0) {
        stream->fd = -1;
        return;
    }
    stream->domid = domid;
    stream->offset = start;
}

static void streams_connect(struct session *s)
{
    uint32_t domid = 0;
    int i;

    for (i = 0; i < NR_STREAMS; i++) {
        if (!s->streams[i].wanted || s->streams[i].fd >= 0)
            continue;
        domid = domid ? domid : domid_now(s);
        if (domid)
            stream_connect(&s->streams[i], domid);
    }
}

static void stream_close(struct stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}

/* False once the other end has hung up. */
static bool stream_copy(struct session *s, struct stream *stream)
{
    char buf[16384];
    ssize_t n = recv(stream->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n > 0) {
        s->deaf |= write_all(STDOUT_FILENO, buf, n) != 0;
        s->heard_ms = now_ms();
        stream->offset += n;
        return true;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    stream_close(stream);
    return false;
}

static void watch_open(struct session *s)
{
    s->watch = client_try();
    if (s->watch &&
        client_send(s->watch, client_request("wait", s->opts->uuid))) {
        client_close(s->watch);
        s->watch = NULL;
    }
    if (s->watch)
        s->lost_ms = 0;
    else if (!s->lost_ms)
        s->lost_ms = now_ms();
}

void console_say_crash(const json_t *end)
{
    const char *story = kxl_str(end, "story"), *core = kxl_str(end, "core");

    kxl_say("the guest crashed (%s)%s%s", kxl_str(end, "reason"),
            *story ? ": " : "", story);
    if (*core)
        kxl_say("its memory is dumped to %s", core);
}

/* True when the domain has ended for good. */
static bool watch_read(struct session *s)
{
    json_t *msg;

    while (s->watch && !s->end) {
        msg = client_read(s->watch);
        if (!msg && errno == EAGAIN)
            return false;
        if (!msg) {
            client_close(s->watch);
            s->watch = NULL;
            return false;
        }
        if (!strcmp(kxl_str(msg, "event"), "restart")) {
            if (!s->opts->quiet)
                kxl_say("the domain restarts");
        } else if (!strcmp(kxl_str(msg, "event"), "crashed")) {
            if (!s->opts->quiet)
                console_say_crash(msg);
        } else if (!json_object_get(msg, "event")) {
            /* "dom0 is stopping" is no end of the domain. */
            if (json_is_true(json_object_get(msg, "ok")) ||
                !strstr(kxl_str(msg, "error"), "stopping"))
                s->end = json_incref(msg);
        }
        json_decref(msg);
    }
    return s->end != NULL;
}

static struct stream *input_stream(struct session *s)
{
    return &s->streams[s->opts->uart_input ? UART : PV];
}

static void input_flush(struct session *s)
{
    struct stream *to = input_stream(s);

    if (to->fd < 0 || !s->nr_typed)
        return;
    if (write_all(to->fd, s->typed, s->nr_typed))
        stream_close(to);
    else
        s->nr_typed = 0;
}

/* True when the escape key was pressed. */
static bool keyboard_read(struct session *s)
{
    char buf[sizeof(s->typed)];
    char *escape = NULL;
    ssize_t n = read(STDIN_FILENO, buf, sizeof(buf) - s->nr_typed);

    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            s->stdin_open = false;
        return false;
    }
    if (s->raw)
        escape = memchr(buf, ESCAPE, n);
    if (escape)
        n = escape - buf;
    s->had_input = true;
    s->heard_ms = now_ms();
    memcpy(s->typed + s->nr_typed, buf, n);
    s->nr_typed += n;
    input_flush(s);
    if (s->raw && s->nr_typed == sizeof(s->typed))
        s->nr_typed = 0; /* Ctrl-] must always get through */
    return escape != NULL;
}

/* The rest of the log: what a domain put out before we could attach. */
static void log_copy(struct stream *stream, uint32_t domid)
{
    char path[256], buf[16384];
    ssize_t n;
    int fd;

    if (stream->domid != domid && stream->domid)
        stream->offset = 0;
    if (!stream->wanted || stream->offset < 0 ||
        console_path(path, sizeof(path), NULL, domid, stream->name, "log"))
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    while ((n = pread(fd, buf, sizeof(buf), stream->offset)) > 0) {
        write_all(STDOUT_FILENO, buf, n);
        stream->offset += n;
    }
    close(fd);
}

/* What is still on its way when the domain has ended. */
static void drain(struct session *s)
{
    uint64_t until = now_ms() + DRAIN_MS;
    int i;

    for (i = 0; i < NR_STREAMS; i++) {
        struct stream *stream = &s->streams[i];

        while (stream->fd >= 0 && now_ms() < until) {
            struct pollfd p = {.fd = stream->fd, .events = POLLIN};

            if (poll(&p, 1, DRAIN_MS) <= 0 || !stream_copy(s, stream))
                break;
        }
        log_copy(stream, kxl_int(s->end, "domid"));
    }
}

static bool incomplete(const struct session *s)
{
    int i;

    for (i = 0; i < NR_STREAMS; i++)
        if (s->streams[i].wanted && s->streams[i].fd < 0)
            return true;
    return !s->watch;
}

/* Piped input waits until its stream is there: nothing of it is lost. */
static bool keyboard_wanted(struct session *s)
{
    return s->stdin_open && (s->raw || input_stream(s)->fd >= 0);
}

/* Milliseconds to wait at most for something to happen; -1: for ever. */
static int patience(const struct session *s)
{
    if (incomplete(s))
        return RETRY_MS;
    return leaves_at_eof(s) ? (int)quiet_left_ms(s) : -1;
}

/* One turn; true with *how set when the session is over. */
static bool session_turn(struct session *s, enum console_end *how)
{
    struct pollfd p[] = {
        {.fd = keyboard_wanted(s) ? STDIN_FILENO : -1, .events = POLLIN},
        {.fd = s->streams[PV].fd, .events = POLLIN},
        {.fd = s->streams[UART].fd, .events = POLLIN},
        {.fd = s->watch ? client_fd(s->watch) : -1, .events = POLLIN},
        {.fd = s->signal_fd, .events = POLLIN},
    };

    if (poll(p, 5, patience(s)) < 0 && errno != EINTR)
        return false;
    if (p[4].revents) {
        *how = CONSOLE_SIGNAL;
        return true;
    }
    if (p[0].revents && keyboard_read(s)) {
        *how = CONSOLE_LEFT;
        return true;
    }
    if (p[1].revents)
        stream_copy(s, &s->streams[PV]);
    if (p[2].revents)
        stream_copy(s, &s->streams[UART]);
    if (p[3].revents && watch_read(s)) {
        *how = CONSOLE_ENDED;
        return true;
    }
    if (!s->watch)
        watch_open(s);
    if (s->lost_ms && now_ms() - s->lost_ms > LOST_MS) {
        *how = CONSOLE_LOST;
        return true;
    }
    if (s->watch)
        streams_connect(s);
    input_flush(s);
    if (s->deaf || (leaves_at_eof(s) && !quiet_left_ms(s))) {
        *how = CONSOLE_LEFT;
        return true;
    }
    return false;
}

enum console_end terminal_run(const struct console_opts *opts, json_t **end)
{
    struct session s = {
        .opts = opts,
        .streams = {[PV] = {.name = "console",
                            .fd = -1,
                            .wanted = opts->pv,
                            .offset = opts->from},
                    [UART] = {.name = "uart",
                              .fd = -1,
                              .wanted = opts->uart,
                              .offset = opts->from}},
        .stdin_open = true,
    };
    enum console_end how;

    s.heard_ms = now_ms();
    s.signal_fd = kxl_signals();
    watch_open(&s);
    streams_connect(&s);
    terminal_raw(&s);
    while (!session_turn(&s, &how))
        ;
    if (how == CONSOLE_ENDED)
        drain(&s);
    terminal_restore(&s);
    stream_close(&s.streams[PV]);
    stream_close(&s.streams[UART]);
    client_close(s.watch);
    close(s.signal_fd);
    if (end)
        *end = s.end;
    else
        json_decref(s.end);
    return how;
}
