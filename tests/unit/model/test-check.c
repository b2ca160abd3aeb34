/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Documents against the paths a driver honours. */
#include "fixture.h"

#include <string.h>

#define ORDINARY                                                                                   \
    "domain.type", "domain.name", "domain.memory", "domain.vcpu", "domain.os.type",                \
        "domain.os.type.arch"

static void expect(const char *more, const char *const *honoured, const char *path,
                   const char *line)
{
    g_autofree char *xml = fixture_domain(more);
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoDomain) domain = vireo_domain_parse(xml, 0, &error);
    gboolean fine;

    g_assert_no_error(error);
    fine = vireo_model_check(&vireo_domain_type, domain, honoured, &error);
    if (!path) {
        g_assert_no_error(error);
        g_assert_true(fine);
        return;
    }
    g_assert_false(fine);
    g_assert_error(error, VIREO_ERROR, VIREO_ERROR_CONFIG_UNSUPPORTED);
    if (!strstr(error->message, path) || !strstr(error->message, line))
        g_error("'%s' and '%s' are not both in '%s'", path, line, error->message);
}

static void test_paths(void)
{
    const char *const plain[] = { ORDINARY, NULL };
    const char *const disk[] = { ORDINARY, "domain.devices.disk.target.dev",
                                 "domain.devices.disk.driver.name", NULL };
    const char *const star[] = { ORDINARY, "domain.devices.disk.*", NULL };
    const char *const everything[] = { "domain.*", NULL };
    const char *const nothing[] = { NULL };
    const char *one = "<disk><target dev='vda'/></disk>";
    const char *two = "<disk><target dev='vda'/></disk>\n"
                      "<disk>\n<driver name='qemu'\niothread='1'/><target dev='vdb'/></disk>";

    expect("", plain, NULL, NULL);
    expect("", nothing, "domain.type:", ":1:");
    expect(one, plain, "domain.devices.disk:", FIXTURE_LINE_INSIDE);
    expect(one, disk, NULL, NULL);
    expect(two, disk, "domain.devices.disk.driver.iothread:", ":10:");
    expect(two, star, NULL, NULL);
    expect(two, everything, NULL, NULL);
}

static void test_scalar_elements(void)
{
    const char *const disk[] = { ORDINARY, "domain.devices.disk.target.dev", NULL };
    const char *const more[] = { ORDINARY, "domain.devices.disk.target.dev",
                                 "domain.devices.disk.readonly", "domain.devices.disk.serial",
                                 "domain.devices.disk.alias.name", "domain.os.boot.dev", NULL };

    expect("<disk><target dev='vda'/>\n<readonly/></disk>", disk, "domain.devices.disk.readonly:",
           ":8:");
    expect("<disk><target dev='vda'/>\n\n<serial>a</serial></disk>", disk,
           "domain.devices.disk.serial:", ":9:");
    expect("<disk><target dev='vda'/>\n<alias name='ua-x'/></disk>", disk,
           "domain.devices.disk.alias.name:", ":8:");
    expect("<disk><target dev='vda'/><readonly/><serial>a</serial><alias name='ua-x'/></disk>",
           more, NULL, NULL);
}

static void test_defaults(void)
{
    const char *const plain[] = { ORDINARY, NULL };

    expect("^<on_poweroff>destroy</on_poweroff>", plain, NULL, NULL);
    expect("^<on_poweroff>preserve</on_poweroff>", plain, "domain.on_poweroff:",
           FIXTURE_LINE_BESIDE);
}

static void test_unknown_path(void)
{
    static const char *const wrong[] = {
        "domain.devices.disk.drvier", "disk.target", "domain.name.text", "domain.*.disk",
        "domain.devices.disk.alias", "domain.devices.disk.alias.name.x", "", ".",
    };

    for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
        const char *const paths[] = { "domain.name", wrong[i], NULL };
        g_autoptr(GError) error = NULL;

        g_assert_null(vireo_model_path_set_new(&vireo_domain_type, paths, &error));
        g_assert_error(error, VIREO_ERROR, VIREO_ERROR_INVALID_ARG);
        g_assert_nonnull(strstr(error->message, wrong[i]));
    }
}

/* Every path of the published list is one a driver may name. */
static void test_feature_paths(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoModelPathSet) set =
        vireo_model_path_set_new(&vireo_domain_type, vireo_domain_feature_paths, &error);
    g_autoptr(VireoModelPathSet) snapshots = NULL;

    g_assert_no_error(error);
    g_assert_nonnull(set);
    snapshots = vireo_model_path_set_new(&vireo_domain_snapshot_type,
                                         vireo_domain_snapshot_feature_paths, &error);
    g_assert_no_error(error);
    g_assert_nonnull(snapshots);
    g_assert_true(g_strv_contains(vireo_domain_feature_paths,
                                  "domain.devices.disk.driver.iothread"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/model/check/paths", test_paths);
    g_test_add_func("/model/check/scalar-elements", test_scalar_elements);
    g_test_add_func("/model/check/defaults", test_defaults);
    g_test_add_func("/model/check/unknown-path", test_unknown_path);
    g_test_add_func("/model/check/feature-paths", test_feature_paths);
    return g_test_run();
}
