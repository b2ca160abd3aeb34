/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "auth/identity.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "util/process.h"

#define RECORD_SIZE 16384 /* of a user or group */

static char *uid_text(const VireoIdentity *identity);
static char *gid_text(const VireoIdentity *identity);
static char *user_name(const VireoIdentity *identity);
static char *group_name(const VireoIdentity *identity);
static char *pid_text(const VireoIdentity *identity);
static char *pid_time(const VireoIdentity *identity);

static const struct {
    const char *name;
    char *(*find)(const VireoIdentity *identity);
} properties[] = {
    {"unix-user-id", uid_text}, {"unix-group-id", gid_text}, {"user-name", user_name},
    {"group-name", group_name}, {"process-id", pid_text},    {"process-time", pid_time},
};

const char *const vireo_identity_names[] = { "unix-user-id", "unix-group-id", "user-name", "group-name",
                                             "process-id",   "process-time",  NULL };

struct VireoIdentity {
    gint refs;
    pid_t pid;
    uid_t uid;
    gid_t gid;
    gboolean readonly;
    char *found[G_N_ELEMENTS(properties)]; /* atomic; "" when looked up in vain */
};

VireoIdentity *vireo_identity_new_unix(pid_t pid, uid_t uid, gid_t gid, gboolean readonly)
{
    VireoIdentity *identity = g_new0(VireoIdentity, 1);

    identity->refs = 1;
    identity->pid = pid;
    identity->uid = uid;
    identity->gid = gid;
    identity->readonly = readonly;
    return identity;
}

VireoIdentity *vireo_identity_ref(VireoIdentity *identity)
{
    g_atomic_int_inc(&identity->refs);
    return identity;
}

void vireo_identity_unref(VireoIdentity *identity)
{
    if (!identity || !g_atomic_int_dec_and_test(&identity->refs))
        return;
    for (guint i = 0; i < G_N_ELEMENTS(properties); i++)
        g_free(identity->found[i]);
    g_free(identity);
}

static char *uid_text(const VireoIdentity *identity)
{
    return g_strdup_printf("%u", (guint)identity->uid);
}

static char *gid_text(const VireoIdentity *identity)
{
    return g_strdup_printf("%u", (guint)identity->gid);
}

static char *pid_text(const VireoIdentity *identity)
{
    return identity->pid > 0 ? g_strdup_printf("%d", (int)identity->pid) : NULL;
}

static char *pid_time(const VireoIdentity *identity)
{
    guint64 start = identity->pid > 0 ? vireo_pid_start_time(identity->pid) : 0;

    return start ? g_strdup_printf("%" G_GUINT64_FORMAT, start) : NULL;
}

static char *user_name(const VireoIdentity *identity)
{
    g_autofree char *record = g_malloc(RECORD_SIZE);
    struct passwd user, *known = NULL;

    getpwuid_r(identity->uid, &user, record, RECORD_SIZE, &known);
    return known ? g_strdup(known->pw_name) : NULL;
}

static char *group_name(const VireoIdentity *identity)
{
    g_autofree char *record = g_malloc(RECORD_SIZE);
    struct group group, *known = NULL;

    getgrgid_r(identity->gid, &group, record, RECORD_SIZE, &known);
    return known ? g_strdup(known->gr_name) : NULL;
}

const char *vireo_identity_get(const VireoIdentity *identity, const char *what)
{
    VireoIdentity *own = (VireoIdentity *)identity;
    char *text;
    guint i = 0;

    while (i < G_N_ELEMENTS(properties) && strcmp(properties[i].name, what) != 0)
        i++;
    if (!identity || i == G_N_ELEMENTS(properties))
        return NULL;
    text = g_atomic_pointer_get(&own->found[i]);
    if (!text) {
        text = properties[i].find(identity);
        text = text ? text : g_strdup("");
        /* Two threads may look it up at once; the first one's answer stays. */
        if (!g_atomic_pointer_compare_and_exchange(&own->found[i], NULL, text))
            g_free(text);
        text = g_atomic_pointer_get(&own->found[i]);
    }
    return *text ? text : NULL;
}

gboolean vireo_identity_uid(const VireoIdentity *identity, uid_t *uid)
{
    if (!identity)
        return FALSE;
    *uid = identity->uid;
    return TRUE;
}

gboolean vireo_identity_is_readonly(const VireoIdentity *identity)
{
    return !identity || identity->readonly;
}
