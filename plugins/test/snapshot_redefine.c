/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots from their descriptions: redefinition, and those of a node document. */
#include "moment.h"
#include "ops.h"

#include <string.h>
#include <time.h>

#define DISK_SNAPSHOT VIREO_DOMAIN_SNAPSHOT_STATE_DISK_SNAPSHOT

guint test_snapshot_tree_flags(const VireoDomainSnapshot *doc)
{
    guint flags = doc->state == DISK_SNAPSHOT ? VIREO_TREE_DISK_ONLY : 0;
    gboolean external =
        doc->memory && doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL;
    gboolean internal =
        doc->memory && doc->memory->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;

    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++) {
        VireoDomainSnapshotLocation where = doc->disks->disks.items[i]->snapshot;

        external = external || where == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL;
        internal = internal || where == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL;
    }
    if (!external && !internal) /* nothing but the definition, which is kept here */
        internal = TRUE;
    return flags | (external ? VIREO_TREE_EXTERNAL : 0) | (internal ? VIREO_TREE_INTERNAL : 0);
}

static int state_of(const VireoDomainSnapshot *doc)
{
    if (doc->state == DISK_SNAPSHOT)
        return VIREO_DOMAIN_SHUTOFF;
    return (int)doc->state - VIREO_DOMAIN_SNAPSHOT_STATE_NOSTATE + VIREO_DOMAIN_NOSTATE;
}

static GRefString *take_domain(VireoDomain **doc)
{
    GRefString *text = NULL;

    if (*doc) {
        (*doc)->has_id = FALSE;
        text = test_definition_text(*doc);
    }
    g_clear_pointer(doc, vireo_domain_free);
    return text;
}

TestMoment *test_snapshot_moment(VireoDomainSnapshot *doc)
{
    TestMoment *moment = g_new0(TestMoment, 1);

    moment->name = g_strdup(doc->name);
    moment->parent = doc->parent ? g_strdup(doc->parent->name) : NULL;
    g_clear_pointer(&doc->parent, vireo_domain_snapshot_parent_free);
    moment->creation = doc->creation_time;
    moment->state = state_of(doc);
    moment->tree_flags = test_snapshot_tree_flags(doc);
    moment->domain = take_domain(&doc->domain);
    moment->inactive = take_domain(&doc->inactive_domain);
    doc->has_active = FALSE;
    moment->doc = doc;
    return moment;
}

gboolean test_snapshot_needs_data(const TestMoment *moment)
{
    const VireoDomainSnapshot *doc = moment->doc;

    if (moment->state != VIREO_DOMAIN_SHUTOFF)
        return TRUE;
    for (guint i = 0; doc->disks && i < doc->disks->disks.n; i++)
        if (doc->disks->disks.items[i]->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_INTERNAL ||
            doc->disks->disks.items[i]->snapshot == VIREO_DOMAIN_SNAPSHOT_LOCATION_EXTERNAL)
            return TRUE;
    return FALSE;
}

/* ---- redefine ---------------------------------------------------------------------------------
 */

static int check_complete(const VireoDomainSnapshot *doc, vireo_call *call)
{
    if (!doc->name)
        return FAIL(call, VIREO_ERR_XML_ERROR, "a redefined snapshot needs a <name>");
    if (doc->name[0] == '.' || strchr(doc->name, '/'))
        return FAIL(call, VIREO_ERR_XML_DETAIL,
                    "invalid name '%s': it must not begin with '.' or contain '/'", doc->name);
    if (!doc->state)
        return FAIL(call, VIREO_ERR_XML_ERROR, "a redefined snapshot needs a <state>");
    if (!doc->has_creation_time)
        return FAIL(call, VIREO_ERR_INTERNAL_ERROR, "a redefined snapshot needs a <creationTime>");
    return VIREO_OK;
}

static int check_uuid(const VireoDomainSnapshot *doc, const TestDomain *dom, vireo_call *call)
{
    char uuid[37];

    if (!doc->domain || (doc->domain->has_uuid && memcmp(doc->domain->uuid, dom->uuid, 16) == 0))
        return VIREO_OK;
    vireo_model_uuid_format(dom->uuid, uuid);
    return FAIL(call, VIREO_ERR_INVALID_ARG,
                "the definition in snapshot '%s' must have the domain's uuid %s", doc->name, uuid);
}

static gboolean is_online(VireoDomainSnapshotState state)
{
    return state == VIREO_DOMAIN_SNAPSHOT_STATE_RUNNING ||
           state == VIREO_DOMAIN_SNAPSHOT_STATE_PAUSED;
}

