/* SPDX-License-Identifier: MIT */
/*
 * Asks the hypervisor, right and wrong, and prints every answer as a line
 * `name: answer` that does not depend on the machine: what real Xen says can
 * be held against what another hypervisor says. only=WORD: that family alone.
 */
#include "frontends/guests/answers/answers.h"

static const char *error_name(long rc)
{
    static const struct {
        long rc;
        const char *name;
    } names[] = {
        {-1, "-EPERM"},      {-2, "-ENOENT"},      {-3, "-ESRCH"},
        {-4, "-EINTR"},      {-5, "-EIO"},         {-6, "-ENXIO"},
        {-7, "-E2BIG"},      {-9, "-EBADF"},       {-11, "-EAGAIN"},
        {-12, "-ENOMEM"},    {-13, "-EACCES"},     {-14, "-EFAULT"},
        {-16, "-EBUSY"},     {-17, "-EEXIST"},     {-18, "-EXDEV"},
        {-19, "-ENODEV"},    {-22, "-EINVAL"},     {-28, "-ENOSPC"},
        {-34, "-ERANGE"},    {-38, "-ENOSYS"},     {-61, "-ENODATA"},
        {-62, "-ETIME"},     {-71, "-EPROTO"},     {-75, "-EOVERFLOW"},
        {-85, "-ERESTART"},  {-95, "-EOPNOTSUPP"}, {-105, "-ENOBUFS"},
        {-107, "-ENOTCONN"}, {-110, "-ETIMEDOUT"},
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].rc == rc)
            return names[i].name;
    return NULL;
}

void answer(long rc, const char *name, ...)
{
    const char *error = error_name(rc);
    char buf[96];
    va_list ap;

    va_start(ap, name);
    vsnprintf(buf, sizeof(buf), name, ap);
    va_end(ap);
    if (error)
        printf("%s: %s\n", buf, error);
    else
        printf("%s: %ld\n", buf, rc);
}

void answer_status(int status, const char *name, ...)
{
    static const char *const names[] = {
        "okay",         "general_error",   "bad_domain",
        "bad_gntref",   "bad_handle",      "bad_virt_addr",
        "bad_dev_addr", "no_device_space", "permission_denied",
        "bad_page",     "bad_copy_arg",    "address_too_big",
        "eagain",       "no_space",
    };
    char buf[96];
    va_list ap;

    va_start(ap, name);
    vsnprintf(buf, sizeof(buf), name, ap);
    va_end(ap);
    if (status <= 0 && -status < (int)ARRAY_SIZE(names))
        printf("%s: %s\n", buf, names[-status]);
    else
        printf("%s: %d\n", buf, status);
}

void answer_yes(bool yes, const char *name, ...)
{
    char buf[96];
    va_list ap;

    va_start(ap, name);
    vsnprintf(buf, sizeof(buf), name, ap);
    va_end(ap);
    printf("%s: %s\n", buf, yes ? "yes" : "no");
}

struct frame frame_alloc(void)
{
    struct frame f = {.va = page_alloc(1)};

    if (!f.va)
        panic("answers: no memory");
    f.mfn = virt_to_mfn(f.va);
    return f;
}

long frame_remap(const struct frame *f, uint64_t flags)
{
    return hypervisor_update_va_mapping((unsigned long)f->va,
                                        (f->mfn << PAGE_SHIFT) | flags,
                                        UVMF_INVLPG | UVMF_ALL);
}

static const struct {
    const char *name;
    void (*ask)(void);
} families[] = {
    {"version", answers_version},  {"evtchn", answers_events},
    {"gnttab", answers_grants},    {"gntmap", answers_grant_maps},
    {"memory", answers_memory},    {"pin", answers_pins},
    {"update", answers_updates},   {"context", answers_context},
    {"segment", answers_segments}, {"sched", answers_sched},
    {"vcpu", answers_vcpu},        {"call", answers_calls},
    {"insn", answers_insns},       {"fault", answers_faults},
};

int guest_main(void)
{
    char only[16] = "";
    size_t i;

    cmdline_get(cmdline(), "only", 0, only, sizeof(only));
    probe_init();
    for (i = 0; i < ARRAY_SIZE(families); i++)
        if (!only[0] || strcmp(only, families[i].name) == 0)
            families[i].ask();
    printf("answers: done\n");
    return SHUTDOWN_poweroff;
}
