/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kit/wsman.h"

/* ---- wsman-answer.c ---------------------------------------------------------------- */

/* number 0: none; subcode NULL: none. */
GError *wsman_error_new(VireoWsmanError code, guint32 number, const char *subcode, const char *text);

/* ---- wsman-seal.c: NTLM for one connection ------------------------------------------- */

typedef struct WsmanSeal WsmanSeal;

/* NULL: this host has no NTLM, or it does not take the password. */
WsmanSeal *wsman_seal_new(const char *host, const char *user, const char *password, GError **error);
void wsman_seal_free(WsmanSeal *seal);
/* The next token for the server, in Base64; challenge: the server's, NULL at first. NULL without an error: there is
 * none to send. Caller frees. */
char *wsman_seal_step(WsmanSeal *seal, const char *challenge, GError **error);
gboolean wsman_seal_ready(WsmanSeal *seal);
/* The body of an encrypted message. */
GString *wsman_seal_wrap(WsmanSeal *seal, const GString *plain, GError **error);
/* What is in one. */
GString *wsman_seal_unwrap(WsmanSeal *seal, const GString *message, GError **error);

#define WSMAN_SEALED_TYPE                                                                                              \
    "multipart/encrypted;protocol=\"application/HTTP-SPNEGO-session-encrypted\";boundary=\"Encrypted Boundary\""
