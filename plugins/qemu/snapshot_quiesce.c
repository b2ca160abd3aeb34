/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's file systems at rest while its snapshot is taken. */
#include "take.h"

#include <string.h>

#include "agent.h"

#define FREEZE_S 30
#define THAW_S 5
#define THAW_TRIES 2
#define AGAIN_MS 2000
#define AGAIN_MAX 60

static gboolean ask(QemuDomain *dom, vireo_call *call, const char *command, int seconds, GError **error)
{
    g_autofree char *text = g_strdup_printf("{\"execute\":\"%s\"}", command);
    g_autoptr(JsonObject) answer = qemu_agent_command(dom, call, text, seconds, error);

    return answer != NULL;
}

gboolean qemu_quiesce_begin(QemuTake *take, GError **error)
{
    QemuDomain *dom = take->work->dom;

    if (!take->quiesce)
        return TRUE;
    take->frozen = TRUE; /* also when the answer does not come */
    if (ask(dom, take->work->call, "guest-fsfreeze-freeze", FREEZE_S, error))
        return TRUE;
    g_prefix_error(error, "the file systems of guest '%s' are not brought to rest for the snapshot: ", dom->name);
    return FALSE;
}

/* ---- until it goes on --------------------------------------------------------------- */

typedef struct {
    QemuDomain *dom;
    guint generation, tries;
} Release;

static void release_free(Release *release)
{
    qemu_domain_unref(release->dom);
    g_free(release);
}

static void release_now(void *opaque);

static void release_later(void *opaque)
{
    Release *release = opaque;
    QemuDriver *driver = release->dom->space->driver;

    driver->host->defer(driver->core, release_now, release);
}

/* As long as it is the same guest: its agent may come back, and the guest waits for it. */
static void release_now(void *opaque)
{
    Release *release = opaque;
    QemuDomain *dom = release->dom;
    QemuDriver *driver = dom->space->driver;
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&dom->lock);
    gboolean same = dom->id != -1 && dom->generation == release->generation;
    gboolean runs = dom->state == VIREO_DOMAIN_RUNNING;
    g_mutex_unlock(&dom->lock);
    if (same && !runs && !g_atomic_int_get(&driver->stopping)) {
        driver->host->timer(driver->core, AGAIN_MS, release_later, release);
        return;
    }
    if (!same || g_atomic_int_get(&driver->stopping) || ask(dom, NULL, "guest-fsfreeze-thaw", THAW_S, &error)) {
        release_free(release);
        return;
    }
    if (++release->tries < AGAIN_MAX && error->code != VIREO_ERR_ARGUMENT_UNSUPPORTED &&
        error->code != VIREO_ERR_AGENT_COMMAND_FAILED) {
        driver->host->timer(driver->core, AGAIN_MS, release_later, release);
        return;
    }
    driver->host->log(driver->core, VIREO_LOG_WARNING, dom->space->uri,
                      "domain '%s': the guest's file systems may still be held: %s", dom->name, error->message);
    release_free(release);
}

void qemu_quiesce_release(QemuDomain *dom)
{
    QemuDriver *driver = dom->space->driver;
    Release *release = g_new0(Release, 1);

    release->dom = qemu_domain_ref(dom);
    g_mutex_lock(&dom->lock);
    release->generation = dom->generation;
    g_mutex_unlock(&dom->lock);
    driver->host->defer(driver->core, release_now, release);
}

gboolean qemu_quiesce_end(QemuTake *take, GError **error)
{
    QemuDomain *dom = take->work->dom;
    g_autoptr(GError) failure = NULL;

    if (!take->frozen)
        return TRUE;
    take->frozen = FALSE;
    for (guint i = 0; i < THAW_TRIES; i++) {
        g_clear_error(&failure);
        if (ask(dom, NULL, "guest-fsfreeze-thaw", THAW_S, &failure))
            return TRUE;
        if (failure->code == VIREO_ERR_AGENT_COMMAND_FAILED)
            break;
    }
    qemu_quiesce_release(dom);
    g_propagate_prefixed_error(error, g_steal_pointer(&failure),
                               "the file systems of guest '%s' may still be held (they are let go when its agent "
                               "answers): ", dom->name);
    return FALSE;
}

/* ---- what memory remembers ------------------------------------------------------------ */

static char *note_key(QemuDomain *dom)
{
    return g_strdup_printf("quiesced/%s/%s", dom->space->key, dom->uuid_text);
}

static void read_note(const char *key, const void *data, size_t len, void *opaque)
{
    JsonObject **noted = opaque;

    if (!*noted)
        *noted = vireo_json_parse(data, (gssize)len, NULL);
}

static JsonObject *noted(QemuDomain *dom)
{
    g_autofree char *key = note_key(dom);
    JsonObject *found = NULL;

    dom->space->driver->host->state_each(dom->space->driver->core, key, read_note, &found);
    return found ? found : json_object_new();
}

void qemu_quiesce_note(QemuDomain *dom, const char *name, gboolean held)
{
    QemuDriver *driver = dom->space->driver;
    g_autoptr(JsonObject) names = noted(dom);
    g_autofree char *key = note_key(dom);

    if (json_object_has_member(names, name) == held)
        return;
    if (held)
        json_object_set_boolean_member(names, name, TRUE);
    else
        json_object_remove_member(names, name);
    g_autofree char *text = vireo_json_text(names);
    if (json_object_get_size(names))
        driver->host->state_save(driver->core, key, text, strlen(text));
    else
        driver->host->state_drop(driver->core, key);
}

gboolean qemu_quiesce_noted(QemuDomain *dom, const char *name)
{
    g_autoptr(JsonObject) names = noted(dom);

    return json_object_has_member(names, name);
}

void qemu_quiesce_drop(QemuDomain *dom)
{
    g_autofree char *key = note_key(dom);

    dom->space->driver->host->state_drop(dom->space->driver->core, key);
}
