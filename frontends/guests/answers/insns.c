/* SPDX-License-Identifier: MIT */
/* Privileged instructions of a kernel in ring 3, one by one. */
#include "frontends/guests/answers/answers.h"
#include "frontends/include/cpu.h"

static uint64_t out; /* what the instruction gave */

#define INSN(id, text, ...)                                                    \
    static void id(void *arg)                                                  \
    {                                                                          \
        uint64_t val = (uint64_t)arg;                                          \
                                                                               \
        __asm__ volatile(text                                                  \
                         : "+a"(val)                                           \
                         :                                                     \
                         : "rbx", "rcx", "rdx", "memory", "cc");               \
        out = val;                                                             \
    }

INSN(read_cr0, "movq %%cr0, %%rax")
INSN(write_cr0, "movq %%rax, %%cr0")
INSN(write_cr2, "movq %%rax, %%cr2")
INSN(read_cr3, "movq %%cr3, %%rax")
INSN(write_cr3, "movq %%rax, %%cr3")
INSN(read_cr4, "movq %%cr4, %%rax")
INSN(write_cr4, "movq %%rax, %%cr4")
INSN(read_cr8, "movq %%cr8, %%rax")
INSN(write_cr8, "movq %%rax, %%cr8")
INSN(read_dr0, "movq %%db0, %%rax")
INSN(write_dr0, "movq %%rax, %%db0")
INSN(read_dr7, "movq %%db7, %%rax")
INSN(clts, "clts")
INSN(cli, "cli")
INSN(sti, "sti")
INSN(hlt, "hlt")
INSN(invd, "invd")
INSN(wbinvd, "wbinvd")
INSN(invlpg, "invlpg (%%rax)")
INSN(lgdt, "lgdt (%%rax)")
INSN(lidt, "lidt (%%rax)")
INSN(sgdt, "sgdt (%%rax)")
INSN(lldt, "lldt %%ax")
INSN(ltr, "ltr %%ax")
INSN(str, "xorl %%eax, %%eax\n\tstr %%eax")
INSN(sldt, "xorl %%eax, %%eax\n\tsldt %%eax")
INSN(lmsw, "lmsw %%ax")
INSN(rdpmc, "xorl %%ecx, %%ecx\n\trdpmc")
INSN(in_80, "inb $0x80, %%al")
INSN(out_80, "outb %%al, $0x80")
INSN(rdtsc, "rdtsc")
INSN(swapgs, "swapgs")
INSN(sysret, "sysretq")
INSN(rsm, "rsm")
INSN(int_80, "int $0x80")
INSN(xsetbv_0, "xorl %%ecx, %%ecx\n\txorl %%edx, %%edx\n\txsetbv")
INSN(xsetbv_1, "movl $1, %%ecx\n\txorl %%edx, %%edx\n\txsetbv")
INSN(rdmsr, "movl %%eax, %%ecx\n\trdmsr\n\tshlq $32, %%rdx\n\torq %%rdx, %%rax")
INSN(wrmsr_0, "movl %%eax, %%ecx\n\txorl %%eax, %%eax\n\txorl %%edx, %%edx\n\t"
              "wrmsr")
INSN(flags, "pushfq\n\tpopq %%rax")
INSN(set_flags, "pushq %%rax\n\tpopfq\n\tpushfq\n\tpopq %%rax")

