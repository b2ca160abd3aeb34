/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The child's side of a check: findings go up a pipe, and where each thread is stands in memory that the
 * parent shares. */
#include "tools/check/child.h"

#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static CheckShared *shared;
static int report = -1;
static char directory[4096];
static __thread int slot = -1;
static __thread int depth;

gint64 check_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (gint64)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void say_of(char kind, const char *before, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    g_autofree char *line = NULL;

    line = g_strdup_printf("%c%s%s\n", kind, before, g_strdelimit(text, "\n\r", ' '));
    if (write(report, line, strlen(line)) < 0)
        _exit(125); /* nobody listens */
}

static void say(char kind, const char *format, va_list args)
{
    say_of(kind, "", format, args);
}

void check_fail_of(const char *check, const char *format, ...)
{
    g_autofree char *before = g_strconcat(check, " ", NULL);
    va_list args;

    va_start(args, format);
    say_of(CHECK_SAYS_FAIL_OF, before, format, args);
    va_end(args);
}

void check_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(CHECK_SAYS_FAIL, format, args);
    va_end(args);
}

void check_skip(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(CHECK_SAYS_SKIP, format, args);
    va_end(args);
}

void check_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(CHECK_SAYS_NOTE, format, args);
    va_end(args);
}

void check_enter(const char *what)
{
    if (depth++)
        return;
    if (slot < 0)
        slot = __atomic_fetch_add(&shared->n_slots, 1, __ATOMIC_SEQ_CST) % CHECK_SLOTS;
    g_strlcpy(shared->slots[slot].what, what, sizeof shared->slots[slot].what);
    __atomic_store_n(&shared->slots[slot].since, check_now(), __ATOMIC_SEQ_CST);
    __atomic_store_n(&shared->last, slot, __ATOMIC_SEQ_CST);
}

void check_leave(void)
{
    if (--depth == 0)
        __atomic_store_n(&shared->slots[slot].since, 0, __ATOMIC_SEQ_CST);
}

guint check_first_step(void)
{
    return shared->first_step;
}

void check_step(guint step)
{
    shared->step = step;
}

const char *check_dir(void)
{
    return directory;
}

/* Nothing here but plain stores: it runs in a signal handler. */
static void blame(void)
{
    if (shared->culprit >= 0)
        return;
    shared->culprit = slot >= 0 && depth ? slot : CHECK_NOBODY;
}

/* The way there is for --verbose. */
static void on_signal(int number)
{
    void *frames[40];

    blame();
    backtrace_symbols_fd(frames, backtrace(frames, G_N_ELEMENTS(frames)), 2);
}

void check_child_begin(CheckShared *memory, int fd, const char *dir, gboolean catch_signals)
{
    const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS };
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK) };
    static char stack[65536];
    const stack_t alternative = { .ss_sp = stack, .ss_size = sizeof stack };

    shared = memory;
    shared->culprit = -1;
    shared->last = CHECK_NOBODY;
    report = fd;
    g_strlcpy(directory, dir, sizeof directory);
    atexit(blame);
    if (!catch_signals)
        return;
    backtrace((void *[1]){ NULL }, 1); /* loads what it needs, which a signal handler may not */
    sigaltstack(&alternative, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(fatal); i++)
        sigaction(fatal[i], &action, NULL);
}

void check_child_end(void)
{
    const char done[] = { CHECK_SAYS_DONE, '\n' };

    if (write(report, done, sizeof done) < 0)
        _exit(125);
    _exit(0);
}

void check_child_abandon(void)
{
    check_child_end();
}

char *check_child_place(void)
{
    const char *in = check_where(shared);

    return in ? g_strdup_printf(" in %s", in) : g_strdup(", in no operation");
}

const char *check_where(const CheckShared *memory)
{
    int at = memory->culprit >= 0 ? memory->culprit : memory->last;

    if (at < 0 || at >= CHECK_SLOTS)
        return NULL;
    return memory->culprit >= 0 || memory->slots[at].since ? memory->slots[at].what : NULL;
}
