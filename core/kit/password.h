/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Passwords for servers, from a file in the format that libvirt's clients know:
 *
 *     [credentials-NAME]
 *     username=...
 *     password=...
 *
 *     [auth-KIND-HOST]
 *     credentials=NAME
 *
 * A file that anybody but the daemon's user can read is refused. libvirt's group auth-KIND-default is not looked at:
 * whoever may connect says to which host, and would get that password sent to his own. */

/* The password for *user on host; where *user is NULL, the user of the file is put there (caller frees both). It is
 * looked for in FOLDER/auth.conf, and then in the credential vireo-KIND-auth that a service manager hands to the
 * daemon. NULL without an error: there is none. Blocks. Errors are VIREO_ERROR_AUTH_FAILED. */
char *vireo_password_find(const char *folder, const char *kind, const char *host, char **user, GError **error);
/* What there would have to be, as an error. */
void vireo_password_missing(const char *folder, const char *kind, const char *host, const char *user, GError **error);
/* Overwrites it first. NULL is fine. */
void vireo_password_free(char *secret);

G_END_DECLS