static void simple(void)
{
    static struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) table;
    static const struct {
        const char *name;
        void (*fn)(void *arg);
        void *arg;
    } list[] = {
        {"clts", clts, NULL},
        {"cli", cli, NULL},
        {"sti", sti, NULL},
        {"invd", invd, NULL},
        {"wbinvd", wbinvd, NULL},
        {"invlpg", invlpg, &table},
        {"lgdt", lgdt, &table},
        {"lidt", lidt, &table},
        {"sgdt", sgdt, &table},
        {"lldt", lldt, NULL},
        {"ltr", ltr, NULL},
        {"str", str, NULL},
        {"sldt", sldt, NULL},
        {"lmsw", lmsw, NULL},
        {"rdpmc", rdpmc, NULL},
        {"in", in_80, NULL},
        {"out", out_80, NULL},
        {"rdtsc", rdtsc, NULL},
        {"swapgs", swapgs, NULL},
        {"sysret", sysret, NULL},
        {"rsm", rsm, NULL},
        {"int 0x80", int_80, NULL},
        {"hlt", hlt, NULL},
        {"write CR2", write_cr2, (void *)0x1000},
        {"read CR8", read_cr8, NULL},
        {"write CR8", write_cr8, NULL},
        {"read DR0", read_dr0, NULL},
        {"write DR0", write_dr0, NULL},
        {"read DR7", read_dr7, NULL},
        {"write CR3 with nonsense", write_cr3, (void *)(1ul << 51)},
        {"write CR0 with 0", write_cr0, NULL},
        {"xsetbv 0 with 0", xsetbv_0, NULL},
        {"xsetbv 0 with x87", xsetbv_0, (void *)1},
        {"xsetbv 1", xsetbv_1, (void *)1},
    };
    size_t i;
    char name[48];

    for (i = 0; i < ARRAY_SIZE(list); i++) {
        snprintf(name, sizeof(name), "insn/%s", list[i].name);
        answer_probe(name, list[i].fn, list[i].arg);
    }
}

static void read(const char *name, void (*fn)(void *arg), uint64_t mask)
{
    out = 0;
    if (probe(fn, NULL).vector < 0)
        printf("insn/%s: %lx\n", name, out & mask);
    else
        answer_probe(name, fn, NULL);
}

static void registers(void)
{
    uint64_t l4 = virt_to_mfn((void *)start_info()->pt_base);

    read("CR0", read_cr0, ~0ul);
    /* Others depend on the CPU. */
    read("CR4, VME PVI TSD DE PSE PAE MCE PGE PCE", read_cr4, 0x19f);
    answer_probe("insn/read CR3", read_cr3, NULL);
    answer_yes(xen_cr3_to_pfn(out) == l4, "insn/CR3 is the L4");
    answer_probe("insn/write CR3 as it is", write_cr3, (void *)out);
    probe(read_cr4, NULL);
    answer_probe("insn/write CR4 as it is", write_cr4, (void *)out);
    answer_probe("insn/write CR4 without PAE", write_cr4,
                 (void *)(out & ~0x20ul));
    probe(read_cr0, NULL);
    answer_probe("insn/write CR0 as it is", write_cr0, (void *)out);
    answer_probe("insn/write CR0 with TS", write_cr0, (void *)(out | 8));
    read("CR0 with TS", read_cr0, 8);
    answer_probe("insn/clts", clts, NULL);
    read("CR0 without TS", read_cr0, 8);
}

static void flag_words(void)
{
    read("flags", flags, 0x3f7200);
    out = 0;
    probe(set_flags, (void *)0x3202);
    printf("insn/flags, IF and IOPL 3 set: %lx\n", out & 0x3200);
    probe(set_flags, (void *)0x2);
    printf("insn/flags, IF not set: %lx\n", out & 0x3200);
    probe(set_flags, (void *)0x202);
}

static void io(void)
{
    struct physdev_set_iopl one = {.iopl = 1}, none = {.iopl = 0};

    PHYSDEV_OP(set_iopl, &one);
    answer_probe("insn/in with IOPL 1", in_80, NULL);
    answer_probe("insn/out with IOPL 1", out_80, NULL);
    answer_probe("insn/cli with IOPL 1", cli, NULL);
    answer_probe("insn/sti with IOPL 1", sti, NULL);
    read("flags with IOPL 1", flags, 0x3200);
    PHYSDEV_OP(set_iopl, &none);
}

static void msr(const char *name, uint32_t nr, bool show)
{
    char buf[48];

    snprintf(buf, sizeof(buf), "insn/rdmsr %s", name);
    out = 0;
    answer_probe(buf, rdmsr, (void *)(uint64_t)nr);
    if (show)
        printf("insn/rdmsr %s: %lx\n", name, out);
}

