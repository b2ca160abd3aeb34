/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* model-cat KIND FILE [inactive|secure|validate]...: parses, checks that a second round changes
 * nothing, prints the result. For tests that want another program's opinion. */
#include "model/documents.h"

#include <stdio.h>
#include <string.h>

static const VireoModelType *type_of(const char *kind)
{
    static const struct {
        const char *kind;
        const VireoModelType *type;
    } types[] = {
        {"domain", &vireo_domain_type},
        {"domainsnapshot", &vireo_domain_snapshot_type},
        {"domaincheckpoint", &vireo_domain_checkpoint_type},
        {"domainbackup", &vireo_domain_backup_type},
        {"network", &vireo_network_type},
        {"storagepool", &vireo_storage_pool_type},
        {"storagevol", &vireo_storage_vol_type},
    };

    for (guint i = 0; i < G_N_ELEMENTS(types); i++)
        if (strcmp(kind, types[i].kind) == 0)
            return types[i].type;
    return NULL;
}

static char *round_trip(const VireoModelType *type, const char *xml, guint parse, guint format,
                        GError **error)
{
    gpointer doc = vireo_model_parse(type, NULL, xml, -1, parse, error);
    char *text = doc ? vireo_model_format(type, NULL, doc, format) : NULL;

    vireo_model_free(type, doc);
    return text;
}

int main(int argc, char **argv)
{
    const VireoModelType *type = argc > 2 ? type_of(argv[1]) : NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *xml = NULL;
    g_autofree char *once = NULL;
    g_autofree char *twice = NULL;
    guint parse = 0, format = 0;

    if (!type) {
        fprintf(stderr, "usage: %s domain|domainsnapshot|domaincheckpoint|domainbackup FILE "
                "[inactive|secure|validate]...\n", argv[0]);
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        format |= strcmp(argv[i], "inactive") == 0 ? VIREO_MODEL_FORMAT_INACTIVE : 0;
        format |= strcmp(argv[i], "secure") == 0 ? VIREO_MODEL_FORMAT_SECURE : 0;
        parse |= strcmp(argv[i], "validate") == 0 ? VIREO_MODEL_PARSE_VALIDATE : 0;
    }
    if (!g_file_get_contents(argv[2], &xml, NULL, &error) ||
        !(once = round_trip(type, xml, parse, format, &error)) ||
        !(twice = round_trip(type, once, parse, format, &error))) {
        fprintf(stderr, "%d: %s\n", error->code, error->message);
        return 1;
    }
    if (strcmp(once, twice) != 0) {
        fprintf(stderr, "a second round changes the document:\n%s\n%s\n", once, twice);
        return 1;
    }
    fputs(once, stdout);
    return 0;
}
