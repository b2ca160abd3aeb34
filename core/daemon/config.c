/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/config.h"

#include <grp.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"
#include "util/error.h"

#define GROUP        "vireod"
#define DRIVER_GROUP "driver "

/* Sets *(type *)at from the text; what was expected instead when the text is wrong. */
typedef const char *(*Read)(const char *text, gint64 low, gint64 high, gpointer at);

static const char *read_number(const char *text, gint64 low, gint64 high, gpointer at)
{
    gint64 value;

    if (!g_ascii_string_to_signed(text, 10, low, high, &value, NULL))
        return "a number within its limits";
    *(gint *)at = (gint)value;
    return NULL;
}

static const char *read_boolean(const char *text, gint64 low, gint64 high, gpointer at)
{
    gboolean yes = g_str_equal(text, "yes") || g_str_equal(text, "true") || g_str_equal(text, "1");
    gboolean no = g_str_equal(text, "no") || g_str_equal(text, "false") || g_str_equal(text, "0");

    *(gboolean *)at = yes;
    return yes || no ? NULL : "yes or no";
}

static const char *read_mode(const char *text, gint64 low, gint64 high, gpointer at)
{
    char *end;
    guint64 value = g_ascii_strtoull(text, &end, 8);

    if (!*text || *end || value > 0777)
        return "an octal mode such as 0770";
    *(guint *)at = (guint)value;
    return NULL;
}

static const char *read_group(const char *text, gint64 low, gint64 high, gpointer at)
{
    const struct group *group = *text ? getgrnam(text) : NULL;
    gint64 gid;

    if (!*text)
        return NULL;
    if (group)
        gid = group->gr_gid;
    else if (!g_ascii_string_to_signed(text, 10, 0, G_MAXINT, &gid, NULL))
        return "the name of a group that exists";
    *(gint *)at = (gint)gid;
    return NULL;
}

static const char *read_auth(const char *text, gint64 low, gint64 high, gpointer at)
{
    return g_str_equal(text, "none") ? NULL : "none: this version has no other authentication";
}

static const char *read_level(const char *text, gint64 low, gint64 high, gpointer at)
{
    *(int *)at = vireo_log_level_parse(text);
    return *(int *)at ? NULL : "debug, info, warning or error";
}

static const char *read_text(const char *text, gint64 low, gint64 high, gpointer at)
{
    g_free(*(char **)at);
    *(char **)at = *text ? g_strdup(text) : NULL;
    return NULL;
}

static const char *read_isolation(const char *text, gint64 low, gint64 high, gpointer at)
{
    return vireo_settings_read_isolation(text, at) ? NULL : "in-process or process";
}

static const char *read_words(const char *text, gint64 low, gint64 high, gpointer at)
{
    g_strfreev(*(GStrv *)at);
    *(GStrv *)at = g_strsplit_set(text, " ,;", -1);
    return NULL;
}

static const struct {
    const char *key;
    Read read;
    gsize offset;
    gint64 low, high;
} keys[] = {
#define AT(member) offsetof(VireoDaemonConfig, member)
    {"compat_sockets", read_boolean, AT(compat_sockets), 0, 0},
    {"unix_sock_rw_perms", read_mode, AT(rw_mode), 0, 0},
    {"unix_sock_ro_perms", read_mode, AT(ro_mode), 0, 0},
    {"unix_sock_admin_perms", read_mode, AT(admin_mode), 0, 0},
    {"unix_sock_group", read_group, AT(gid), 0, 0},
    {"auth_unix_rw", read_auth, 0, 0, 0},
    {"auth_unix_ro", read_auth, 0, 0, 0},
    {"max_clients", read_number, AT(limits.max_clients), 1, 1000000},
    {"max_anonymous_clients", read_number, AT(limits.max_anonymous_clients), 0, 1000000},
    {"max_client_requests", read_number, AT(limits.max_client_requests), 1, 10000},
    {"keepalive_interval", read_number, AT(limits.keepalive_interval), -1, 86400},
    {"keepalive_count", read_number, AT(limits.keepalive_count), 0, 10000},
    {"min_workers", read_number, AT(min_workers), 0, 10000},
    {"max_workers", read_number, AT(max_workers), 1, 10000},
    {"prio_workers", read_number, AT(priority_workers), 0, 10000},
    {"query_timeout", read_number, AT(query_timeout), 0, 86400},
    {"modify_timeout", read_number, AT(modify_timeout), 0, 86400},
    {"admin_max_clients", read_number, AT(admin_limits.max_clients), 1, 1000000},
    {"admin_max_client_requests", read_number, AT(admin_limits.max_client_requests), 1, 10000},
    {"admin_keepalive_interval", read_number, AT(admin_limits.keepalive_interval), -1, 86400},
    {"admin_keepalive_count", read_number, AT(admin_limits.keepalive_count), 0, 10000},
    {"log_level", read_level, AT(log_level), 0, 0},
    {"log_outputs", read_text, AT(log_outputs), 0, 0},
    {"log_filters", read_text, AT(log_filters), 0, 0},
    {"default_uri", read_text, AT(default_uri), 0, 0},
    {"masked_drivers", read_words, AT(masked_drivers), 0, 0},
    {"default_isolation", read_isolation, AT(isolate_drivers), 0, 0},
#undef AT
};

