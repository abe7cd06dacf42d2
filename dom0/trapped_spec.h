/* SPDX-License-Identifier: MIT */
/*
 * Kxen's one extension to xl.cfg, the devices reached by trapped I/O:
 * trapped = [ "uart", "ata,target=/img[,ro]",
 *             "virtio,target=/img[,ro][,ioeventfd]" ]
 */
#ifndef DOM0_TRAPPED_SPEC_H
#define DOM0_TRAPPED_SPEC_H

#include <stdbool.h>
#include "dom0/disk_spec.h"

enum trapped_kind { TRAPPED_UART, TRAPPED_ATA, TRAPPED_VIRTIO };

struct trapped_spec {
    enum trapped_kind kind;
    char *target; /* image path; NULL for the UART */
    bool readonly;
    bool ioeventfd; /* virtio only */
};

/* As disk_spec_parse(): 0, -EINVAL with *err filled, or -ENOMEM. */
int trapped_spec_parse(const char *text, struct trapped_spec *dev,
                       struct spec_error *err);
void trapped_spec_free(struct trapped_spec *dev);

/* "uart", "ata" or "virtio". */
const char *trapped_kind_name(enum trapped_kind kind);

#endif
