/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tpm.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine.h"
#include "kit/process.h"
#include "livestate.h"
#include "sidefile.h"

#define SWTPM "/usr/bin/swtpm"
#define START_MS 20000
#define CHILD_FD 3
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static const VireoDomainTpm *tpm_of(const VireoDomain *doc)
{
    return doc->devices->tpms.n ? doc->devices->tpms.items[0] : NULL;
}

gboolean qemu_tpm_is_installed(void)
{
    return access(SWTPM, X_OK) == 0;
}

gboolean qemu_tpm_complete(VireoDomain *doc, GError **error)
{
    VireoDomainTpm *tpm = (VireoDomainTpm *)tpm_of(doc);

    if (!tpm)
        return TRUE;
    if (tpm->model == VIREO_DOMAIN_TPM_MODEL_UNSET || tpm->model == VIREO_DOMAIN_TPM_MODEL_DEFAULT)
        tpm->model = VIREO_DOMAIN_TPM_MODEL_TPM_TIS;
    if (tpm->backend->version == VIREO_DOMAIN_TPM_VERSION_UNSET)
        tpm->backend->version = VIREO_DOMAIN_TPM_VERSION_2_0;
    if (doc->devices->tpms.n == 1 && tpm->backend->type == VIREO_DOMAIN_TPM_BACKEND_EMULATOR &&
        tpm->backend->version == VIREO_DOMAIN_TPM_VERSION_2_0 &&
        (tpm->model == VIREO_DOMAIN_TPM_MODEL_TPM_TIS || tpm->model == VIREO_DOMAIN_TPM_MODEL_TPM_CRB))
        return TRUE;
    qemu_error(error, VIREO_ERR_CONFIG_UNSUPPORTED,
               "a guest has one TPM, of model tpm-tis or tpm-crb, with backend type emulator, version 2.0");
    return FALSE;
}

char *qemu_tpm_path(const QemuSpace *space, const VireoDomain *doc)
{
    char uuid[37];

    if (!tpm_of(doc))
        return NULL;
    vireo_model_uuid_format(doc->uuid, uuid);
    return g_strdup_printf("%s/%s_TPM.state", space->nvram_dir, uuid);
}

gboolean qemu_tpm_prepare(QemuDomain *dom, const VireoDomain *doc, GError **error)
{
    g_autofree char *path = qemu_tpm_path(dom->space, doc);

    if (!path || !qemu_side_open_way(dom, path, error))
        return path == NULL;
    return g_file_test(path, G_FILE_TEST_EXISTS) || qemu_engine_make_file(dom, path, "", error);
}

/* It goes into the background when it is ready. */
static gboolean run(QemuDomain *dom, const char *path, int fd, GError **error)
{
    QemuDriver *driver = dom->space->driver;
    g_autofree char *state = g_strdup_printf("backend-uri=file://%s", path);
    g_autofree char *control = g_strdup_printf("type=unixio,clientfd=%d", CHILD_FD);
    const char *argv[] = { SWTPM, "socket", "--tpm2", "--tpmstate", state, "--ctrl", control, "--terminate",
                           "--daemon", NULL };
    struct vireo_fd_map map = { fd, CHILD_FD };
    struct vireo_spawn spawn = { .size = sizeof spawn, .flags = VIREO_SPAWN_DETACH | VIREO_SPAWN_NO_NEW_PRIVS,
                                 .argv = argv, .in = -1, .out = -1, .err = -1, .fds = &map, .n_fds = 1 };
    struct vireo_child child = { .pidfd = -1 };
    siginfo_t info = { 0 };

    if (driver->privileged) {
        spawn.flags |= VIREO_SPAWN_SET_USER;
        spawn.uid = driver->uid;
        spawn.gid = driver->gid;
    }
    if (driver->host->spawn(driver->core, &spawn, &child) < 0) {
        qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot run %s (package swtpm): %s", SWTPM, g_strerror(errno));
        return FALSE;
    }
    gboolean ready = vireo_process_wait(child.pidfd, START_MS);
    if (!ready)
        vireo_process_signal(child.pidfd, SIGKILL);
    if (ready && waitid(P_PIDFD, (id_t)child.pidfd, &info, WEXITED | WNOHANG) == 0)
        ready = info.si_code == CLD_EXITED && info.si_status == 0;
    close(child.pidfd);
    if (!ready)
        qemu_error(error, VIREO_ERR_OPERATION_FAILED, "%s did not start with the state in %s", SWTPM, path);
    return ready;
}

