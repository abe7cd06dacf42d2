/* SPDX-License-Identifier: MIT */
/*
 * The toolstack's state.  One thread, one event loop; nothing here is locked.
 *
 * A domain's life:
 *
 *   dom_create  BUILDING --(backends ready)--> RUNNING
 *   dom_scan    RUNNING  --(it shut down)----> ENDING or PRESERVED, by on_*
 *   dom_end     any      --------------------> ENDING --(devices gone)--> free
 *
 * Each step is written to the domain's record before it is taken, so that a
 * restarted dom0 (adopt.c) goes on where the last one was killed.
 */
#ifndef DOM0_DOM0_H
#define DOM0_DOM0_H

#include "dom0/xen_ctl.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "backends/backend.h"
#include "dom0/builder.h"
#include "dom0/config.h"
#include "dom0/control.h"
#include "dom0/loop.h"
#include "dom0/tstore.h"
#include "hv/client/kxen.h"

enum dom_state { DOM_BUILDING, DOM_RUNNING, DOM_ENDING, DOM_PRESERVED };

/* A failure in words for the user. */
struct why {
    char text[1536];
    char hint[512];
};

/* A set of requests that wait for the same thing. */
struct waiters {
    struct request **reqs;
    size_t nr;
};

struct dom;
struct dump_job;
typedef void dom_fn(struct dom *dom);

/* Waiting for a domain's backends to reach a state; see devwait.c. */
struct devwait {
    bool active;
    bool closing;      /* for Closed or gone, else for InitWait or beyond */
    struct plan paths; /* backend folders, and the watches on them */
    struct loop_timer timer;
    dom_fn *done;
    uint64_t deadline_ms;
    bool timed_out;
};

struct dom {
    struct dom *next;
    struct dom0 *d0;
    uint32_t domid;
    char uuid[DOMAIN_UUID_CHARS + 1];
    struct domain_config *cfg;
    enum dom_state state;
    uint64_t store_frame, store_port; /* for introducing it again */
    char uart[64]; /* the trapped UART's pty; empty without */
    time_t started;
    bool restart;            /* once ended, build it anew */
    bool start_paused;       /* as create was told */
    bool launched;           /* has been let run; later pauses are the user's */
    bool stopped;            /* its shutdown has been seen and answered */
    bool noted;              /* its end is in d0->ended */
    bool existed;            /* hv made it: destroying it is ours to do */
    struct request *creator; /* of a domain being built; NULL for restarts */
    struct why failed;       /* why a build ends in ENDING */
    struct waiters destroyers;
    struct waiters enders; /* `wait` commands */
    struct devwait wait;

    /* Between the sight of its shutdown and what is done about that. */
    bool unanswered;
    unsigned reason;          /* SHUTDOWN_* */
    struct loop_timer settle; /* for a crashed one's last words */
    char *core;               /* the dump of its crash, if one was made */

    /* A memory dump under way: dump.h. */
    struct dump_job *dump;
    char *dump_partial;     /* its file while it is not whole */
    bool dump_paused;       /* it has paused the domain ... */
    bool dump_keeps_paused; /* ... and somebody else wants that, too */
};

/* A command that came while the store was away. */
struct deferred {
    struct deferred *next;
    struct dom0 *d0;
    struct request *req;
    json_t *args;
    control_fn *fn;
    struct loop_timer timer; /* when it is given up */
};

struct dom0 {
    struct loop *loop;
    kxctrl *hv;
    struct tstore *store;
    struct control *control;
    struct backends *backends;
    struct dom *doms;
    struct deferred *deferred;
    struct dump_job *dumps;
    json_t *ended; /* what became of the last domains; oldest first */
    struct loop_timer scan;
    bool adopted; /* records have been read: the store was there once */
    bool hv_lost;
    int failed; /* why dom0 ends, if not because it was asked to */
    char run_dir[256];
};

/* ---- dom.c: the set of domains, and what is remembered of each ---- */

/* A new domain in BUILDING, in no list yet; takes cfg on success. */
struct dom *dom_new(struct dom0 *d0, struct domain_config *cfg);
void dom_link(struct dom *dom);
/* Unlinks and frees; who still waits is told that dom0 stops. */
void dom_free(struct dom *dom);
struct dom *dom_by_id(struct dom0 *d0, uint32_t domid);
struct dom *dom_by_uuid(struct dom0 *d0, const char *uuid);
/* Not one that is ending: its name is free again. */
struct dom *dom_by_name(struct dom0 *d0, const char *name);
/* By name, uuid or decimal id; one that is ending if there is no other. */
struct dom *dom_find(struct dom0 *d0, const char *key);
/* Writes the domain's record: 0 or -errno. */
int dom_record(struct dom *dom);
/* From a record; NULL with why filled. */
struct dom *dom_from_record(struct dom0 *d0, const json_t *rec,
                            struct why *why);
