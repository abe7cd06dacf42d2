/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into Debian's own C xenstored, lets it serve its socket on a
 * machine without Xen, so that kxbench can compare.  It stands in for the few
 * calls that daemon makes into Xen's libraries: domain 0 is there, its ring
 * stays empty, no event ever comes and no other domain exists.  What the
 * daemon does for a local client is untouched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define PAGE 4096

/* A descriptor with these contents; -1 and errno. */
static int file_of(const char *text, size_t size)
{
    int fd = memfd_create("xenstored-alone", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, size) ||
        pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text))
        return -1;
    return fd;
}

/* Domain 0's port and ring, which Linux shows as files on Xen. */
static int open_any(const char *path, int flags, mode_t mode)
{
    if (strstr(path, "/xsd_port"))
        return file_of("1", 1);
    if (strstr(path, "/xsd_kva"))
        return file_of("", PAGE);
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return open_any(path, flags, mode);
}

xc_interface *xc_interface_open(xentoollog_logger *logger,
                                xentoollog_logger *dombuild_logger,
                                unsigned open_flags)
{
    static char handle;

    (void)logger;
    (void)dombuild_logger;
    (void)open_flags;
    return (xc_interface *)&handle;
}

int xc_interface_close(xc_interface *xch)
{
    (void)xch;
    return 0;
}

int xc_domain_getinfo(xc_interface *xch, uint32_t first_domid,
                      unsigned int max_doms, xc_dominfo_t *info)
{
    (void)xch;
    if (first_domid || !max_doms)
        return 0;
    memset(info, 0, sizeof(*info));
    return 1;
}

/* The handle is the descriptor, one up. */
xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned int flags)
{
    (void)logger;
    (void)flags;
    return (xenevtchn_handle *)(intptr_t)(eventfd(0, EFD_CLOEXEC) + 1);
}

xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
                                   unsigned open_flags)
{
    (void)logger;
    (void)open_flags;
    return (xenevtchn_handle *)(intptr_t)(fd + 1);
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
    return (int)(intptr_t)xce - 1;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce,
                                                     uint32_t domid,
                                                     evtchn_port_t remote_port)
{
    (void)xce;
    (void)domid;
    return remote_port;
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce,
                                              unsigned int virq)
{
    (void)xce;
    (void)virq;
    return 2;
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    (void)port;
    return 0;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
    (void)xce;
    errno = EAGAIN;
    return -1;
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
    (void)xce;
    (void)port;
    return 0;
}

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger,
                                 unsigned open_flags)
{
    static char handle;

    (void)logger;
    (void)open_flags;
    return (xengnttab_handle *)&handle;
}

int xengnttab_close(xengnttab_handle *xgt)
{
    (void)xgt;
    return 0;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
    (void)xgt;
    (void)nr_grants;
    return 0;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid,
                              uint32_t ref, int prot)
{
    (void)xgt;
    (void)domid;
    (void)ref;
    (void)prot;
    errno = ESRCH;
    return NULL;
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
    (void)xgt;
    (void)start_address;
    (void)count;
    return 0;
}
