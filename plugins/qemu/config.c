/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

static char *text_key(QemuDriver *driver, const char *group, const char *key, const char *fallback)
{
    const char *value = driver->host->config(driver->core, group, key);

    return g_strdup(value && *value ? value : fallback);
}

static int number_key(QemuDriver *driver, const char *group, const char *key, int fallback)
{
    const char *value = driver->host->config(driver->core, group, key);
    gint64 number;

    if (!value)
        return fallback;
    if (g_ascii_string_to_signed(value, 10, 0, G_MAXINT, &number, NULL))
        return (int)number;
    driver->host->log(driver->core, VIREO_LOG_WARNING, "config",
                      "[%s] %s = %s is not a number; %d is used", group, key, value, fallback);
    return fallback;
}

static gboolean switch_key(QemuDriver *driver, const char *group, const char *key,
                           gboolean fallback)
{
    const char *value = driver->host->config(driver->core, group, key);

    if (!value)
        return fallback;
    if (!g_ascii_strcasecmp(value, "yes") || !g_ascii_strcasecmp(value, "true") ||
        g_str_equal(value, "1"))
        return TRUE;
    if (!g_ascii_strcasecmp(value, "no") || !g_ascii_strcasecmp(value, "false") ||
        g_str_equal(value, "0"))
        return FALSE;
    driver->host->log(driver->core, VIREO_LOG_WARNING, "config",
                      "[%s] %s = %s is neither yes nor no; %s is used", group, key, value,
                      fallback ? "yes" : "no");
    return fallback;
}

/* A user by name or number. */
static gboolean find_user(const char *name, uid_t *uid, gid_t *gid)
{
    struct passwd entry, *found = NULL;
    char buffer[16384];
    gint64 number;

    if (getpwnam_r(name, &entry, buffer, sizeof buffer, &found) == 0 && found) {
        *uid = found->pw_uid;
        *gid = found->pw_gid;
        return TRUE;
    }
    if (!g_ascii_string_to_signed(name, 10, 0, G_MAXUINT32 - 1, &number, NULL))
        return FALSE;
    *uid = (uid_t)number;
    *gid = (gid_t)number;
    return TRUE;
}

static gboolean find_group(const char *name, gid_t *gid)
{
    struct group entry, *found = NULL;
    char buffer[65536];
    gint64 number;

    if (getgrnam_r(name, &entry, buffer, sizeof buffer, &found) == 0 && found) {
        *gid = found->gr_gid;
        return TRUE;
    }
    if (!g_ascii_string_to_signed(name, 10, 0, G_MAXUINT32 - 1, &number, NULL))
        return FALSE;
    *gid = (gid_t)number;
    return TRUE;
}

static void choose_user(QemuDriver *driver)
{
    static const char *const candidates[] = { "vireo-qemu", "libvirt-qemu", NULL };
    QemuConfig *config = &driver->config;

    driver->uid = geteuid();
    driver->gid = getegid();
    if (!driver->privileged)
        return;
    driver->uid = (uid_t)-1;
    if (config->user) {
        if (!find_user(config->user, &driver->uid, &driver->gid))
            driver->no_user = g_strdup_printf(
                "user '%s' of qemu.conf does not exist on this host", config->user);
    } else {
        for (guint i = 0; candidates[i] && driver->uid == (uid_t)-1; i++)
            find_user(candidates[i], &driver->uid, &driver->gid);
        if (driver->uid == (uid_t)-1)
            driver->no_user =
                g_strdup("no unprivileged user for QEMU: create the user 'vireo-qemu' or name one "
                         "with 'user' in qemu.conf ('root' is possible, but not advised)");
    }
    if (driver->uid != (uid_t)-1 && config->group && !find_group(config->group, &driver->gid)) {
        driver->uid = (uid_t)-1;
        driver->no_user = g_strdup_printf("group '%s' of qemu.conf does not exist on this host",
                                          config->group);
    }
}

void qemu_config_load(QemuDriver *driver)
{
    QemuConfig *config = &driver->config;

    config->user = text_key(driver, "process", "user", NULL);
    config->group = text_key(driver, "process", "group", NULL);
    config->sandbox = switch_key(driver, "process", "sandbox", TRUE);
    config->set_ownership = switch_key(driver, "process", "set_ownership", TRUE);
    config->start_timeout_s = number_key(driver, "process", "start_timeout", 60);
    config->emulator_dirs = text_key(driver, "process", "emulator_dirs",
                                     "/usr/bin:/usr/local/bin:/usr/libexec");
    config->firmware_dirs = text_key(driver, "process", "firmware_dirs",
                                     "/etc/qemu/firmware:/usr/share/qemu/firmware");
    config->vnc_listen = text_key(driver, "vnc", "listen", "127.0.0.1");
    config->vnc_port_min = number_key(driver, "vnc", "port_min", 5900);
    config->vnc_port_max = number_key(driver, "vnc", "port_max", 65535);
    config->overlay_dir = text_key(driver, "snapshots", "overlay_dir", NULL);
    config->backup_tls_dir = text_key(driver, "backup", "tls_dir", NULL);
    config->merge_jobs = number_key(driver, "snapshots", "merge_jobs", 0);
    config->chain_limit = number_key(driver, "snapshots", "chain_limit", 200);
    config->delete_looks_at = number_key(driver, "snapshots", "delete_looks_at", 500);
    config->shorten_above = number_key(driver, "snapshots", "shorten_above", 50);
    choose_user(driver);
}

void qemu_config_clear(QemuDriver *driver)
{
    g_free(driver->config.user);
    g_free(driver->config.group);
    g_free(driver->config.emulator_dirs);
    g_free(driver->config.firmware_dirs);
    g_free(driver->config.vnc_listen);
    g_free(driver->config.overlay_dir);
    g_free(driver->config.backup_tls_dir);
    g_free(driver->no_user);
}
