/* SPDX-License-Identifier: MIT */
/*
 * What a host process needs of hv beyond Xen's own four libraries.
 *
 * Hypercalls, event channels, grants and foreign memory are called by their
 * upstream names: include <xencall.h>, <xenevtchn.h>, <xengnttab.h>,
 * <xenforeignmemory.h> (package libxen-dev) and link libkxen.a, which speaks
 * hv's privcmd socket in the place of /dev/xen/.  Each handle is a connection
 * of its own and owns what it made: closing it (or dying) unmaps its grants
 * and closes its ports.
 */
#ifndef HV_CLIENT_KXEN_H
#define HV_CLIENT_KXEN_H

#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xenevtchn.h>
#include <xen/grant_table.h>

/*
 * The folder of this host's sockets, logs and records: what kxen_set_run_dir()
 * was given, else $KXEN_RUN_DIR, else $XDG_RUNTIME_DIR/kxen, else /run/kxen.
 */
const char *kxen_run_dir(void);

/* Overrides the run dir for this process; the string is copied. 0 or -errno. */
int kxen_set_run_dir(const char *path);

/*
 * Writes "<run dir>/<leaf>" into buf (size bytes). 0, or -ENAMETOOLONG.
 * Leaves: "hv.sock" (privcmd), "dom0.sock" (control), "xenstored/socket",
 * "hv.log", "dom0.log", "kxenstored.log", "console/<domid>.log",
 * "domains/<domid>.json".
 */
int kxen_path(char *buf, size_t size, const char *leaf);

/*
 * The eventfd that becomes readable when `port`, bound on this handle, is
 * signalled: for poll(), epoll or io_uring on one port alone.  Read it (8
 * bytes) to clear.  Such a port no longer shows up in xenevtchn_pending().
 * Owned by the handle.  fd, or -1 with errno (ENOENT: not a port of xce).
 */
int kxen_port_eventfd(xenevtchn_handle *xce, evtchn_port_t port);

/* A control connection: domctl, sysctl and Kxen's own calls. */
typedef struct kxctrl kxctrl;

/* Connects to hv; NULL with errno when it is not running (ECONNREFUSED). */
kxctrl *kxctrl_open(void);
void kxctrl_close(kxctrl *k);

/*
 * All below return 0 (or a count, where said) or -Exxx from the hypervisor.
 * Source of the structures: xen/domctl.h, xen/sysctl.h.
 */
struct xen_domctl_createdomain;
struct xen_domctl_getdomaininfo;
struct xen_domctl_getvcpuinfo;
struct vcpu_guest_context;

/*
 * XEN_DOMCTL_createdomain.  *domid 0 asks for the next free id.  The domain
 * starts paused (one pause held), with no memory and cfg->max_vcpus vCPUs,
 * all down.  Limits taken from cfg: max_evtchn_port, max_grant_frames.
 */
int kxctrl_domain_create(kxctrl *k, const struct xen_domctl_createdomain *cfg,
                         uint32_t *domid);
int kxctrl_domain_destroy(kxctrl *k, uint32_t domid);
int kxctrl_domain_pause(kxctrl *k, uint32_t domid);
int kxctrl_domain_unpause(kxctrl *k, uint32_t domid);
/* SHUTDOWN_* of xen/sched.h, decided from outside. */
int kxctrl_domain_shutdown(kxctrl *k, uint32_t domid, uint8_t reason);

/*
 * XEN_DOMCTL_max_mem: sets the domain's ceiling.  Must come before any memory
 * is populated, since it sizes the domain's memfd; later calls may lower it and
 * raise it up to that (-ENOMEM beyond).
 */
int kxctrl_domain_max_mem(kxctrl *k, uint32_t domid, uint64_t kib);

/*
 * XENMEM_populate_physmap of nr_frames 4 KiB frames. They are handed out in
 * ascending order; gfns (may be NULL) receives them.  A guest frame number is
 * the page's place in the domain's memfd; the first call on a new domain
 * yields 0..nr_frames-1 unless that crosses a reserved hole.
 */
int kxctrl_domain_populate(kxctrl *k, uint32_t domid, uint64_t nr_frames,
                           xen_pfn_t *gfns);

/* XEN_DOMCTL_hypercall_init: writes the hypercall page into frame gfn. */
int kxctrl_domain_hypercall_init(kxctrl *k, uint32_t domid, uint64_t gfn);

/*
 * XEN_DOMCTL_setvcpucontext / getvcpucontext (64-bit PV layout).  ctrlreg[3]
 * is xen_pfn_to_cr3(mfn of L4).  With VGCF_online the vCPU comes up.
 */
int kxctrl_vcpu_setcontext(kxctrl *k, uint32_t domid, uint32_t vcpu,
                           const struct vcpu_guest_context *ctx);
int kxctrl_vcpu_getcontext(kxctrl *k, uint32_t domid, uint32_t vcpu,
                           struct vcpu_guest_context *ctx);
int kxctrl_vcpu_getinfo(kxctrl *k, uint32_t domid, uint32_t vcpu,
                        struct xen_domctl_getvcpuinfo *info);

/*
 * XEN_DOMCTL_setvcpuaffinity, hard: the host CPUs (bit n of map[n / 8]) that
 * the vCPU's thread may run on; -EINVAL if hv can use none of them.  Both fill
 * map, size bytes, with what holds then.
 */
int kxctrl_vcpu_setaffinity(kxctrl *k, uint32_t domid, uint32_t vcpu,
                            uint8_t *map, size_t size);
