/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does KVM run a guest? An openable /dev/kvm is no proof: there are hosts where it opens and guests
 * die or crawl in it. So a ROM of a few instructions is run (kvmproof.S), once per boot. */
#include "probe.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit/file.h"
#include "kvmproof.h"
#include "run.h"

#define ROM_SIZE 65536
#define PROOF_STATUS 33
#define PROOF_MS 2000

static char *kvm_identity(QemuDriver *driver, QemuEmulator *emulator)
{
    g_autofree char *boot = NULL;

    vireo_file_read("/proc/sys/kernel/random/boot_id", 256, &boot, NULL, NULL);
    return g_strdup_printf("%s|%s|%u", emulator->identity, boot ? g_strchomp(boot) : "",
                           (unsigned)driver->uid);
}

static char *kvm_file(QemuDriver *driver, QemuEmulator *emulator, const char *suffix)
{
    g_autofree char *digest =
        g_compute_checksum_for_string(G_CHECKSUM_SHA256, emulator->path, -1);
    g_autofree char *name = g_strdup_printf("kvm-%.16s%s", digest, suffix);

    return g_build_filename(driver->host->dir(driver->core, VIREO_DIR_CACHE), name, NULL);
}

static gboolean kvm_recall(QemuEmulator *emulator, const char *file, const char *identity)
{
    g_autofree char *text = NULL;

    if (!vireo_file_read(file, 65536, &text, NULL, NULL))
        return FALSE;
    g_autoptr(JsonObject) saved = vireo_json_parse(text, -1, NULL);
    if (!saved || g_strcmp0(vireo_json_string(saved, "identity"), identity))
        return FALSE;
    emulator->kvm_works = vireo_json_bool(saved, "works");
    emulator->kvm_reason = g_strdup(vireo_json_string(saved, "reason"));
    return TRUE;
}

static void kvm_remember(QemuEmulator *emulator, const char *file, const char *identity)
{
    g_autoptr(JsonObject) saved =
        vireo_json_new('s', "identity", identity, 'b', "works", emulator->kvm_works, 's', "reason",
                       emulator->kvm_reason, 0);
    g_autofree char *text = vireo_json_text(saved);

    vireo_file_write(file, text, strlen(text), 0600, NULL);
}

/* In the temporary directory, readable for everybody: QEMU runs as another user. */
static char *rom_file(void)
{
    g_autofree guint8 *rom = g_malloc0(ROM_SIZE);
    char *path = NULL;
    int fd = g_file_open_tmp("vireo-rom-XXXXXX", &path, NULL);

    if (fd < 0)
        return NULL;
    memcpy(rom, kvmproof_code, sizeof kvmproof_code);
    memcpy(rom + ROM_SIZE - 16, kvmproof_reset, sizeof kvmproof_reset);
    if (fchmod(fd, 0644) < 0 || write(fd, rom, ROM_SIZE) != ROM_SIZE) {
        unlink(path);
        g_clear_pointer(&path, g_free);
    }
    close(fd);
    return path;
}

static void kvm_try(QemuDriver *driver, QemuEmulator *emulator)
{
    g_autofree char *rom = rom_file();
    const char *argv[] = { emulator->path, "-machine", "pc,accel=kvm", "-nodefaults",
                           "-no-user-config", "-display", "none", "-m", "4", "-bios", rom,
                           "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-no-reboot", NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *output = NULL;

    if (!rom) {
        emulator->kvm_works = 0;
        emulator->kvm_reason = g_strdup("no room for a test guest in the temporary directory");
        return;
    }
    int status = qemu_run(driver, NULL, argv, TRUE, PROOF_MS, &output, &error);
    unlink(rom);
    emulator->kvm_works = status == PROOF_STATUS;
    if (emulator->kvm_works)
        return;
    if (status < 0)
        emulator->kvm_reason = g_strdup_printf(
            "/dev/kvm is there, but a guest of a few instructions does not finish in it (%s)",
            error->message);
    else
        emulator->kvm_reason =
            g_strdup_printf("a test guest ended with status %d: %s", status,
                            output && *output ? g_strdelimit(output, "\n", ' ') : "no message");
}

gboolean qemu_emulator_kvm(QemuDriver *driver, QemuEmulator *emulator, const char **reason)
{
    g_mutex_lock(&emulator->kvm_lock);
    if (emulator->kvm_works < 0) {
        g_autofree char *identity = kvm_identity(driver, emulator);
        g_autofree char *file = kvm_file(driver, emulator, ".json");
        gboolean ours = g_str_equal(emulator->arch, qemu_host_arch()) ||
                        (g_str_equal(emulator->arch, "i686") &&
                         g_str_equal(qemu_host_arch(), "x86_64"));

        if (!emulator->kvm_built_in || !ours) {
            emulator->kvm_works = 0;
            emulator->kvm_reason = g_strdup("this QEMU has no KVM for that architecture");
        } else if (!g_file_test("/dev/kvm", G_FILE_TEST_EXISTS)) {
            emulator->kvm_works = 0;
            emulator->kvm_reason = g_strdup("there is no /dev/kvm on this host");
        } else if (!kvm_recall(emulator, file, identity)) {
            kvm_try(driver, emulator);
            kvm_remember(emulator, file, identity);
        }
    }
    gboolean works = emulator->kvm_works;
    if (reason)
        *reason = emulator->kvm_reason;
    g_mutex_unlock(&emulator->kvm_lock);
    return works;
}
