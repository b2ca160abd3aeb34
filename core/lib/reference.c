/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lib/client.h"

static gboolean parse_id(const char *text, gint32 *id)
{
    guint64 value;

    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT32, &value, NULL))
        return FALSE;
    *id = (gint32)value;
    return TRUE;
}

gboolean vireo_client_find_domain(VireoClient *client, const char *text, VireoArena *arena,
                                  vireo_domain_ref *ret, GError **error)
{
    vireo_domain_lookup_by_id_args by_id = { 0 };
    vireo_domain_lookup_by_uuid_args by_uuid = { 0 };
    vireo_domain_lookup_by_name_args by_name = { .name = (char *)text };
    vireo_domain_lookup_by_id_ret id_ret;
    vireo_domain_lookup_by_uuid_ret uuid_ret;
    vireo_domain_lookup_by_name_ret name_ret;

    if (parse_id(text, &by_id.id) &&
        VIREO_CALL(client, domain_lookup_by_id, arena, NULL, &by_id, &id_ret)) {
        *ret = id_ret.dom;
        return TRUE;
    }
    if (vireo_uuid_parse(text, by_uuid.uuid) &&
        VIREO_CALL(client, domain_lookup_by_uuid, arena, NULL, &by_uuid, &uuid_ret)) {
        *ret = uuid_ret.dom;
        return TRUE;
    }
    if (!VIREO_CALL(client, domain_lookup_by_name, arena, error, &by_name, &name_ret))
        return FALSE;
    *ret = name_ret.dom;
    return TRUE;
}
