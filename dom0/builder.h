/* SPDX-License-Identifier: MIT */
/*
 * The PV domain builder: puts a kernel, its ramdisk, start_info, p2m and first
 * page tables into a domain's memory and readies vCPU 0.
 *
 * builder_layout(), builder_write() and builder_context() work on plain
 * memory and know no hypervisor; builder_build() joins them to hv.
 * Source: xen/xen.h "Start-of-day memory layout", xen/elfnote.h.
 */
#ifndef DOM0_BUILDER_H
#define DOM0_BUILDER_H

#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include "dom0/config.h"
#include "dom0/elf.h"
#include "dom0/image.h"
#include "hv/client/kxen.h"

/* What a domain is built from; the caller keeps all of it. */
struct builder_input {
    const struct image *kernel;
    const struct elf_kernel *elf;
    const struct image *ramdisk; /* NULL without one */
    const char *cmdline;
    uint64_t nr_pages;
};

/* A run of pages in pseudo-physical space; vaddr is 0 when not mapped. */
struct builder_range {
    uint64_t pfn;
    uint64_t nr;
    uint64_t vaddr;
};

struct builder_layout {
    uint64_t virt_base, virt_end; /* the main map, VA of pfn 0 and end */
    struct builder_range kernel;
    struct builder_range ramdisk;
    struct builder_range p2m;        /* the list alone */
    struct builder_range p2m_tables; /* nr 0 unless INIT_P2M */
    struct builder_range start_info;
    struct builder_range store;
    struct builder_range console;
    struct builder_range tables; /* the main map's, L4 first */
    struct builder_range stack;
    uint64_t pages_used; /* pfns at and above are free */
};

/* What start_info tells of the hypervisor's side. */
struct builder_ids {
    uint64_t shared_info; /* machine address */
    evtchn_port_t store_port;
    evtchn_port_t console_port;
};

/*
 * Decides where everything goes.  0, or with *err filled: -ENOMEM (does not
 * fit in nr_pages: says how much would do), -EINVAL (the kernel asks for the
 * impossible).
 */
int builder_layout(const struct builder_input *in, struct builder_layout *out,
                   struct image_error *err);

/*
 * Writes a laid out domain into mem, mem_frames frames of zeroed memory
 * indexed by machine frame; p2m[pfn] is each page's machine frame, NULL for
 * the identity.  0, or -EFAULT with *err filled when p2m leads out of mem.
 */
int builder_write(const struct builder_input *in,
                  const struct builder_layout *layout,
                  const struct builder_ids *ids, void *mem, uint64_t mem_frames,
                  const xen_pfn_t *p2m, struct image_error *err);

/* vCPU 0's first state, for XEN_DOMCTL_setvcpucontext. */
struct vcpu_guest_context;
void builder_context(const struct builder_input *in,
                     const struct builder_layout *layout, const xen_pfn_t *p2m,
                     struct vcpu_guest_context *ctx);

/* What the rest of dom0 must know of a domain that was built. */
struct builder_result {
    uint64_t nr_pages;
    xen_pfn_t store_frame; /* machine frames */
    xen_pfn_t console_frame;
    evtchn_port_t store_port;
    evtchn_port_t console_port;
    uint64_t shared_info; /* machine address */
};

/*
 * Sets the ceiling (maxmem) and populates (memory) a domain fresh from
 * kxctrl_domain_create().  gfns, *nr of them and malloc'ed for the caller to
 * free(), are its frames.  0 or -Exxx from hv with *err filled.
 */
int builder_populate(kxctrl *k, uint32_t domid, const struct domain_config *cfg,
                     xen_pfn_t **gfns, uint64_t *nr, struct image_error *err);

/* A kernel and ramdisk, read and unpacked, which takes a while. */
struct builder_images {
    struct image kernel, ramdisk;
    struct elf_kernel elf;
};

void builder_images_free(struct builder_images *images);

/*
 * Builds cfg's kernel into domain domid, fresh from builder_populate(), which
 * gave gfns: loads everything, seeds grants 0 and 1, opens the store and
 * console ports towards domain 0 and sets vCPU 0 online.  The domain stays
 * paused.  extra_cmdline (may be NULL) is appended to the configuration's
 * command line with a space.  images are builder_check()'s, or zeros, then they
 * are read; zeros afterwards.  0, or -Exxx with *err filled; the caller then
 * destroys the domain.
 */
int builder_build(kxctrl *k, uint32_t domid, const struct domain_config *cfg,
                  const xen_pfn_t *gfns, const char *extra_cmdline,
                  struct builder_images *images, struct builder_result *out,
                  struct image_error *err);

/*
 * Whether the kernel and ramdisk can be read and are fit to boot in the
 * memory given, without touching hv: to refuse before a domain is made.  If
 * so, they are left in *images (may be NULL) for builder_build().
 */
int builder_check(const struct domain_config *cfg,
                  struct builder_images *images, struct image_error *err);

#endif
