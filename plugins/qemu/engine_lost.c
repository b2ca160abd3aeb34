/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A merge that is cut short is begun again later, but what qemu-img had taken and not entered yet is lost to the image. */
#include "engine.h"

#define IMAGE_TOOL "/usr/bin/qemu-img"

void qemu_lost_note(QemuDomain *dom, const char *image)
{
    g_autoptr(QemuFiles) more = qemu_files_new();

    g_hash_table_add(more->cut, g_strdup(image));
    qemu_files_add(dom, more, NULL);
}

static gboolean give_back(gpointer image, gpointer value, gpointer dom)
{
    const char *argv[] = { IMAGE_TOOL, "check", "-q", "-r", "leaks", "-f", "qcow2", image, NULL };

    if (!g_file_test(image, G_FILE_TEST_EXISTS))
        return TRUE;
    return !qemu_domain_must_yield(dom) && qemu_engine_image_tool(dom, TRUE, NULL, image, argv, NULL);
}

gboolean qemu_lost_give_back(QemuDomain *dom, GError **error)
{
    if (qemu_domain_active(dom) || !g_hash_table_size(qemu_files_of(dom)->cut))
        return TRUE;
    g_autoptr(QemuFiles) files = qemu_files_load(dom);
    return !g_hash_table_foreach_remove(files->cut, give_back, dom) || qemu_files_save(dom, files, error);
}