static gboolean fail(GError **error, const char *path, const char *key, const char *why)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERR_INVALID_ARG, "%s: %s: %s", path, key, why);
    return FALSE;
}

static gboolean set(VireoDaemonConfig *config, const char *path, const char *key, const char *text,
                    GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autofree char *why = NULL;
        const char *expected;

        if (strcmp(key, keys[i].key) != 0)
            continue;
        expected = keys[i].read(text, keys[i].low, keys[i].high, (char *)config + keys[i].offset);
        if (!expected)
            return TRUE;
        why = keys[i].read == read_number
                  ? g_strdup_printf("'%s' is not a number from %" G_GINT64_FORMAT
                                    " to %" G_GINT64_FORMAT,
                                    text, keys[i].low, keys[i].high)
                  : g_strdup_printf("'%s' is not %s", text, expected);
        return fail(error, path, key, why);
    }
    return fail(error, path, key, "there is no such setting");
}

static gboolean read_group_of(VireoDaemonConfig *config, const char *path, GKeyFile *file,
                              const char *group, GError **error)
{
    g_auto(GStrv) names = g_key_file_get_keys(file, group, NULL, NULL);

    for (GStrv name = names; name && *name; name++) {
        g_autofree char *text = g_key_file_get_string(file, group, *name, NULL);

        if (!set(config, path, *name, text ? text : "", error))
            return FALSE;
    }
    return TRUE;
}

static gboolean read_driver(VireoDaemonConfig *config, const char *path, GKeyFile *file, const char *group,
                            GError **error)
{
    const char *driver = group + strlen(DRIVER_GROUP);
    g_auto(GStrv) names = g_key_file_get_keys(file, group, NULL, NULL);

    for (GStrv name = names; name && *name; name++) {
        g_autofree char *text = g_key_file_get_string(file, group, *name, NULL);
        g_autofree char *wrong = vireo_settings_set(config->drivers, driver, *name, text ? text : "");

        if (wrong)
            return fail(error, path, *name, wrong);
    }
    return TRUE;
}

/* Sections of other daemons are read too, for their mistakes. */
static gboolean read_groups(VireoDaemonConfig *config, const char *path, GKeyFile *file,
                            const char *driver, GError **error)
{
    g_autofree char *own = g_strconcat(GROUP " ", driver, NULL);
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

    if (!read_group_of(config, path, file, GROUP, error))
        return FALSE;
    for (GStrv group = groups; *group; group++) {
        g_autoptr(VireoDaemonConfig) other = g_new0(VireoDaemonConfig, 1);

        if (strcmp(*group, GROUP) == 0)
            continue;
        if (g_str_has_prefix(*group, DRIVER_GROUP)) {
            if (!read_driver(config, path, file, *group, error))
                return FALSE;
            continue;
        }
        if (!g_str_has_prefix(*group, GROUP " "))
            return fail(error, path, *group,
                        "there is no such section, only [" GROUP "], [" GROUP " DRIVER] and [driver DRIVER]");
        if (!read_group_of(driver && strcmp(*group, own) == 0 ? config : other, path, file, *group, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean read_file(VireoDaemonConfig *config, const char *path, const char *driver, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) local = NULL;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &local)) {
        if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return TRUE;
        return fail(error, path, "cannot be read", local->message);
    }
    if (!read_groups(config, path, file, driver, error))
        return FALSE;
    if (config->min_workers > config->max_workers)
        return fail(error, path, "min_workers", "more than max_workers");
    if (config->limits.max_anonymous_clients > config->limits.max_clients)
        return fail(error, path, "max_anonymous_clients", "more than max_clients");
    return TRUE;
}

VireoDaemonConfig *vireo_daemon_config_load(const char *path, const char *driver, GError **error)
{
    g_autoptr(VireoDaemonConfig) config = g_new0(VireoDaemonConfig, 1);

    config->compat_sockets = TRUE;
    config->rw_mode = 0700;
    config->ro_mode = 0777;
    config->admin_mode = 0700;
    config->gid = -1;
    config->limits = config->admin_limits = vireo_rpc_default_limits;
    config->min_workers = 5;
    config->max_workers = 20;
    config->priority_workers = 5;
    config->log_level = VIREO_LOG_LEVEL_INFO;
    config->drivers = vireo_settings_new();
    if (!read_file(config, path, driver, error))
        return NULL;
    vireo_settings_set_default(config->drivers, config->isolate_drivers);
    return g_steal_pointer(&config);
}

void vireo_daemon_config_free(VireoDaemonConfig *config)
{
    if (!config)
        return;
    g_free(config->log_outputs);
    g_free(config->log_filters);
    g_free(config->default_uri);
    g_strfreev(config->masked_drivers);
    vireo_settings_unref(config->drivers);
    g_free(config);
}
