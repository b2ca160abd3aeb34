/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether containers can be saved with their memory here: as "criu check" has it. */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "ops.h"
#include "process.h"
#include "save.h"

#define CHECK_S 30

/* The first error is the cause: "Error (criu/vdso.c:381): REASON". */
static char *reason_of(const char *said)
{
    g_auto(GStrv) lines = g_strsplit(said, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        const char *at = strstr(lines[i], "Error (");

        if ((at = at ? strstr(at, "): ") : NULL) && !strstr(at, "exited, status="))
            return g_strdup(at + 3);
    }
    return g_strdup(*said ? lines[0] : "nothing");
}

static char *check(LxcDriver *driver)
{
    const char *argv[] = { driver->criu, "check", NULL };
    struct vireo_spawn spec = { .size = sizeof spec, .argv = argv, .in = -1 };
    g_autofree char *said = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    if (!lxc_program_run(driver, &spec, CHECK_S, &said, &status, &error))
        return g_strdup(error->message);
    if (status == 0)
        return NULL;
    g_autofree char *reason = reason_of(said);
    return g_strdup_printf("criu check says: %s", reason);
}

char *lxc_criu_trouble(LxcDriver *driver)
{
    struct stat info;

    if (!driver->criu || stat(driver->criu, &info) < 0)
        return g_strdup_printf("there is no program %s: install criu", driver->criu ? driver->criu : "criu");
    g_autofree char *which = g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT ".%ld", (guint64)info.st_ino,
                                             (guint64)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    g_mutex_lock(&driver->criu_lock);
    if (g_strcmp0(which, driver->criu_checked)) {
        g_free(driver->criu_trouble);
        driver->criu_trouble = check(driver);
        g_free(driver->criu_checked);
        driver->criu_checked = g_steal_pointer(&which);
    }
    char *trouble = g_strdup(driver->criu_trouble);
    g_mutex_unlock(&driver->criu_lock);
    return trouble;
}

int lxc_conn_narrow(void *handle, vireo_call *call, vireo_conn_narrow_ret *ret)
{
    static const uint32_t by_criu[] = { VIREO_OP_domain_save_flags, VIREO_OP_domain_restore_flags,
                                        VIREO_OP_domain_managed_save };
    LxcDriver *driver = lxc_conn(handle)->driver;
    g_autofree char *trouble = lxc_criu_trouble(driver);

    if (!trouble)
        return VIREO_OK;
    ret->narrowed.val = driver->host->alloc(call, sizeof *ret->narrowed.val * G_N_ELEMENTS(by_criu));
    for (guint i = 0; i < G_N_ELEMENTS(by_criu); i++)
        ret->narrowed.val[ret->narrowed.len++] =
            (vireo_conn_narrowing){ .op = by_criu[i], .reason = driver->host->strdup(call, trouble) };
    return VIREO_OK;
}
