/* SPDX-License-Identifier: MIT */
/* The network specifications of xl.cfg, as in xl-network-configuration(5). */
#ifndef DOM0_VIF_SPEC_H
#define DOM0_VIF_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "dom0/disk_spec.h"

struct vif_spec {
    uint8_t mac[6];
    bool has_mac; /* else the toolstack makes one up */
    char *bridge; /* each string NULL when not given */
    char *gatewaydev;
    char *vifname;
    char *script;
    char *ip;
    char *backend;
    char *model;         /* kept, of no use to a PV guest */
    uint64_t rate_bytes; /* per interval; 0 is unlimited */
    uint32_t rate_usecs; /* the interval; 0 is unlimited */
    int devid;           /* -1: next free */
    uint16_t mtu;        /* 0: as the bridge */
};

/* As disk_spec_parse(): 0, -EINVAL with *err filled, or -ENOMEM. */
int vif_spec_parse(const char *text, struct vif_spec *vif,
                   struct spec_error *err);
void vif_spec_free(struct vif_spec *vif);

#endif
