/* SPDX-License-Identifier: MIT */
#include "tools/kxl/kxl.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)

void kxl_error(const char *hint, const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fputs("kxl: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    if (hint && *hint)
        fprintf(stderr, "     %s\n", hint);
}

void kxl_say(const char *fmt, ...)
{
    va_list ap;

    fputs("kxl: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

int kxl_usage(const struct kxl_command *cmd)
{
    fprintf(stderr, "usage: kxl %s %s\n     kxl help %s tells more\n",
            cmd->name, cmd->args, cmd->name);
    return KXL_ERROR;
}

void kxl_help(const struct kxl_command *cmd)
{
    printf("usage: kxl %s %s\n\n%s.\n\n%s", cmd->name, cmd->args, cmd->brief,
           cmd->help);
}

int kxl_program_path(char *buf, size_t size, const char *name)
{
    static const char *const places[] = {"../libexec/kxen/", ""};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;
    int rc = -ENOENT;

    if (n < 0)
        return -errno;
    self[n] = 0;
    slash = strrchr(self, '/');
    if (!slash)
        return -ENOENT;
    *slash = 0;
    for (size_t i = 0; rc && i < sizeof(places) / sizeof(places[0]); i++) {
        if (snprintf(buf, size, "%s/%s%s", self, places[i], name) >= (int)size)
            return -ENAMETOOLONG;
        rc = access(buf, X_OK) ? -errno : 0;
    }
    return rc;
}

char *kxl_read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "re");
    char *buf;

    if (!f)
        return NULL;
    buf = malloc(FILE_MAX + 1);
    if (buf) {
        *len = fread(buf, 1, FILE_MAX + 1, f);
        if (ferror(f) || *len > FILE_MAX) {
            if (!ferror(f))
                errno = EFBIG;
            free(buf);
            buf = NULL;
        } else {
            buf[*len] = 0;
        }
    }
    fclose(f);
    return buf;
}

static int connect_as(int type, const struct sockaddr_un *sun)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0), rc;

    if (fd < 0)
        return -errno;
    if (!connect(fd, (const struct sockaddr *)sun, sizeof(*sun)))
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

int kxl_connect_unix(const char *path)
{
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(sun.sun_path))
        return -ENAMETOOLONG;
    strcpy(sun.sun_path, path);
    fd = connect_as(SOCK_STREAM, &sun);
    /* hv's socket keeps messages apart. */
    return fd == -EPROTOTYPE ? connect_as(SOCK_SEQPACKET, &sun) : fd;
}

void kxl_print_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}

const char *kxl_str(const json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(obj, key));

    return s ? s : "";
}

long long kxl_int(const json_t *obj, const char *key)
{
    return json_integer_value(json_object_get(obj, key));
}

int kxl_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGQUIT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}
