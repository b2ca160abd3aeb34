/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images and what they are based on, however broken. */
#include "doctor.h"

#include <string.h>

#include "images.h"
#include "remote.h"
#include "run.h"

#define CHECK_TOOL "/usr/bin/qemu-img"
#define CHECK_MS 600000
#define DEPTH_MAX 200

void qemu_looked_free(gpointer opaque)
{
    QemuLooked *looked = opaque;

    g_free(looked->path);
    qemu_image_info_free(looked->info);
    g_free(looked);
}

/* Where the base of an image might be when it is not where the image says; NULL: no idea. */
static char *near(const char *path, const char *backing)
{
    g_autofree char *dir = g_path_get_dirname(path), *base = g_path_get_basename(backing);
    char *guess = g_build_filename(dir, base, NULL);

    if (g_file_test(guess, G_FILE_TEST_IS_REGULAR) && !g_str_equal(guess, path))
        return guess;
    g_free(guess);
    return NULL;
}

static void base_is_missing(QemuDoctor *doctor, const QemuLooked *looked, const char *backing)
{
    g_autofree char *guess = near(looked->path, backing);
    const char *format = looked->info->backing_format ? looked->info->backing_format : "qcow2";

    qemu_doctor_find(doctor, "broken-chain", VIREO_DOCTOR_BROKEN, looked->path, NULL,
                     g_strdup_printf("%s is based on %s, which is not there", looked->path, backing),
                     guess ? g_strdup_printf("if %s is that image: qemu-img rebase -u -F %s -b %s %s", guess,
                                             format, guess, looked->path)
                           : g_strdup_printf("bring %s back; until then nothing above it can be read", backing),
                     FALSE);
}

static void check_format(QemuDoctor *doctor, const QemuLooked *looked, const QemuLooked *below)
{
    const char *said = looked->info->backing_format;

    if (!said)
        qemu_doctor_find(doctor, "no-format", VIREO_DOCTOR_WARNING, looked->path, NULL,
                         g_strdup_printf("%s does not say of what format %s is, which it is based on",
                                         looked->path, below->path),
                         g_strdup_printf("qemu-img rebase -u -F %s -b %s %s, while the domain is off",
                                         below->info->is_qcow2 ? "qcow2" : "raw", below->path, looked->path),
                         FALSE);
    else if (g_str_equal(said, "qcow2") && !below->info->is_qcow2)
        qemu_doctor_find(doctor, "wrong-format", VIREO_DOCTOR_BROKEN, below->path, NULL,
                         g_strdup_printf("%s says that %s is in qcow2 format, but it is not", looked->path,
                                         below->path),
                         g_strdup("bring the image back from a copy"), FALSE);
}

/* What only the whole image tells: tables behind its end, clusters that two things use. Not while QEMU writes, and not
 * on top of what is broken: qemu-img goes round in a loop for ever. */
static void check_inside(QemuDoctor *doctor, QemuLooked *looked)
{
    const char *argv[] = { CHECK_TOOL, "check", "-q", "-f", "qcow2", looked->path, NULL };
    QemuImage image = { looked->path, VIREO_DOMAIN_STORAGE_FORMAT_QCOW2, TRUE, TRUE };
    QemuDriver *driver = doctor->dom->space->driver;
    g_autofree char *output = NULL;

    if (looked->broken || !looked->info->is_qcow2 || qemu_domain_active(doctor->dom) ||
        !qemu_image_give(driver, doctor->dom->uuid_text, &image, NULL))
        return;
    int status = qemu_run(driver, doctor->call, argv, TRUE, CHECK_MS, &output, NULL);
    qemu_image_take_back(driver, doctor->dom->uuid_text);
    if (status == 2) {
        looked->broken = TRUE;
        qemu_doctor_find(doctor, "damaged", VIREO_DOCTOR_BROKEN, looked->path, NULL,
                         g_strdup_printf("qemu-img finds %s damaged: %.300s", looked->path,
                                         output ? g_strstrip(output) : ""),
                         g_strdup_printf("copy it away first; then qemu-img check -r all %s", looked->path), FALSE);
    } else if (status == 3) {
        qemu_doctor_find(doctor, "lost-clusters", VIREO_DOCTOR_NOTE, looked->path, NULL,
                         g_strdup_printf("%s has clusters that nothing in it uses", looked->path),
                         g_strdup_printf("qemu-img check -r leaks %s, while the domain is off", looked->path),
                         FALSE);
    }
}

static QemuLooked *look(QemuDoctor *doctor, const char *path, GHashTable *above);

static void look_below(QemuDoctor *doctor, QemuLooked *looked, GHashTable *above)
{
    g_autofree char *full = qemu_image_below(looked->path, looked->info, NULL, NULL);
    g_autofree char *real = qemu_real_path(full);

    if (!real) {
        base_is_missing(doctor, looked, full ? full : looked->info->backing);
        looked->broken = TRUE;
        return;
    }
    if (g_hash_table_contains(above, real) || g_hash_table_size(above) > DEPTH_MAX) {
        qemu_doctor_find(doctor, "loop", VIREO_DOCTOR_BROKEN, looked->path, NULL,
                         g_strdup_printf("%s is based on %s, which is based on it in turn", looked->path, real),
                         g_strdup("find out which of them is the lower one, and give it no base "
                                  "(qemu-img rebase -u -b '' FILE)"),
                         FALSE);
        looked->broken = TRUE;
        return;
    }
    const QemuLooked *below = look(doctor, real, above);
    looked->broken |= below->broken;
    if (below->info)
        check_format(doctor, looked, below);
}

static QemuLooked *look(QemuDoctor *doctor, const char *path, GHashTable *above)
{
    QemuLooked *looked = g_hash_table_lookup(doctor->images, path);
    g_autoptr(GError) error = NULL;

    if (looked)
        return looked;
    looked = g_new0(QemuLooked, 1);
    looked->path = g_strdup(path);
    g_hash_table_insert(doctor->images, looked->path, looked);
    looked->info = qemu_image_inspect(path, TRUE, &error);
    looked->missing = !qemu_image_is_there(path);
    looked->broken = !looked->info;
    if (!looked->missing && !qemu_is_remote(path))
        g_hash_table_add(doctor->dirs, g_path_get_dirname(path));
    if (!looked->info && !looked->missing)
        qemu_doctor_find(doctor, "unreadable", VIREO_DOCTOR_BROKEN, path, NULL, g_strdup(error->message),
                         g_strdup("bring the image back from a copy"), FALSE);
    if (!looked->info)
        return looked;
    g_hash_table_add(above, looked->path);
    if (looked->info->is_qcow2 && looked->info->backing)
        look_below(doctor, looked, above);
    g_hash_table_remove(above, looked->path);
    check_inside(doctor, looked);
    return looked;
}

const QemuLooked *qemu_doctor_look(QemuDoctor *doctor, const char *path, gboolean wants_qcow2)
{
    g_autoptr(GHashTable) above = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *real = qemu_real_path(path);
    QemuLooked *looked = look(doctor, real ? real : path, above);

    if (wants_qcow2 && looked->info && !looked->info->is_qcow2 && !looked->broken) {
        looked->broken = TRUE;
        qemu_doctor_find(doctor, "wrong-format", VIREO_DOCTOR_BROKEN, looked->path, NULL,
                         g_strdup_printf("%s is not in qcow2 format, as the definition says: it was cut off, or "
                                         "something else was written over it", looked->path),
                         g_strdup("bring the image back from a copy, or correct the definition"), FALSE);
    }
    return looked;
}
