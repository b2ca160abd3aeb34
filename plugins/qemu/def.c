/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"

QemuDef *qemu_def_new(VireoDomain *doc)
{
    QemuDef *def = g_new0(QemuDef, 1);

    def->refs = 1;
    def->doc = doc;
    return def;
}

QemuDef *qemu_def_ref(QemuDef *def)
{
    if (def)
        g_atomic_int_inc(&def->refs);
    return def;
}

void qemu_def_unref(QemuDef *def)
{
    if (!def || !g_atomic_int_dec_and_test(&def->refs))
        return;
    vireo_domain_free(def->doc);
    g_free(def);
}

gboolean qemu_doc_is_q35(const VireoDomain *doc)
{
    const char *machine = doc->os && doc->os->type ? doc->os->type->machine : NULL;

    return machine && (g_str_equal(machine, "q35") || g_str_has_prefix(machine, "pc-q35"));
}

QemuDef *qemu_def_parse(QemuSpace *space, const char *xml, guint flags, GError **error)
{
    guint parse = (flags & QEMU_DEF_VALIDATE ? VIREO_MODEL_PARSE_VALIDATE : 0) |
                  (flags & QEMU_DEF_LIVE ? 0 : VIREO_MODEL_PARSE_INACTIVE);
    g_autoptr(VireoDomain) doc = vireo_domain_parse(xml, parse, error);

    if (!doc)
        return NULL;
    if (flags & QEMU_DEF_TRUSTED) {
        /* Complete when it was written, and readable even while no QEMU is installed. */
        if (doc->has_uuid && doc->name && doc->memory && doc->vcpu && doc->os->type && doc->cpu)
            return qemu_def_new(g_steal_pointer(&doc));
    } else if (!vireo_model_path_set_check(space->driver->honoured, doc, error)) {
        return NULL;
    }
    if (!qemu_def_complete(space, doc, error))
        return NULL;
    return qemu_def_new(g_steal_pointer(&doc));
}
