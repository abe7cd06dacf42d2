/* SPDX-License-Identifier: MIT */
/*
 * A domain's configuration: read from xl.cfg syntax, kept as JSON.
 * Source: xl.cfg(5) of Xen 4.17.
 */
#ifndef DOM0_CONFIG_H
#define DOM0_CONFIG_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include "dom0/disk_spec.h"
#include "dom0/trapped_spec.h"
#include "dom0/vif_spec.h"

/* What to do when a domain stops: the words of on_poweroff= and its kind. */
enum domain_action {
    DOMAIN_ACTION_DESTROY,
    DOMAIN_ACTION_RESTART,
    DOMAIN_ACTION_RENAME_RESTART,
    DOMAIN_ACTION_PRESERVE,
    DOMAIN_ACTION_COREDUMP_DESTROY,
    DOMAIN_ACTION_COREDUMP_RESTART,
};

#define DOMAIN_NAME_MAX   127
#define DOMAIN_VCPUS_MAX  128
#define DOMAIN_UUID_CHARS 36
/* xl's default, and what FIFO event channels can number. */
#define DOMAIN_EVTCHNS     1023
#define DOMAIN_EVTCHNS_MAX 131071
/* What hv gives at most. */
#define DOMAIN_GRANT_FRAMES_MAX    64
#define DOMAIN_MAPTRACK_FRAMES_MAX 4096

/* Owns every string and array; a list's element i is list[i], i < nr. */
struct domain_config {
    char *name;
    char uuid[DOMAIN_UUID_CHARS + 1]; /* made up when not given */
    char *kernel;                     /* never NULL */
    char *ramdisk;                    /* NULL without one */
    char *root, *extra;               /* as given, NULL when not */
    char *cmdline; /* what the guest gets: cmdline=, else root= and extra=;
                      never NULL */
    uint64_t memory_mib;
    uint64_t maxmem_mib; /* >= memory_mib */
    uint32_t vcpus;      /* started at boot */
    uint32_t maxvcpus;   /* >= vcpus */
    char *cpus;          /* host CPUs for all vCPUs, NULL: any; cpu_list.h */
    /* As hv takes them: the highest port; frames, -1 the default, 0 none. */
    uint32_t event_channels;
    int32_t max_grant_frames, max_maptrack_frames;
    struct disk_spec *disks;
    size_t nr_disks;
    struct vif_spec *vifs;
    size_t nr_vifs;
    struct trapped_spec *trapped;
    size_t nr_trapped;
    enum domain_action on_poweroff; /* default destroy */
    enum domain_action on_reboot;   /* default restart */
    enum domain_action on_watchdog; /* default destroy */
    enum domain_action on_crash;    /* default destroy */
    char **warnings;                /* each a full line for the user */
    size_t nr_warnings;
};

struct config_error {
    char file[256];
    unsigned line, column; /* from 1; 0 when no place is at fault */
    /*
     * The whole message: "FILE:LINE:COLUMN: expected X, found Y", the line
     * and a caret under the place.  No newline at the end.
     */
    char text[2048];
};

/*
 * Parses len bytes of text (called `file` in messages), then each of the
 * NULL-terminated overrides ("key=value", may be NULL), which replace what the
 * text said.  An override's value may lack its quotes.  0 and *out for the
 * caller to domain_config_free(), -EINVAL with *err filled, or -ENOMEM.
 */
int domain_config_parse(const char *file, const char *text, size_t len,
                        const char *const *overrides,
                        struct domain_config **out, struct config_error *err);

/* The same for a file by path: also -ENOENT and so on, with *err filled. */
int domain_config_load(const char *path, const char *const *overrides,
                       struct domain_config **out, struct config_error *err);

void domain_config_free(struct domain_config *cfg);

/*
 * The configuration as JSON, a new reference for the caller; NULL when out of
 * memory.  domain_config_from_json() gives back an equal configuration: 0,
 * -EINVAL with *err filled, or -ENOMEM.  Warnings are not kept.
 */
json_t *domain_config_to_json(const struct domain_config *cfg);
int domain_config_from_json(const json_t *json, struct domain_config **out,
                            struct config_error *err);

/*
 * Whether a domain may be called so: 0, or -EINVAL with what was expected and
 * found in message (size bytes).
 */
int domain_name_check(const char *name, char *message, size_t size);

/* An action's word: "destroy", "rename-restart" ... */
const char *domain_action_name(enum domain_action action);
/* The reverse: 0 or -EINVAL. */
int domain_action_parse(const char *word, enum domain_action *action);

#endif
