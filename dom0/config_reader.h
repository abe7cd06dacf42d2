/* SPDX-License-Identifier: MIT */
/* Shared by dom0/config.c and dom0/config_keys.c. */
#ifndef DOM0_CONFIG_READER_H
#define DOM0_CONFIG_READER_H

#include "dom0/config_syntax.h"

/* The reading of one configuration. */
struct config_reader {
    struct domain_config *cfg;
    struct config_error *err;
    /* Settings that are judged together at the end; NULL when not given. */
    const struct config_setting *cmdline, *memory, *maxmem, *vcpus, *maxvcpus;
};

/* Lets one setting take effect. 0, -EINVAL (told in r->err) or -ENOMEM. */
int config_apply(struct config_reader *r, const struct config_setting *s);

/* Adds a line to the warnings. 0 or -ENOMEM. */
int config_warn(struct domain_config *cfg, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
