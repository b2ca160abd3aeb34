/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Doing harm on demand, to see what it does to others: for a driver in a process of its own, and
 * only when test.conf allows it. */
#include "ops.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FLOOD_MESSAGES 20000
#define LEAKED_THREADS 50

static const char *const names[] = {"",        "segfault", "abort", "exit",  "hang",   "pointer",
                                    "garbage", "flood",    "leak",  "close", "silence"};

TestHarm test_harm_parse(const char *text)
{
    for (guint i = 1; i < G_N_ELEMENTS(names); i++)
        if (strcmp(names[i], text) == 0)
            return (TestHarm)i;
    return TEST_HARM_NONE;
}

static gpointer sleep_for_ever(gpointer unused)
{
    for (;;)
        pause();
    return NULL;
}

/* Every socket of packets this process has: its channel to the daemon is among them. */
static void write_to_channels(guint n, gboolean close_them)
{
    for (int fd = 3; fd < 64; fd++) {
        int type = 0;
        socklen_t size = sizeof type;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET)
            continue;
        for (guint i = 0; i < n; i++) {
            guint32 words[16];

            for (guint j = 0; j < G_N_ELEMENTS(words); j++)
                words[j] = g_random_int();
            if (send(fd, words, sizeof words, MSG_NOSIGNAL) < 0)
                break;
        }
        if (close_them)
            shutdown(fd, SHUT_RDWR);
    }
}

static volatile guintptr nowhere = 64; /* nobody's address, which a compiler must not see through */

static void flood_log(void)
{
    for (guint i = 0; i < FLOOD_MESSAGES; i++)
        test->host->log(test->core, VIREO_LOG_WARNING, "test", "told to flood: line %u", i);
}

void test_harm_do(TestHarm harm, const char *op, void *ret)
{
    switch (harm) {
    case TEST_HARM_SEGFAULT:
        *(volatile int *)nowhere = 1;
        break;
    case TEST_HARM_ABORT:
        abort();
    case TEST_HARM_EXIT:
        _exit(7);
    case TEST_HARM_HANG:
        sleep_for_ever(NULL);
        break;
    case TEST_HARM_POINTER:
        /* The first member of most results is, or leads to, a pointer. */
        if (ret)
            memset(ret, 0x5a, 2 * sizeof(void *));
        break;
    case TEST_HARM_GARBAGE:
        write_to_channels(100, FALSE);
        break;
    case TEST_HARM_FLOOD:
        flood_log();
        break;
    case TEST_HARM_LEAK:
        for (guint i = 0; i < LEAKED_THREADS; i++)
            g_thread_unref(g_thread_new(op, sleep_for_ever, NULL));
        break;
    case TEST_HARM_CLOSE:
        write_to_channels(0, TRUE);
        break;
    default:
        break;
    }
}

static const char *setting(const char *key)
{
    return test->host->config(test->core, "behaviour", key);
}

gboolean test_harm_allowed(void)
{
    const char *allowed = setting("harm");

    return allowed && strcmp(allowed, "yes") == 0;
}

int test_harm_init(void)
{
    const char *how = test_harm_allowed() ? setting("init") : NULL;
    const char *trigger = how ? setting("while") : NULL;

    if (!how)
        return VIREO_OK;
    /* A file that is there for as long as init is to misbehave. */
    if (trigger && access(trigger, F_OK) != 0)
        return VIREO_OK;
    if (strcmp(how, "fail") == 0) {
        test->host->log(test->core, VIREO_LOG_ERROR, "test", "told to fail in init");
        return VIREO_FAIL;
    }
    test_harm_do(test_harm_parse(how), "init", NULL);
    return VIREO_OK;
}
