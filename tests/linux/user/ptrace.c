/* SPDX-License-Identifier: MIT */
/*
 * Run in a PV Linux: what a debugger does to another process: stops at system
 * calls, single steps, breakpoints in code.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "tap.h"

/* The traced code: ten instructions of one byte, then a store, then exit. */
extern char code_start[], code_store[], code_end[];
static volatile long watched;

asm(".pushsection .text\n"
    "code_start:\n"
    "    nop; nop; nop; nop; nop; nop; nop; nop; nop; nop\n"
    "    movq $77, watched(%rip)\n"
    "code_store:\n"
    "    pushf\n"
    "    pop %rax\n"
    "    mov $39, %eax\n"
    "    syscall\n"
    "    nop\n"
    "    mov $60, %eax\n"
    "    xor %edi, %edi\n"
    "code_end:\n"
    "    syscall\n"
    ".popsection\n");

static pid_t child;
static int status;

/* A child that stands at code_start, traced. */
static bool start(void)
{
    struct user_regs_struct r;

    watched = 0;
    child = fork();
    if (!child) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        _exit(1);
    }
    waitpid(child, &status, 0);
    ptrace(PTRACE_GETREGS, child, 0, &r);
    r.rip = (uintptr_t)code_start;
    r.orig_rax = -1ul;
    ptrace(PTRACE_SETREGS, child, 0, &r);
    return WIFSTOPPED(status);
}

static uintptr_t go(int request)
{
    struct user_regs_struct r = {0};

    ptrace(request, child, 0, 0);
    waitpid(child, &status, 0);
    if (!WIFSTOPPED(status))
        return 0;
    ptrace(PTRACE_GETREGS, child, 0, &r);
    return r.rip;
}

static bool stopped(int sig)
{
    return WIFSTOPPED(status) && WSTOPSIG(status) == sig;
}

static bool ends(void)
{
    while (WIFSTOPPED(status))
        go(PTRACE_CONT);
    return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void steps(void)
{
    uintptr_t at = 0;
    int i, right = 0;
    long value;

    start();
    for (i = 0; i < 10; i++) {
        at = go(PTRACE_SINGLESTEP);
        right += stopped(SIGTRAP) && at == (uintptr_t)code_start + i + 1;
    }
    ok(right == 10, "ten steps over ten instructions (%d right)", right);
    at = go(PTRACE_SINGLESTEP);
    value = ptrace(PTRACE_PEEKDATA, child, &watched, 0);
    ok(at == (uintptr_t)code_store && value == 77, "a step over a store");
    for (i = 0; i < 4; i++)
        at = go(PTRACE_SINGLESTEP);
    ok(at == (uintptr_t)code_end - 8,
       "steps over pushf, pop and a system call (at %ld of the code)",
       (long)(at - (uintptr_t)code_start));
    ok(ends(), "then it runs on to its end");
}

static void breakpoint(void)
{
    uintptr_t at = (uintptr_t)code_start + 5;
    long word, hit;
    struct user_regs_struct r;

    start();
    word = ptrace(PTRACE_PEEKTEXT, child, at, 0);
    ptrace(PTRACE_POKETEXT, child, at, (word & ~0xffl) | 0xcc);
    hit = (long)go(PTRACE_CONT);
    ok(stopped(SIGTRAP) && hit == (long)at + 1, "a breakpoint in the code");
    ptrace(PTRACE_POKETEXT, child, at, word);
    ptrace(PTRACE_GETREGS, child, 0, &r);
    r.rip = at;
    ptrace(PTRACE_SETREGS, child, 0, &r);
    ok(ends(), "taken away, it runs on to its end");
}

static void system_calls(void)
{
    struct user_regs_struct r;
    int calls = 0;

    start();
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD);
    for (int i = 0; i < 3; i++) {
        go(PTRACE_SYSCALL);
        ptrace(PTRACE_GETREGS, child, 0, &r);
        calls += stopped(SIGTRAP | 0x80) &&
                 (i == 2 ? r.orig_rax == SYS_exit
                         : r.orig_rax == SYS_getpid &&
                               (!i || r.rax == (unsigned long)child));
    }
    ok(calls == 3, "a system call is seen before and after (%d of 3)", calls);
    ok(ends(), "then it runs on to its end");
}

/* A process that steps itself: EFLAGS.TF set by popf. */
static volatile int own_steps;

static void on_trap(int sig)
{
    (void)sig;
    own_steps++;
}

static void by_itself(void)
{
    signal(SIGTRAP, on_trap);
    asm volatile("pushf; orl $0x100, (%%rsp); popf\n\t"
                 "nop; nop; nop\n\t"
                 "pushf; andl $~0x100, (%%rsp); popf" ::
                     : "memory", "cc");
    ok(own_steps == 6,
       "a process that sets TF traps after each instruction "
       "(%d of 6)",
       own_steps);
}

int main(void)
{
    steps();
    breakpoint();
    system_calls();
    by_itself();
    return tap_done();
}
