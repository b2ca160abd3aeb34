/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "auth/identity.h"

#include <pwd.h>
#include <unistd.h>

static void test_self(void)
{
    g_autoptr(VireoIdentity) self = vireo_identity_new_unix(getpid(), getuid(), getgid(), FALSE);
    g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
    g_autofree char *uid = g_strdup_printf("%u", (guint)getuid());
    const char *start = vireo_identity_get(self, "process-time");
    uid_t number = 12345;

    g_assert_cmpstr(vireo_identity_get(self, "process-id"), ==, pid);
    g_assert_cmpstr(vireo_identity_get(self, "unix-user-id"), ==, uid);
    g_assert_cmpstr(vireo_identity_get(self, "user-name"), ==, getpwuid(getuid())->pw_name);
    g_assert_nonnull(vireo_identity_get(self, "group-name"));
    g_assert_cmpuint(g_ascii_strtoull(start, NULL, 10), >, 0);
    g_assert_true(vireo_identity_get(self, "process-time") == start);
    g_assert_null(vireo_identity_get(self, "sasl-user-name"));
    g_assert_true(vireo_identity_uid(self, &number));
    g_assert_cmpuint(number, ==, getuid());
    g_assert_false(vireo_identity_is_readonly(self));
}

static void test_unknown(void)
{
    g_autoptr(VireoIdentity) nobody = vireo_identity_new_unix(0, 3999999999u, 3999999999u, TRUE);
    uid_t number;

    g_assert_cmpstr(vireo_identity_get(nobody, "unix-user-id"), ==, "3999999999");
    g_assert_null(vireo_identity_get(nobody, "user-name"));
    g_assert_null(vireo_identity_get(nobody, "user-name"));
    g_assert_null(vireo_identity_get(nobody, "process-id"));
    g_assert_null(vireo_identity_get(nobody, "process-time"));
    g_assert_true(vireo_identity_is_readonly(nobody));
    g_assert_null(vireo_identity_get(NULL, "unix-user-id"));
    g_assert_false(vireo_identity_uid(NULL, &number));
    g_assert_true(vireo_identity_is_readonly(NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/auth/identity/self", test_self);
    g_test_add_func("/auth/identity/unknown", test_unknown);
    return g_test_run();
}