int kxctrl_vcpu_getaffinity(kxctrl *k, uint32_t domid, uint32_t vcpu,
                            uint8_t *map, size_t size);

/*
 * XEN_SYSCTL_getdomaininfolist from first_domid up; fills at most max, and
 * returns how many (domain 0 is among them).
 */
int kxctrl_domain_getinfolist(kxctrl *k, uint32_t first_domid, uint32_t max,
                              struct xen_domctl_getdomaininfo *info);
/* One domain, or -ESRCH. */
int kxctrl_domain_getinfo(kxctrl *k, uint32_t domid,
                          struct xen_domctl_getdomaininfo *info);

/*
 * EVTCHNOP_alloc_unbound in `domid` for `remote`: the port number (>= 0).
 * What the builder does for start_info's console and store ports.
 */
int kxctrl_evtchn_alloc_unbound(kxctrl *k, uint32_t domid, uint32_t remote);

/*
 * Seeds grant entry `ref` of domid's (v1) table: a permit_access for domain
 * `to` on frame gfn, as libxenguest does for refs 0 (console) and 1 (store).
 */
int kxctrl_gnttab_seed(kxctrl *k, uint32_t domid, grant_ref_t ref, uint32_t to,
                       uint64_t gfn);

/*
 * XEN_SYSCTL_readconsole: hv's message ring (what `kxl dmesg` shows).
 * Returns the number of bytes put in buf, oldest first.
 */
int kxctrl_readconsole(kxctrl *k, char *buf, uint32_t size, int clear);

/*
 * Why a domain is down, in words: "d3v0: triple fault at rip ffff...".
 * Empty string while it has no such story.
 */
int kxctrl_crash_reason(kxctrl *k, uint32_t domid, char *buf, size_t size);

/* The host: cores, memory, as XEN_SYSCTL_physinfo gives. */
struct xen_sysctl_physinfo;
int kxctrl_physinfo(kxctrl *k, struct xen_sysctl_physinfo *info);

/*
 * The whole memory of a domain as a descriptor: *fd is a duplicate the caller
 * owns, frame gfn lies at gfn << 12, *nr_frames counts guest frames and hv's
 * own behind them.  For a backend that serves a whole domain.
 */
int kxctrl_domain_memory(kxctrl *k, uint32_t domid, int *fd,
                         uint64_t *nr_frames);

/*
 * A memory region that outlives its user: hv keeps it until the domain dies,
 * named by (domid, key), key at most 63 bytes, for example "vbd/51712".  The
 * first call makes it, zero filled, `size` bytes; later ones give the same
 * memory, whatever process asks.  *fd is the caller's.  -EINVAL: it exists
 * with another size.  kxctrl_inflight_drop() forgets it.
 */
int kxctrl_inflight_get(kxctrl *k, uint32_t domid, const char *key, size_t size,
                        int *fd);
int kxctrl_inflight_drop(kxctrl *k, uint32_t domid, const char *key);

/* Why a domain's vCPUs came out to hv, summed over them, since it started. */
struct kxen_exit_stats {
    uint64_t hypercall; /* doorbell exits: hypercalls */
    uint64_t trap;      /* exceptions */
    uint64_t pio;       /* other port I/O: trapped devices */
    uint64_t mmio;
    uint64_t signal; /* brought out by an event or a timer */
    uint64_t other;
    uint64_t upcalls; /* event upcalls delivered */
};
int kxctrl_exit_stats(kxctrl *k, uint32_t domid, struct kxen_exit_stats *s);

/*
 * The same and more, by name: what hv, the monitor and KVM have counted, as
 * JSON text {"hv": {name: count, ...}, "monitor": {...}, "kvm": {...}}; *text
 * is for the caller to free.
 */
int kxctrl_counters(kxctrl *k, uint32_t domid, char **text);

/*
 * From now on the domain's hypercalls are written to fd (the write end of
 * a pipe), a line each: "TIME dNvM NAME(ARGS) = RESULT <NS ns>".  Ends when the
 * reader closes its end.  -EBUSY: it has a reader already.
 */
int kxctrl_trace(kxctrl *k, uint32_t domid, int fd);

/* Trapped devices, made before the domain first runs. */
enum kxen_trapped_kind {
    KXEN_TRAPPED_UART = 1,   /* 16550A at I/O port base (0x3f8) */
    KXEN_TRAPPED_ATA = 2,    /* PIO task file at base (0x1f0), base + 0x206 */
    KXEN_TRAPPED_VIRTIO = 3, /* virtio-mmio block; base is chosen by hv */
};
#define KXEN_TRAPPED_RDONLY    1u /* disks: writes fail */
#define KXEN_TRAPPED_IOEVENTFD 2u /* virtio: doorbell by ioeventfd + worker */

struct kxen_trapped {
    uint32_t kind;  /* IN: enum kxen_trapped_kind */
    uint32_t flags; /* IN: KXEN_TRAPPED_* */
    uint64_t base;  /* IN, OUT for virtio: port or machine address */
    uint32_t pirq;  /* IN: physical IRQ the guest binds, 0..15 or above */
    uint32_t pad;
};

/*
 * Adds a trapped device.  fd is the image, opened by the caller (and locked
 * by it with flock), or for the UART a stream socket or pty: hv keeps its own
 * duplicate.
 */
int kxctrl_trapped_add(kxctrl *k, uint32_t domid, struct kxen_trapped *dev,
                       int fd);

#endif