static int check_same_kind(const VireoDomainSnapshot *doc, const TestMoment *old, vireo_call *call)
{
    if (!old)
        return VIREO_OK;
    if ((doc->state == DISK_SNAPSHOT) != (old->doc->state == DISK_SNAPSHOT))
        return FAIL(call, VIREO_ERR_INVALID_ARG,
                    "snapshot '%s' cannot change between disk only and full system", doc->name);
    if (is_online(doc->state) != is_online(old->doc->state))
        return FAIL(call, VIREO_ERR_INVALID_ARG,
                    "snapshot '%s' cannot change between a running and a stopped domain",
                    doc->name);
    return VIREO_OK;
}

static int check(const VireoDomainSnapshot *doc, const TestDomain *dom, vireo_call *call,
                 guint flags)
{
    const char *parent = doc->parent ? doc->parent->name : NULL;

    if (check_complete(doc, call) != VIREO_OK || check_uuid(doc, dom, call) != VIREO_OK)
        return VIREO_FAIL;
    if ((flags & VIREO_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY) && doc->state != DISK_SNAPSHOT)
        return FAIL(call, VIREO_ERR_INVALID_ARG,
                    "flag DISK_ONLY: the state of snapshot '%s' must be disk-snapshot", doc->name);
    if (test_moment_check_parent(dom->snapshots, call, doc->name, parent) != VIREO_OK)
        return VIREO_FAIL;
    return check_same_kind(doc, test_moments_find(dom->snapshots, doc->name), call);
}

/* What the new description leaves out stays as it was. */
static void inherit(TestMoment *moment, TestMoment *old)
{
    if (!moment->domain) {
        moment->domain = g_steal_pointer(&old->domain);
        moment->inactive = moment->inactive ? moment->inactive : g_steal_pointer(&old->inactive);
    }
    moment->data = g_steal_pointer(&old->data);
}

static void adopt_hidden(TestMoments *moments, TestMoment *moment)
{
    gpointer name, data;

    if (!g_hash_table_steal_extended(moments->hidden, moment->name, &name, &data))
        return;
    g_free(name);
    moment->data = data;
}

int test_snapshot_redefine(TestDomain *dom, vireo_call *call, VireoDomainSnapshot *doc, guint flags)
{
    g_autoptr(VireoDomainSnapshot) mine = doc;
    TestMoments *moments = test_moments_get(dom, VIREO_CLASS_DOMAIN_SNAPSHOT);
    TestMoment *old, *moment;

    if (check(mine, dom, call, flags) != VIREO_OK)
        return VIREO_FAIL;
    old = test_moments_find(moments, mine->name);
    moment = test_snapshot_moment(g_steal_pointer(&mine));
    if (old)
        inherit(moment, old);
    else
        adopt_hidden(moments, moment);
    test_moments_put(moments, moment);
    if (flags & VIREO_DOMAIN_SNAPSHOT_CREATE_CURRENT)
        test_moments_set_current(moments, moment->name);
    test_moment_publish(dom, moments, moment);
    return VIREO_OK;
}

/* ---- node documents ---------------------------------------------------------------------------
 */

gboolean test_snapshot_load(TestDomain *dom, const char *xml, GError **error)
{
    TestMoments *moments = test_moments_get(dom, VIREO_CLASS_DOMAIN_SNAPSHOT);
    VireoDomainSnapshot *doc = vireo_domain_snapshot_parse(xml, 0, error);
    TestMoment *moment;
    gboolean current;

    if (!doc)
        return FALSE;
    if (!doc->name || !doc->state) {
        g_set_error(error, VIREO_ERROR, VIREO_ERR_XML_ERROR,
                    "a snapshot of domain '%s' has no <name> or no <state>", dom->name);
        vireo_domain_snapshot_free(doc);
        return FALSE;
    }
    current = doc->has_active && doc->active;
    if (!doc->has_creation_time) {
        doc->creation_time = (gint64)time(NULL);
        doc->has_creation_time = TRUE;
    }
    moment = test_snapshot_moment(doc);
    if (!moment->domain)
        moment->domain = g_ref_string_acquire(dom->live ? dom->live : dom->config);
    moment->data = test_domain_capture(dom, TEST_CAPTURE_DISKS | TEST_CAPTURE_MEMORY);
    moment->data->memory = is_online(moment->doc->state);
    test_moments_put(moments, moment);
    if (current)
        test_moments_set_current(moments, moment->name);
    test_moments_publish(dom, moments);
    return TRUE;
}
