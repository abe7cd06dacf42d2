/* SPDX-License-Identifier: MIT */
/* What the files of commands share: arguments, answers. */
#ifndef DOM0_COMMANDS_H
#define DOM0_COMMANDS_H

#include "dom0/dom0.h"

const char *arg_str(json_t *args, const char *key);
/* The domain a command names, or NULL with the request answered. */
struct dom *arg_dom(struct dom0 *d0, struct request *req, json_t *args);
/* The same, refused while the domain is being built or ended. */
struct dom *arg_dom_running(struct dom0 *d0, struct request *req, json_t *args);
/* hv's or the store's result for people; answers the request. */
void answer(struct request *req, struct dom *dom, int rc, const char *what);
/* Has fn called again once the store is back, or says that it is not. */
void defer(struct dom0 *d0, struct request *req, json_t *args, control_fn *fn);

/* commands_domain.c, commands_vcpu.c: see the table in commands.c. */
control_fn cmd_dump_core, cmd_sysrq, cmd_mem_set, cmd_mem_max, cmd_rename;
control_fn cmd_vcpu_list, cmd_vcpu_set, cmd_vcpu_pin;

#endif
