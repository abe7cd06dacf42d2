/* SPDX-License-Identifier: MIT */
/* The domain builder's dealings with hv. */
#define __XEN_TOOLS__ 1 /* for xen/domctl.h */
#include "dom0/builder.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/domctl.h>

#define PAGE_SHIFT 12
#define MIB_PAGES  256

/* One build: everything that has to be undone at its end. */
struct build {
    kxctrl *k;
    uint32_t domid;
    const struct domain_config *cfg;
    struct image_error *err;
    struct builder_images im;
    char *cmdline;
    struct builder_input in;
    struct builder_layout layout;
    struct builder_ids ids;
    const xen_pfn_t *gfns;
    void *mem;
    uint64_t mem_frames;
};

static int fail(struct image_error *err, uint32_t domid, int rc,
                const char *what)
{
    snprintf(err->text, sizeof(err->text), "domain %u: cannot %s: %s%s", domid,
             what, strerror(-rc),
             rc == -ENOMEM ? "; the host is short of memory, lower memory= or "
                             "stop another domain"
                           : "; the log of hv may say more");
    return rc;
}

static int join_cmdline(struct build *b, const char *extra)
{
    const char *own = b->cfg->cmdline;
    bool both = extra && *extra && *own;

    if (asprintf(&b->cmdline, "%s%s%s", own, both ? " " : "",
                 extra ? extra : "") < 0) {
        b->cmdline = NULL;
        return fail(b->err, b->domid, -ENOMEM, "join its command line");
    }
    return 0;
}

static int load_images(struct build *b)
{
    int rc = image_load_kernel(b->cfg->kernel, IMAGE_MAX_BYTES, &b->im.kernel,
                               b->err);

    if (!rc)
        rc = elf_parse(&b->im.kernel, &b->im.elf, b->err);
    if (!rc && b->cfg->ramdisk)
        rc = image_load_raw(b->cfg->ramdisk, IMAGE_MAX_BYTES, &b->im.ramdisk,
                            b->err);
    return rc;
}

/* From the configuration to a layout: all that hv is not needed for. */
static int prepare(struct build *b, const char *extra)
{
    int rc = join_cmdline(b, extra);

    if (!rc && !b->im.kernel.data)
        rc = load_images(b);
    if (rc)
        return rc;
    b->in = (struct builder_input){
        .kernel = &b->im.kernel,
        .elf = &b->im.elf,
        .ramdisk = b->cfg->ramdisk ? &b->im.ramdisk : NULL,
        .cmdline = b->cmdline,
        .nr_pages = b->cfg->memory_mib * MIB_PAGES,
    };
    return builder_layout(&b->in, &b->layout, b->err);
}

static void cleanup(struct build *b)
{
    if (b->mem)
        munmap(b->mem, b->mem_frames << PAGE_SHIFT);
    free(b->cmdline);
    builder_images_free(&b->im);
}

void builder_images_free(struct builder_images *images)
{
    image_free(&images->ramdisk);
    image_free(&images->kernel);
}

int builder_check(const struct domain_config *cfg,
                  struct builder_images *images, struct image_error *err)
{
    struct build b = {.cfg = cfg, .err = err};
    int rc = prepare(&b, NULL);

    if (!rc && images) {
        *images = b.im;
        b.im = (struct builder_images){0};
    }
    cleanup(&b);
    return rc;
}

int builder_populate(kxctrl *k, uint32_t domid, const struct domain_config *cfg,
                     xen_pfn_t **gfns, uint64_t *nr, struct image_error *err)
{
    uint64_t pages = cfg->memory_mib * MIB_PAGES;
    xen_pfn_t *list = calloc(pages, sizeof(*list));
    int rc;

    if (!list)
        return fail(err, domid, -ENOMEM, "list its pages");
    rc = kxctrl_domain_max_mem(k, domid, cfg->maxmem_mib << 10);
    if (rc >= 0)
        rc = kxctrl_domain_populate(k, domid, pages, list);
    if (rc < 0) {
        free(list);
        return fail(err, domid, rc, "give it its memory");
    }
    *gfns = list;
    *nr = pages;
    return 0;
}

static int map_memory(struct build *b)
{
    int fd, rc = kxctrl_domain_memory(b->k, b->domid, &fd, &b->mem_frames);

    if (rc < 0)
        return fail(b->err, b->domid, rc, "get at its memory");
    b->mem = mmap(NULL, b->mem_frames << PAGE_SHIFT, PROT_READ | PROT_WRITE,
                  MAP_SHARED, fd, 0);
    rc = -errno;
    close(fd);
    if (b->mem != MAP_FAILED)
        return 0;
    b->mem = NULL;
    return fail(b->err, b->domid, rc, "map its memory");
}