static void msrs(void)
{
    msr("EFER", 0xc0000080, true);
    msr("STAR", 0xc0000081, false);
    msr("LSTAR", 0xc0000082, false);
    msr("FS_BASE", 0xc0000100, true);
    msr("GS_BASE", 0xc0000101, true);
    msr("KERNEL_GS_BASE", 0xc0000102, true);
    msr("APIC_BASE", 0x1b, false);
    msr("PAT", 0x277, true);
    msr("MTRRcap", 0xfe, false);
    msr("MTRRdefType", 0x2ff, false);
    msr("MCG_CAP", 0x179, false);
    msr("SYSENTER_CS", 0x174, false);
    msr("DEBUGCTL", 0x1d9, true);
    msr("unknown", 0x12345678, false);
    msr("Xen's", 0x40000000, false);
    answer_probe("insn/wrmsr EFER 0", wrmsr_0, (void *)0xc0000080ul);
    answer_probe("insn/wrmsr LSTAR 0", wrmsr_0, (void *)0xc0000082ul);
    answer_probe("insn/wrmsr FS_BASE 0", wrmsr_0, (void *)0xc0000100ul);
    answer_probe("insn/wrmsr GS_BASE 0", wrmsr_0, (void *)0xc0000101ul);
    answer_probe("insn/wrmsr KERNEL_GS_BASE 0", wrmsr_0, (void *)0xc0000102ul);
    answer_probe("insn/wrmsr PAT 0", wrmsr_0, (void *)0x277ul);
    answer_probe("insn/wrmsr APIC_BASE 0", wrmsr_0, (void *)0x1bul);
    answer_probe("insn/wrmsr unknown", wrmsr_0, (void *)0x12345678ul);
    answer_probe("insn/wrmsr Xen's 0", wrmsr_0, (void *)0x40000000ul);
}

/* ud2, "xen": the emulated cpuid. */
static void forced_cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ volatile(".byte 0x0f, 0x0b, 0x78, 0x65, 0x6e\n\tcpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "0"(leaf), "2"(sub));
}

static void cpuids(void)
{
    char text[13] = "";
    uint32_t r[4];

    forced_cpuid(0x40000000, 0, r);
    memcpy(text, &r[1], 12);
    printf("cpuid/40000000: %s to %x\n", text, r[0]);
    forced_cpuid(0x40000001, 0, r);
    printf("cpuid/40000001: %x %x %x %x\n", r[0], r[1], r[2], r[3]);
    forced_cpuid(0x40000002, 0, r);
    printf("cpuid/40000002: pages %u, features %x\n", r[0], r[2]);
    forced_cpuid(0x40000003, 0, r);
    printf("cpuid/40000003: TSC mode %u\n", r[1]);
    forced_cpuid(0x40000003, 2, r);
    printf("cpuid/40000003, 2: %x %x %x\n", r[1], r[2], r[3]);
    forced_cpuid(0x40000004, 0, r);
    printf("cpuid/40000004: features %x, domain %d\n", r[0] & ~0x10, 0);
    forced_cpuid(0x40000006, 0, r);
    printf("cpuid/40000006: %x %x %x %x\n", r[0], r[1], r[2], r[3]);
    forced_cpuid(0x40000100, 0, r);
    printf("cpuid/40000100: %x %x %x %x\n", r[0], r[1], r[2], r[3]);
    forced_cpuid(1, 0, r);
    printf("cpuid/1: hypervisor %u VMX %u X2APIC %u PCID %u\n", r[2] >> 31,
           r[2] >> 5 & 1, r[2] >> 21 & 1, r[2] >> 17 & 1);
    printf("cpuid/1: PSE %u PAE %u MCE %u APIC %u MTRR %u PGE %u PSE36 %u\n",
           r[3] >> 3 & 1, r[3] >> 6 & 1, r[3] >> 7 & 1, r[3] >> 9 & 1,
           r[3] >> 12 & 1, r[3] >> 13 & 1, r[3] >> 17 & 1);
    forced_cpuid(7, 0, r);
    printf("cpuid/7: SMEP %u INVPCID %u SMAP %u UMIP %u PKU %u\n",
           r[1] >> 7 & 1, r[1] >> 10 & 1, r[1] >> 20 & 1, r[2] >> 2 & 1,
           r[2] >> 3 & 1);
    forced_cpuid(0x80000001, 0, r);
    printf("cpuid/80000001: SYSCALL %u NX %u LM %u SVM %u 1GB %u\n",
           r[3] >> 11 & 1, r[3] >> 20 & 1, r[3] >> 29 & 1, r[2] >> 2 & 1,
           r[3] >> 26 & 1);
}

void answers_insns(void)
{
    simple();
    registers();
    flag_words();
    io();
    msrs();
    cpuids();
}
