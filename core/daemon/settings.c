/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/settings.h"

#include <pwd.h>
#include <string.h>

#include "far/confine.h"

#define DENIED        "clock,kexec,modules,reboot,swap"
#define INIT_SECONDS  30
#define ALIVE_SECONDS 30

typedef struct {
    VireoDriverSettings set;
    gboolean isolation_set;
} Section;

struct VireoSettings {
    gint refs;
    GMutex lock;
    gboolean process; /* where a section does not say */
    GHashTable *sections;
};

static void section_free(gpointer data)
{
    Section *section = data;

    g_free(section->set.user);
    g_free(section->set.deny);
    g_free(section);
}

VireoSettings *vireo_settings_new(void)
{
    VireoSettings *settings = g_new0(VireoSettings, 1);

    settings->refs = 1;
    g_mutex_init(&settings->lock);
    settings->sections = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, section_free);
    return settings;
}

VireoSettings *vireo_settings_ref(VireoSettings *settings)
{
    g_atomic_int_inc(&settings->refs);
    return settings;
}

void vireo_settings_unref(VireoSettings *settings)
{
    if (!settings || !g_atomic_int_dec_and_test(&settings->refs))
        return;
    g_hash_table_unref(settings->sections);
    g_mutex_clear(&settings->lock);
    g_free(settings);
}

static Section *section_of(VireoSettings *settings, const char *driver)
{
    Section *section = g_hash_table_lookup(settings->sections, driver);

    if (section)
        return section;
    section = g_new0(Section, 1);
    section->set.no_new_privs = TRUE;
    section->set.deny = g_strdup(DENIED);
    section->set.init_timeout = INIT_SECONDS;
    section->set.alive_timeout = ALIVE_SECONDS;
    g_hash_table_insert(settings->sections, g_strdup(driver), section);
    return section;
}

gboolean vireo_settings_read_isolation(const char *text, gboolean *process)
{
    *process = strcmp(text, "process") == 0;
    return *process || strcmp(text, "in-process") == 0;
}

void vireo_settings_set_default(VireoSettings *settings, gboolean process)
{
    settings->process = process;
}

/* ---- keys ---- */

static char *set_isolation(Section *section, const char *text)
{
    section->isolation_set = TRUE;
    return vireo_settings_read_isolation(text, &section->set.process)
               ? NULL
               : g_strdup_printf("'%s' is not in-process or process", text);
}

static char *set_user(Section *section, const char *text)
{
    g_free(section->set.user);
    section->set.user = *text ? g_strdup(text) : NULL;
    return !*text || getpwnam(text)
               ? NULL
               : g_strdup_printf("'%s' is not the name of a user that exists", text);
}

static char *set_memory(Section *section, const char *text)
{
    guint64 mib;

    if (!g_ascii_string_to_unsigned(text, 10, 0, 1 << 24, &mib, NULL) || (mib && mib < 16))
        return g_strdup_printf("'%s' is not a number of MiB from 16 up, or 0", text);
    section->set.memory_max = (guint)mib;
    return NULL;
}

static char *set_no_new_privs(Section *section, const char *text)
{
    section->set.no_new_privs = strcmp(text, "yes") == 0;
    return section->set.no_new_privs || strcmp(text, "no") == 0
               ? NULL
               : g_strdup_printf("'%s' is not yes or no", text);
}

static char *set_deny(Section *section, const char *text)
{
    g_auto(GStrv) words = g_strsplit_set(text, " ,;", -1);
    g_autoptr(GString) joined = g_string_new(NULL);

    for (GStrv word = words; *word; word++) {
        if (**word && !vireo_confine_is_group(*word)) {
            g_autofree char *groups = vireo_confine_groups();

            return g_strdup_printf("'%s' is none of %s", *word, groups);
        }
        if (**word)
            g_string_append_printf(joined, "%s%s", joined->len ? "," : "", *word);
    }
    g_free(section->set.deny);
    section->set.deny = g_string_free(g_steal_pointer(&joined), FALSE);
    return NULL;
}

static char *set_init_timeout(Section *section, const char *text)
{
    guint64 seconds;

    if (!g_ascii_string_to_unsigned(text, 10, 1, 86400, &seconds, NULL))
        return g_strdup_printf("'%s' is not a number of seconds from 1 up", text);
    section->set.init_timeout = (guint)seconds;
    return NULL;
}

static char *set_alive_timeout(Section *section, const char *text)
{
    guint64 seconds;

    if (!g_ascii_string_to_unsigned(text, 10, 0, 86400, &seconds, NULL))
        return g_strdup_printf("'%s' is not a number of seconds, or 0", text);
    section->set.alive_timeout = (guint)seconds;
    return NULL;
}

static const struct {
    const char *key;
    char *(*set)(Section *section, const char *text);
} keys[] = {
    {"isolation", set_isolation},       {"user", set_user}, {"memory_max", set_memory},
    {"no_new_privs", set_no_new_privs}, {"deny", set_deny}, {"init_timeout", set_init_timeout},
    {"alive_timeout", set_alive_timeout},
};

char *vireo_settings_set(VireoSettings *settings, const char *driver, const char *key,
                         const char *text)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        if (strcmp(keys[i].key, key) == 0)
            return keys[i].set(section_of(settings, driver), text);
    return g_strdup("there is no such setting of a driver");
}

const VireoDriverSettings *vireo_settings_of(VireoSettings *settings, const char *driver)
{
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&settings->lock);
    Section *section = section_of(settings, driver);

    if (!section->isolation_set)
        section->set.process = settings->process;
    return &section->set;
}
