/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/password.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/error.h"

#define MOST_BYTES (256 * 1024)

void vireo_password_free(char *secret)
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
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_AUTH_FAILED, "%s is no regular file", path);
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_AUTH_FAILED, "%s belongs to somebody else than the daemon's user",
                    path);
    else if (st.st_mode & 077)
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_AUTH_FAILED, "%s can be read by others: chmod 600 it", path);
    else if (st.st_size > MOST_BYTES)
        g_set_error(error, VIREO_ERROR, VIREO_ERROR_AUTH_FAILED, "%s is too large", path);
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
            g_set_error(error, VIREO_ERROR, VIREO_ERROR_AUTH_FAILED, "%s: %s", path, g_strerror(errno));
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
    g_set_error(error, VIREO_ERROR, VIREO_ERROR_AUTH_FAILED, "%s is no file of [groups] with key=value lines", path);
    return NULL;
}

static char *find(GKeyFile *file, const char *kind, const char *host, char **user)
{
    g_autofree char *group = g_strdup_printf("auth-%s-%s", kind, host);
    g_autofree char *name = g_key_file_get_string(file, group, "credentials", NULL);
    g_autofree char *secrets = g_strconcat("credentials-", name, NULL);
    g_autofree char *known = name ? g_key_file_get_string(file, secrets, "username", NULL) : NULL;

    if (!name || (known && *user && strcmp(known, *user) != 0))
        return NULL;
    if (!*user)
        *user = g_steal_pointer(&known);
    return g_key_file_get_string(file, secrets, "password", NULL);
}

static char *look_in(const char *folder, const char *name, const char *kind, const char *host, char **user,
                     GError **error)
{
    g_autofree char *path = folder ? g_build_filename(folder, name, NULL) : NULL;
    g_autoptr(GKeyFile) file = path ? load(path, error) : NULL;

    return file ? find(file, kind, host, user) : NULL;
}

char *vireo_password_find(const char *folder, const char *kind, const char *host, char **user, GError **error)
{
    g_autofree char *credential = g_strdup_printf("vireo-%s-auth", kind);
    g_autoptr(GError) wrong = NULL;
    char *password = look_in(folder, "auth.conf", kind, host, user, &wrong);

    if (!password && !wrong)
        password = look_in(g_getenv("CREDENTIALS_DIRECTORY"), credential, kind, host, user, &wrong);
    if (wrong)
        g_propagate_error(error, g_steal_pointer(&wrong));
    return password;
}

void vireo_password_missing(const char *folder, const char *kind, const char *host, const char *user, GError **error)
{
    g_set_error(error, VIREO_ERROR, VIREO_ERROR_AUTH_FAILED,
                "no password for %s%s%s: %s/auth.conf needs [auth-%s-%s] with credentials=NAME, and "
                "[credentials-NAME] with username and password",
                user ? user : "", user ? "@" : "", host, folder, kind, host);
}