const char *dom_state_name(enum dom_state state);
void uuid_to_handle(const char *uuid, xen_domain_handle_t handle);
void handle_to_uuid(const xen_domain_handle_t handle,
                    char uuid[DOMAIN_UUID_CHARS + 1]);

int waiters_add(struct waiters *w, struct request *req);
void waiters_free(struct waiters *w);

/* Fills why; hint may be NULL. Returns rc, for `return why_set(...)`. */
int why_set(struct why *why, int rc, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- create.c ---- */

/*
 * Makes a domain of cfg (taken over in every case) and answers req (may be
 * NULL) when it runs or has failed; in that case nothing of it is left.
 */
void dom_create(struct dom0 *d0, struct domain_config *cfg, bool paused,
                struct request *req);
/* Lets a built domain run, unless it was created paused; may be repeated. */
int dom_launch(struct dom *dom);
/*
 * As dom_create() for one that has ended: takes over cfg and enders, who
 * learn of what fails.
 */
void dom_restart(struct dom0 *d0, struct domain_config *cfg,
                 const struct waiters *enders);
/* Makes relative paths absolute: by cwd, else by the config's folder. */
int config_resolve_paths(struct domain_config *cfg, const char *cwd,
                         const char *config_file);

/* ---- check.c ---- */

/*
 * Refuses what cannot work, before anything is made. 0, with the images that it
 * has read for the build, or -Exxx with why.
 */
int create_check(struct dom0 *d0, struct domain_config *cfg,
                 struct builder_images *images, struct why *why);

/* ---- trapped.c ---- */

/*
 * Gives hv the configured trapped devices and appends what the guest must
 * know of them to cmdline (size bytes).  0 or -Exxx with why.
 */
int trapped_add_all(struct dom *dom, char *cmdline, size_t size,
                    struct why *why);
/* Hands the UART's far end to the console code: at creation, after restart. */
int trapped_attach_uart(struct dom *dom);

/* ---- teardown.c ---- */

/*
 * Ends a domain in whatever state: pauses it, closes its devices, destroys it,
 * removes store nodes and record, answers its waiters, then builds it anew if
 * dom->restart.  Bounded in time; does nothing if it is ending already.
 */
void dom_end(struct dom *dom);
/* Has the backends close, and calls done(dom) when they have; bounded. */
void dom_close_devices(struct dom *dom, dom_fn *done);
/* Removes every store node of a domain that no longer exists. */
void store_clean(struct dom0 *d0, uint32_t domid, const char *uuid);

/* ---- devwait.c ---- */

/* Calls done(dom) when the domain's backends are there, or time is up. */
void devwait_start(struct dom *dom, bool closing, uint64_t timeout_ms,
                   dom_fn *done);
/* A watch fired for a path of /local/domain/0/backend/.../<domid>/... */
void devwait_event(struct dom *dom);
void devwait_cancel(struct dom *dom);
/* Appends the backend folders found in the store: path, value "vbd/51712". */
void devwait_find(struct dom *dom, struct plan *paths);

/* ---- lifecycle.c ---- */

/* Looks for domains that have shut down or vanished, and acts. */
void dom_scan(struct dom0 *d0);
/* Goes on with a rename-restart that a killed dom0 had begun. */
void dom_resume_rename(struct dom *dom);
/* Writes control/shutdown; word "poweroff", "reboot", "halt", "suspend". */
int dom_ask_shutdown(struct dom *dom, const char *word);
/* "poweroff", "reboot", "suspend", "crash", "watchdog", "soft-reset". */
const char *shutdown_reason_name(unsigned reason);
/*
 * Why a domain that is down is so, in words: what hv has seen and, of a guest
 * that gave up by itself, what its console said of that.  Empty if it runs.
 */
void dom_story(struct dom *dom, char *buf, size_t size);
/*
 * Remembers how a domain ended (the first time only; story may be empty) and
 * answers those who wait for it.
 */
void dom_note_end(struct dom *dom, const char *reason, const char *story);
/* The remembered end of uuid or name, borrowed, or NULL. */
json_t *ended_find(struct dom0 *d0, const char *key);
void ended_load(struct dom0 *d0);

/* ---- adopt.c ---- */

/* After a start: takes over, finishes or cleans up what records tell of. */
void adopt_all(struct dom0 *d0);

/* The store has been restarted: introduces those it does not know. */
void adopt_reintroduce(struct dom0 *d0);

/* ---- commands.c ---- */

extern const struct control_command dom0_commands[];
/* The store is there (again): runs what waited for it. */
void deferred_run(struct dom0 *d0);
/* Dom0 is stopping: whoever still waits is told so. */
void deferred_drop(struct dom0 *d0);

#endif