/* Every vCPU starts with its upcalls masked. */
static int find_shared_info(struct build *b)
{
    struct xen_domctl_getdomaininfo info;
    int rc = kxctrl_domain_getinfo(b->k, b->domid, &info);

    if (rc < 0)
        return fail(b->err, b->domid, rc, "ask for its shared_info");
    if (info.shared_info_frame >= b->mem_frames)
        return fail(b->err, b->domid, -EFAULT, "reach its shared_info");
    shared_info_t *shared =
        (void *)((uint8_t *)b->mem + (info.shared_info_frame << PAGE_SHIFT));

    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        shared->vcpu_info[i].evtchn_upcall_mask = 1;
    b->ids.shared_info = info.shared_info_frame << PAGE_SHIFT;
    return 0;
}

static int open_ports(struct build *b)
{
    int store = kxctrl_evtchn_alloc_unbound(b->k, b->domid, 0);

    if (store < 0)
        return fail(b->err, b->domid, store, "open its store port");
    int console = kxctrl_evtchn_alloc_unbound(b->k, b->domid, 0);

    if (console < 0)
        return fail(b->err, b->domid, console, "open its console port");
    b->ids.store_port = store;
    b->ids.console_port = console;
    return 0;
}

static int seed_grants(struct build *b)
{
    int rc = kxctrl_gnttab_seed(b->k, b->domid, GNTTAB_RESERVED_CONSOLE, 0,
                                b->gfns[b->layout.console.pfn]);

    if (rc >= 0)
        rc = kxctrl_gnttab_seed(b->k, b->domid, GNTTAB_RESERVED_XENSTORE, 0,
                                b->gfns[b->layout.store.pfn]);
    return rc < 0 ? fail(b->err, b->domid, rc, "grant its console and store")
                  : 0;
}

/* After the kernel is written, which may hold something in this page. */
static int init_hypercall_page(struct build *b)
{
    uint64_t pfn =
        (b->im.elf.hypercall_page - b->im.elf.virt_base) >> PAGE_SHIFT;

    if (b->im.elf.hypercall_page == ELF_ADDR_UNSET)
        return 0;
    int rc = kxctrl_domain_hypercall_init(b->k, b->domid, b->gfns[pfn]);

    return rc < 0 ? fail(b->err, b->domid, rc, "write its hypercall page") : 0;
}

static int start_vcpu0(struct build *b)
{
    struct vcpu_guest_context *ctx = malloc(sizeof(*ctx));
    int rc = -ENOMEM;

    if (ctx) {
        builder_context(&b->in, &b->layout, b->gfns, ctx);
        rc = kxctrl_vcpu_setcontext(b->k, b->domid, 0, ctx);
        free(ctx);
    }
    return rc < 0 ? fail(b->err, b->domid, rc, "set its first vCPU") : 0;
}

static int build_in_hv(struct build *b)
{
    int rc = map_memory(b);

    if (!rc)
        rc = find_shared_info(b);
    if (!rc)
        rc = open_ports(b);
    if (!rc)
        rc = builder_write(&b->in, &b->layout, &b->ids, b->mem, b->mem_frames,
                           b->gfns, b->err);
    if (!rc)
        rc = init_hypercall_page(b);
    if (!rc)
        rc = seed_grants(b);
    if (!rc)
        rc = start_vcpu0(b);
    return rc;
}

int builder_build(kxctrl *k, uint32_t domid, const struct domain_config *cfg,
                  const xen_pfn_t *gfns, const char *extra_cmdline,
                  struct builder_images *images, struct builder_result *out,
                  struct image_error *err)
{
    struct build b = {.k = k,
                      .domid = domid,
                      .cfg = cfg,
                      .gfns = gfns,
                      .im = *images,
                      .err = err};
    int rc;

    *images = (struct builder_images){0};
    rc = prepare(&b, extra_cmdline);
    if (!rc)
        rc = build_in_hv(&b);
    if (!rc)
        *out = (struct builder_result){
            .nr_pages = b.in.nr_pages,
            .store_frame = b.gfns[b.layout.store.pfn],
            .console_frame = b.gfns[b.layout.console.pfn],
            .store_port = b.ids.store_port,
            .console_port = b.ids.console_port,
            .shared_info = b.ids.shared_info,
        };
    cleanup(&b);
    return rc;
}
