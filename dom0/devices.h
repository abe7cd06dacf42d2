/* SPDX-License-Identifier: MIT */
/* The store nodes of a domain and its devices, as libxl writes them. */
#ifndef DOM0_DEVICES_H
#define DOM0_DEVICES_H

#include <stdbool.h>
#include <time.h>
#include "dom0/builder.h"
#include "dom0/config.h"
#include "dom0/tstore.h"

/* What /local/domain/0 must hold before any guest is there. */
void plan_dom0(struct plan *plan);

/* /vm/<uuid>, /libxl/<domid> and /local/domain/<domid> but for devices. */
void plan_domain(struct plan *plan, const struct domain_config *cfg,
                 const struct builder_result *built, time_t started);

/* The primary console, known to the guest from start_info. */
void plan_console(struct plan *plan, const struct builder_result *built);

/* One disk, one network interface (devid as the guest sees it). */
void plan_disk(struct plan *plan, const struct disk_spec *disk);
void plan_vif(struct plan *plan, const struct vif_spec *vif, unsigned devid,
              const char *uuid);

#endif
