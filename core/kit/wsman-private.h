/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kit/wsman.h"

#define WSMAN_ENUMERATION     "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
#define WSMAN_WQL             "http://schemas.microsoft.com/wbem/wsman/1/WQL"
#define WSMAN_FAULT_TIMED_OUT 2150858793u
#define WSMAN_SLACK_MS        15000 /* the service gives up first */

/* ---- wsman.c ----------------------------------------------------------------------- */

/* The message up to its body. path: the selectors, may be NULL; more: headers, as XML. id: gets the message's, caller
 * frees. */
GString *wsman_begin(VireoWsman *wsman, const char *uri, const char *action, const VireoCim *path, const char *more,
                     guint operation_ms, char **id);
/* Ends the message, and sends it as often as the service says that it has too much to do. Takes message and id. */
gboolean wsman_talk(VireoWsman *wsman, GString *message, char *id, gboolean safe, VireoWsmanAnswer *answer,
                    const VireoHttpWait *wait, GError **error);
/* FALSE: what was asked for is not in the answer. */
gboolean wsman_no_body(const VireoWsman *wsman, GError **error);

/* ---- wsman-answer.c ---------------------------------------------------------------- */

/* number 0: none; subcode NULL: none. */
GError *wsman_error_new(VireoWsmanError code, guint32 number, const char *subcode, const char *text);

/* ---- wsman-seal.c: NTLM or Kerberos for one connection -------------------------------- */

typedef struct WsmanLogin WsmanLogin; /* who logs in, and where; for any number of connections at a time */
typedef struct WsmanSeal WsmanSeal;

/* NULL: this host has no NTLM, or it does not take the password. user "": that of the ticket. */
WsmanLogin *wsman_login_new(VireoWsmanAuth auth, const char *host, const char *user, const char *password,
                            GError **error);
/* NULL is fine. */
void wsman_login_free(WsmanLogin *login);
/* Does not outlive login. NULL: there is no ticket. */
WsmanSeal *wsman_seal_new(const WsmanLogin *login, GError **error);
void wsman_seal_free(WsmanSeal *seal);
/* The next token holds on the connection to the server with that certificate alone. NULL: that does not matter. */
void wsman_seal_bind(WsmanSeal *seal, GBytes *certificate);
/* The header with the next token for the server; challenge: the server's, in Base64, NULL at first. NULL without an
 * error: there is none to send. Caller frees. */
char *wsman_seal_step(WsmanSeal *seal, const char *challenge, GError **error);
gboolean wsman_seal_ready(const WsmanSeal *seal);
/* The header that says how messages are encrypted. Caller frees. */
char *wsman_seal_type(const WsmanSeal *seal);
/* The body of an encrypted message. */
GString *wsman_seal_wrap(WsmanSeal *seal, const GString *plain, GError **error);
/* What is in one. */
GString *wsman_seal_unwrap(WsmanSeal *seal, const GString *message, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(WsmanSeal, wsman_seal_free)
