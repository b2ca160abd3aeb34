/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/shared.h"

#include <vireo/driver.h>

/* The daemon's services, in one thread: what they are to do is done when the test lets time pass. */
typedef void Func(void *opaque);
static struct {
    Func *func;
    void *opaque;
} timer, deferred;
static guint freed;

static const char *fails; /* why things cannot be opened; NULL: they can */

static gboolean on_open(VireoShared *thing, gconstpointer opaque, GError **error)
{
    g_assert_cmpstr(opaque, ==, "how");
    if (fails)
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, fails);
    return !fails;
}

static uint64_t on_timer(struct vireo_core *core, uint32_t milliseconds, Func *func, void *opaque)
{
    g_assert_null(timer.func);
    g_assert_cmpuint(milliseconds, <=, 30);
    timer.func = func;
    timer.opaque = opaque;
    return 1;
}

static void on_unwatch(struct vireo_core *core, uint64_t id)
{
    timer.func = NULL;
}

static void on_defer(struct vireo_core *core, Func *func, void *opaque)
{
    deferred.func = func;
    deferred.opaque = opaque;
}

static void on_free(VireoShared *thing)
{
    freed++;
    g_free(thing);
}

static void time_passes(void)
{
    g_usleep(40 * 1000);
    Func *func = g_steal_pointer(&timer.func);
    if (func)
        func(timer.opaque);
    func = g_steal_pointer(&deferred.func);
    if (func)
        func(deferred.opaque);
}

static VireoShares *shares_new(void)
{
    static const struct vireo_host host = { .timer = on_timer, .unwatch = on_unwatch, .defer = on_defer };
    VireoShareOptions options = { .linger_ms = 30, .open = on_open, .free = on_free };

    freed = 0;
    return vireo_shares_new(&options, &host, NULL);
}

static VireoShared *open_one(VireoShares *shares, const char *key, const char *secret)
{
    VireoShared *thing = vireo_shares_open(shares, key, g_strdup(secret), g_new0(VireoShared, 1), "how", NULL);

    g_assert_true(!thing || thing->ready);
    return thing;
}

/* One for all who mean the same; closed when it was idle for a while, and not before. */
static void test_idle(void)
{
    VireoShares *shares = shares_new();
    VireoShared *one = open_one(shares, "lab", "pw");

    g_assert_true(open_one(shares, "lab", "pw") == one);
    g_assert_cmpuint(freed, ==, 1); /* the one that was not needed */
    vireo_shared_unref(one);
    time_passes();
    g_assert_cmpuint(freed, ==, 1); /* somebody still uses it */
    vireo_shared_unref(one);
    g_assert_true(open_one(shares, "lab", "pw") == one); /* it is kept for the next */
    time_passes();
    g_assert_cmpuint(freed, ==, 2);
    vireo_shared_unref(one);
    time_passes();
    g_assert_cmpuint(freed, ==, 3);
    g_assert_false(open_one(shares, "lab", "pw")->users != 1);
    vireo_shares_free(shares);
    g_assert_cmpuint(freed, ==, 4);
}

/* Who has another password does not get what somebody else has opened. */
static void test_secret(void)
{
    VireoShares *shares = shares_new();
    VireoShared *old = open_one(shares, "lab", "old"), *fresh = open_one(shares, "lab", "new");

    g_assert_true(old != fresh);
    g_assert_true(vireo_shared_has_twin(old));
    g_assert_true(open_one(shares, "lab", "new") == fresh);
    g_assert_cmpuint(freed, ==, 1);
    vireo_shares_free(shares);
    g_assert_cmpuint(freed, ==, 3);
}

static void test_failed(void)
{
    VireoShares *shares = shares_new();
    g_autoptr(GError) error = NULL;

    fails = "nobody at home";
    g_assert_null(vireo_shares_open(shares, "lab", NULL, g_new0(VireoShared, 1), "how", &error));
    g_assert_cmpstr(error->message, ==, fails);
    g_assert_cmpuint(freed, ==, 1);
    fails = NULL;
    g_assert_nonnull(open_one(shares, "lab", NULL)); /* the next may have better luck */
    vireo_shares_free(shares);
    g_assert_cmpuint(freed, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/kit/shared/idle", test_idle);
    g_test_add_func("/kit/shared/secret", test_secret);
    g_test_add_func("/kit/shared/failed", test_failed);
    return g_test_run();
}
