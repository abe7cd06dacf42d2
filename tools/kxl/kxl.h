/* SPDX-License-Identifier: MIT */
/*
 * kxl, the command line of a Kxen host.  A command is a file in this folder
 * with a function, its help text and a KXL_COMMAND line at its end.
 */
#ifndef TOOLS_KXL_KXL_H
#define TOOLS_KXL_KXL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Exit statuses. */
#define KXL_OK      0
#define KXL_ERROR   1 /* usage, or the host's fault */
#define KXL_CRASHED 2 /* the guest's */

struct kxl_command {
    const char *name;
    const char *args;  /* for the usage line */
    const char *brief; /* for the list of commands */
    const char *help;  /* options, and an example */
    /* argv[0] is the command's name.  Returns an exit status. */
    int (*run)(const struct kxl_command *cmd, int argc, char **argv);
};

/* Registers a command; found by the linker, no list to edit. */
#define KXL_COMMAND(cmd)                                                       \
    static const struct kxl_command *const kxl_reg_##cmd                       \
        __attribute__((used, section("kxl_command_set"))) = &(cmd)

/* ---- util.c ---- */

/* "kxl: ..." on stderr; the hint, if any, on a line of its own. */
void kxl_error(const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void kxl_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Prints a command's usage to stderr; returns KXL_ERROR. */
int kxl_usage(const struct kxl_command *cmd);
/* Its whole help, to stdout. */
void kxl_help(const struct kxl_command *cmd);
/*
 * A program of Kxen's: after make install in ../libexec/kxen/, in the build
 * tree beside this one.  0, or -errno with the place it was last looked for.
 */
int kxl_program_path(char *buf, size_t size, const char *name);
/* The whole file as a string to free(), or NULL with errno. */
char *kxl_read_file(const char *path, size_t *len);
/* Connects to a Unix socket of either kind: its descriptor, or -errno. */
int kxl_connect_unix(const char *path);
/* Prints JSON, indented, with a newline; takes the reference. */
void kxl_print_json(json_t *json);
/*
 * A descriptor that becomes readable at SIGTERM, SIGINT, SIGHUP or SIGQUIT,
 * which are blocked from now on.
 */
int kxl_signals(void);
const char *kxl_str(const json_t *obj, const char *key);
long long kxl_int(const json_t *obj, const char *key);

/* ---- client.c: the control connection to dom0 ---- */

struct client;

/* An event before the reply: event "progress", "restart" ... */
typedef void client_event_fn(void *arg, const char *event, const json_t *msg);

/*
 * Connects to the host's dom0.  One that is just being restarted is waited
 * for; without a host, start decides between starting one and an error that
 * has been printed (NULL).
 */
struct client *client_open(bool start);
/* At once, without a word: NULL when dom0 does not answer. */
struct client *client_try(void);
void client_close(struct client *c);
/*
 * Sends req (taken over) as one line and waits for its reply, owned by the
 * caller; NULL when the connection broke.  event may be NULL: progress then
 * goes to stderr if that is a terminal.
 */
json_t *client_call(struct client *c, json_t *req, client_event_fn *event,
                    void *arg);
/* client_call with an error printed unless the reply is ok: NULL then. */
json_t *client_ask(struct client *c, json_t *req);
/* Sends only; replies are fetched by client_read. 0 or -errno. */
int client_send(struct client *c, json_t *req);
/* The id that the last request was sent with. */
int client_last_id(const struct client *c);
/* For poll(). */
int client_fd(const struct client *c);
/*
 * Reads what is there: the next whole message (a new reference), or NULL with
 * errno EAGAIN (no whole one yet) or EPIPE (broken).
 */
json_t *client_read(struct client *c);
/* Shows an event "progress" as client_call() does. */
void client_progress(const json_t *msg);
/* Prints a refusal; returns KXL_ERROR. */
int client_refused(const json_t *reply);

/*
 * Open, ask, close: the reply, or NULL with the error printed.  Asks again if
 * dom0 dies meanwhile: for requests that may be repeated.
 */
json_t *client_once(json_t *req);
/* {"cmd": cmd, "domain": domain} */
json_t *client_request(const char *cmd, const char *domain);

/* ---- host.c: the daemons and their supervisor ---- */

/*
 * Runs hv, kxenstored and dom0 in run_dir (restarting the latter two) till a
 * signal or hv's end.  Once all answer, "ok" goes to ready_fd; "busy" if there
 * is a supervisor already; else words for the user.  -1: all of that goes to
 * stderr, as its other notes do.  With `private` the daemons never outlive us.
 * Exit status.
 */
int host_supervise(const char *run_dir, bool private, int ready_fd);
/* Starts a supervisor in the background; 0, or -errno with words printed. */
int host_start(void);
/* Is a supervisor there?  Its process id, or 0. */
int host_supervisor(void);
/* How many domains run, but for domain 0; 0 also where no dom0 answers. */
int host_domains(void);

#define HOST_DAEMONS 3

struct host_daemon {
    const char *name;
    int pid;      /* of who answers on its socket, or 0 */
    bool remains; /* nobody does, but files of one that was killed are there */
};

/* What runs of the run directory's host, in the order of their start. */
void host_look(struct host_daemon info[HOST_DAEMONS]);

/* ---- console.c ---- */

enum console_end {
    CONSOLE_LEFT,  /* by the escape key */
    CONSOLE_ENDED, /* the domain is no more */
    CONSOLE_LOST,  /* dom0 did not come back */
    CONSOLE_SIGNAL,
};

struct console_opts {
    const char *uuid;
    bool pv, uart;   /* which to show */
    long long from;  /* of its output: 0 all there is, -1 only what is new */
    bool uart_input; /* where the keyboard goes */
    bool quiet;      /* say nothing of our own */
    /* Leave when piped input has ended and the domain is quiet after it. */
    bool leave_at_eof;
};

/*
 * Joins the terminal to a domain's console till it ends, over restarts of the
 * domain and of dom0.  *end (may be NULL) receives how the domain ended, a new
 * reference, for CONSOLE_ENDED.
 */
enum console_end terminal_run(const struct console_opts *opts, json_t **end);

/* What dom0 tells of a crash, for people. */
void console_say_crash(const json_t *end);

/* ---- create.c ---- */

/*
 * A create request for file cfg and key=value overrides; the syntax is
 * checked here.  NULL with the error printed.
 */
json_t *create_request(const char *cfg, char **overrides, int nr_overrides,
                       bool paused);
/*
 * Sends it (taken over) and waits for the answer, or for a signal on signal_fd
 * (kxl_signals()): what is begun is taken back then.  The reply of a domain
 * that was created, or NULL with all said.
 */
json_t *create_ask(struct client *c, json_t *req, int signal_fd);
/* Prints the reply's warnings. */
void create_warnings(const json_t *reply);

#endif
