/* SPDX-License-Identifier: MIT */
/* What `kxbench linux` boots: Debian's kernel, an initramfs, a disk. */
#include "tools/kxbench_linux.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PACKAGE    "linux-image-cloud-amd64"
#define DISK_BYTES (64u << 20)
#define DISK_QUICK (16u << 20)
#define ALIGN      4u

/* In the order in which they need one another. */
static const char *const modules[] = {
    "drivers/virtio/virtio_ring", "drivers/virtio/virtio",
    "drivers/virtio/virtio_mmio", "drivers/block/virtio_blk",
    "drivers/block/xen-blkfront",
};
#define NR_MODULES (sizeof(modules) / sizeof(modules[0]))

/* Beside us as built, where packages are kept with the build, or installed. */
static int find_tools(const struct kxb *b, char *dir, char *cache, size_t size)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char path[4300];

    snprintf(cache, size, "%s/../debian", b->bin_dir);
    snprintf(dir, size, "%s/../lib/bench", b->bin_dir);
    snprintf(path, sizeof(path), "%s/linuxbench", dir);
    if (!access(path, X_OK))
        return 0;
    snprintf(dir, size, "%s/../lib/kxen/bench", b->bin_dir);
    snprintf(path, sizeof(path), "%s/linuxbench", dir);
    if (xdg && *xdg)
        snprintf(cache, size, "%s/kxen", xdg);
    else
        snprintf(cache, size, "%s/.cache/kxen", home && *home ? home : "/tmp");
    if (!access(path, X_OK))
        return 0;
    kxb_say("linux: the program to measure with (linuxbench) is not where it "
            "should be, in %s/../lib; build or install it with make",
            b->bin_dir);
    return -ENOENT;
}

/* The folder of the unpacked kernel. */
static int fetch_kernel(const char *tools, const char *cache, char *folder,
                        size_t size)
{
    char command[9000];
    FILE *p;
    bool got;

    snprintf(command, sizeof(command), "'%s/debian.sh' '%s' " PACKAGE, tools,
             cache);
    p = popen(command, "re");
    got = p && fgets(folder, (int)size, p);
    if (p && pclose(p))
        got = false;
    if (got) {
        folder[strcspn(folder, "\n")] = '\0';
        return 0;
    }
    kxb_say("linux: no kernel to boot: Debian's package " PACKAGE
            " cannot be fetched (above); with a network, try apt-get update");
    return -ENOENT;
}

static int glob_one(const char *folder, const char *pattern, char *path,
                    size_t size)
{
    char full[4400];
    glob_t g;
    int rc = -ENOENT;

    snprintf(full, sizeof(full), "%s/%s", folder, pattern);
    if (!glob(full, 0, NULL, &g) && g.gl_pathc == 1) {
        snprintf(path, size, "%s", g.gl_pathv[0]);
        rc = 0;
    }
    globfree(&g);
    if (rc)
        kxb_say("linux: %s is not there, or more than once; remove the folder "
                "to have it fetched again",
                full);
    return rc;
}

/* ---- the initramfs ---- */

struct archive {
    FILE *f;
    unsigned ino;
};

static void pad(FILE *f, size_t len)
{
    for (; len % ALIGN; len++)
        fputc(0, f);
}

/* One entry of a "newc" archive. */
static void add_entry(struct archive *a, const char *name, mode_t mode,
                      const char *data, size_t len, const unsigned rdev[2])
{
    size_t name_len = strlen(name) + 1;

    fprintf(a->f,
            "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
            a->ino++, (unsigned)mode, 0, 0, 1, 0, len, 0, 0, rdev ? rdev[0] : 0,
            rdev ? rdev[1] : 0, name_len, 0);
    fwrite(name, 1, name_len, a->f);
    pad(a->f, 110 + name_len);
    if (len)
        fwrite(data, 1, len, a->f);
    pad(a->f, len);
}

static int add_file(struct archive *a, const char *name, mode_t mode,
                    const char *from)
{
    FILE *in = fopen(from, "re");
    char *data = NULL, chunk[4096];
    size_t len = 0, n;
    FILE *all = in ? open_memstream(&data, &len) : NULL;
    int rc = in && all ? 0 : -errno;

    while (!rc && (n = fread(chunk, 1, sizeof(chunk), in)))
        fwrite(chunk, 1, n, all);
    if (all && fclose(all))
        rc = -ENOMEM;
    if (!rc)
        add_entry(a, name, mode, data, len, NULL);
    else
        kxb_say("linux: cannot read %s: %s", from, strerror(-rc));
    free(data);
    if (in)
        fclose(in);
    return rc;
}

static int add_modules(struct archive *a, const char *folder)
{
    char pattern[256], path[4500], name[32];
    int rc = 0;

    for (size_t i = 0; i < NR_MODULES && !rc; i++) {
        snprintf(pattern, sizeof(pattern), "lib/modules/*/kernel/%s.ko",
                 modules[i]);
        snprintf(name, sizeof(name), "modules/%zu", i);
        rc = glob_one(folder, pattern, path, sizeof(path));
        if (!rc)
            rc = add_file(a, name, S_IFREG | 0644, path);
    }
    return rc;
}

static int make_initramfs(const struct kxb_linux_files *files,
                          const char *folder)
{
    static const unsigned console[2] = {5, 1};
    struct archive a = {.f = fopen(files->initramfs, "we"), .ino = 1};
    int rc = a.f ? 0 : -errno;

    if (!rc) {
        add_entry(&a, "dev", S_IFDIR | 0755, NULL, 0, NULL);
        add_entry(&a, "dev/console", S_IFCHR | 0600, NULL, 0, console);
        add_entry(&a, "modules", S_IFDIR | 0755, NULL, 0, NULL);
        rc = add_file(&a, "init", S_IFREG | 0755, files->program);
    }
    if (!rc)
        rc = add_modules(&a, folder);
    if (a.f) {
        add_entry(&a, "TRAILER!!!", 0, NULL, 0, NULL);
        if (fclose(a.f))
            rc = -errno;
    }
    if (rc)
        kxb_say("linux: cannot make %s: %s", files->initramfs, strerror(-rc));
    return rc;
}

int kxb_linux_setup(struct kxb *b, struct kxb_linux_files *files)
{
    char tools[4200], cache[4200], folder[4300];
    int rc = find_tools(b, tools, cache, sizeof(tools));

    if (!rc)
        rc = fetch_kernel(tools, cache, folder, sizeof(folder));
    if (!rc)
        rc = glob_one(folder, "boot/vmlinuz-*", files->kernel,
                      sizeof(files->kernel));
    if (rc)
        return rc;
    snprintf(files->program, sizeof(files->program), "%.4180s/linuxbench",
             tools);
    snprintf(files->initramfs, sizeof(files->initramfs), "%s/initramfs",
             b->work_dir);
    rc = make_initramfs(files, folder);
    if (!rc)
        rc = kxb_make_image(b, files->disk, sizeof(files->disk),
                            b->quick ? DISK_QUICK : DISK_BYTES);
    return rc;
}

void kxb_linux_cleanup(const struct kxb_linux_files *files)
{
    if (files->initramfs[0])
        unlink(files->initramfs);
    if (files->disk[0])
        unlink(files->disk);
}
