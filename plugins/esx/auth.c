/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Passwords: a file of the daemon in the format that libvirt's clients know. */
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_BYTES (256 * 1024)

void esx_secret_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    g_free(secret);
}

/* Nobody but the daemon's user may be able to read it. */
static gboolean is_private(int fd, const char *path, GError **error)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        g_set_error(error, VIREO_ERROR, VIREO_ERR_AUTH_FAILED, "%s is no regular file", path);
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_AUTH_FAILED, "%s belongs to somebody else than the daemon's user", path);
    else if (st.st_mode & 077)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_AUTH_FAILED, "%s can be read by others: chmod 600 it", path);
    else if (st.st_size > MOST_BYTES)
        g_set_error(error, VIREO_ERROR, VIREO_ERR_AUTH_FAILED, "%s is too large", path);
    else
        return TRUE;
    return FALSE;
}

/* NULL without an error: there is no such file. */
static GKeyFile *load(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    g_autofree char *text = NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    gsize used = 0;
    gssize n;

    if (fd < 0) {
        if (errno != ENOENT)
            g_set_error(error, VIREO_ERROR, VIREO_ERR_AUTH_FAILED, "%s: %s", path, g_strerror(errno));
        return NULL;
    }
    if (!is_private(fd, path, error)) {
        close(fd);
        return NULL;
    }
    text = g_malloc0(MOST_BYTES + 1);
    while (used < MOST_BYTES && (n = read(fd, text + used, MOST_BYTES - used)) > 0)
        used += (gsize)n;
    close(fd);
    gboolean good = g_key_file_load_from_data(file, text, used, G_KEY_FILE_NONE, NULL);
    explicit_bzero(text, used);
    if (good)
        return g_steal_pointer(&file);
    g_set_error(error, VIREO_ERROR, VIREO_ERR_AUTH_FAILED, "%s is no file of [groups] with key=value lines", path);
    return NULL;
}

/* libvirt: [auth-esx-HOST] credentials=NAME, and [credentials-NAME] username=..., password=...  Its group "default" is not
 * looked at: whoever may connect says to which host, and would get that password sent to his own. */
static char *find(GKeyFile *file, EsxUri *uri)
{
    g_autofree char *group = g_strconcat("auth-esx-", uri->host, NULL);
    g_autofree char *name = g_key_file_get_string(file, group, "credentials", NULL);
    g_autofree char *secrets = g_strconcat("credentials-", name, NULL);
    g_autofree char *user = name ? g_key_file_get_string(file, secrets, "username", NULL) : NULL;

    if (!name || (user && uri->user && strcmp(user, uri->user) != 0))
        return NULL;
    if (!uri->user)
        uri->user = g_steal_pointer(&user);
    return g_key_file_get_string(file, secrets, "password", NULL);
}

static char *look_in(const char *folder, const char *name, EsxUri *uri, GError **error)
{
    g_autofree char *path = folder ? g_build_filename(folder, name, NULL) : NULL;
    g_autoptr(GKeyFile) file = path ? load(path, error) : NULL;

    return file ? find(file, uri) : NULL;
}

char *esx_auth_password(EsxDriver *driver, EsxUri *uri, GError **error)
{
    const char *folder = driver->host->dir(driver->core, VIREO_DIR_CONFIG);
    g_autoptr(GError) wrong = NULL;
    char *password = look_in(folder, "auth.conf", uri, &wrong);

    if (!password && !wrong) /* what a service manager hands to the daemon */
        password = look_in(g_getenv("CREDENTIALS_DIRECTORY"), "vireo-esx-auth", uri, &wrong);
    if (!password && !wrong)
        g_set_error(&wrong, VIREO_ERROR, VIREO_ERR_AUTH_FAILED,
                    "no password for %s%s%s: %s/auth.conf needs [auth-esx-%s] with credentials=NAME, and "
                    "[credentials-NAME] with username and password",
                    uri->user ? uri->user : "", uri->user ? "@" : "", uri->host, folder, uri->host);
    if (wrong)
        g_propagate_error(error, g_steal_pointer(&wrong));
    else
        esx_uri_set_user(uri, uri->user ? uri->user : uri->center ? "administrator" : "root");
    return password;
}