gboolean qemu_command_tpm(QemuLaunch *launch, GError **error)
{
    const VireoDomainTpm *tpm = tpm_of(launch->doc);
    g_autofree char *path = qemu_tpm_path(launch->dom->space, launch->doc);
    QemuImage image = { path, VIREO_DOMAIN_STORAGE_FORMAT_RAW, FALSE, TRUE };
    int pair[2] = { -1, -1 }, fd = 0;

    if (!tpm)
        return TRUE;
    if (!launch->preview) {
        if (!qemu_tpm_prepare(launch->dom, launch->doc, error) ||
            !qemu_image_give(launch->dom->space->driver, launch->dom->uuid_text, &image, error))
            return FALSE;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
            qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "no socket for the TPM: %s", g_strerror(errno));
            return FALSE;
        }
        fd = qemu_launch_fd(launch, pair[0]); /* swtpm ends when QEMU's end is closed */
        gboolean started = run(launch->dom, path, pair[1], error);
        close(pair[1]);
        if (!started)
            return FALSE;
    }
    g_autofree char *id = g_strconcat("tpm-", tpm->alias, NULL);
    vireo_argv_addf(launch->argv, "-chardev", "socket,id=chrtpm,fd=%d", fd);
    vireo_argv_addf(launch->argv, "-tpmdev", "emulator,id=%s,chardev=chrtpm", id);
    qemu_launch_json(launch, "-device",
                     vireo_json_new('s', "driver", vireo_domain_tpm_model_to_string(tpm->model), 's', "tpmdev", id,
                                    's', "id", tpm->alias, 0));
    return TRUE;
}

static gboolean is_kept(const VireoDomain *doc)
{
    return tpm_of(doc)->backend->persistent_state == VIREO_TRISTATE_YES;
}

void qemu_tpm_bury(QemuDomain *dom)
{
    g_autoptr(QemuDef) live = qemu_domain_current(dom);
    g_autofree char *path = live ? qemu_tpm_path(dom->space, live->doc) : NULL;

    if (path && !is_kept(live->doc))
        unlink(path);
}

/* Of a guest that goes on as a transient one: what becomes of it is said in its definition. */
static gboolean decide_later(QemuDomain *dom, guint flags, GError **error)
{
    g_autoptr(QemuDef) live = qemu_domain_live(dom);

    if (!live || !tpm_of(live->doc) || !(flags & (VIREO_DOMAIN_UNDEFINE_TPM | VIREO_DOMAIN_UNDEFINE_KEEP_TPM)))
        return TRUE;
    g_autoptr(VireoDomain) doc = vireo_domain_copy(live->doc);
    tpm_of(doc)->backend->persistent_state =
        flags & VIREO_DOMAIN_UNDEFINE_KEEP_TPM ? VIREO_TRISTATE_YES : VIREO_TRISTATE_NO;
    qemu_domain_set_live(dom, qemu_def_new(g_steal_pointer(&doc)));
    return qemu_live_save(dom, error);
}

gboolean qemu_tpm_undefine(QemuDomain *dom, guint flags, QemuTell *tell, GError **error)
{
    g_autoptr(QemuDef) config = qemu_domain_config(dom);
    g_autofree char *path = config ? qemu_tpm_path(dom->space, config->doc) : NULL;

    if (!path || !g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    if (qemu_domain_active(dom))
        return tell != NULL || decide_later(dom, flags, error);
    if (flags & VIREO_DOMAIN_UNDEFINE_KEEP_TPM || (is_kept(config->doc) && !(flags & VIREO_DOMAIN_UNDEFINE_TPM)))
        return TRUE;
    if (tell)
        qemu_tell_step(tell, "unlink", VIREO_PLAN_REMOVES, path, NULL, 0, "remove the TPM's state %s", path);
    if (tell || unlink(path) == 0 || errno == ENOENT)
        return TRUE;
    qemu_error(error, VIREO_ERR_SYSTEM_ERROR, "cannot remove %s: %s", path, g_strerror(errno));
    return FALSE;
}
