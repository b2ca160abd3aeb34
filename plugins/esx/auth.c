/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Passwords. */
#include "driver.h"

char *esx_auth_password(EsxDriver *driver, EsxUri *uri, GError **error)
{
    const char *folder = driver->host->dir(driver->core, VIREO_DIR_CONFIG);
    g_autoptr(GError) wrong = NULL;
    char *password = vireo_password_find(folder, "esx", uri->host, &uri->user, &wrong);

    if (!password && !wrong)
        vireo_password_missing(folder, "esx", uri->host, uri->user, &wrong);
    if (wrong)
        g_propagate_error(error, g_steal_pointer(&wrong));
    else
        esx_uri_set_user(uri, uri->user ? uri->user : uri->center ? "administrator" : "root");
    return password;
}
