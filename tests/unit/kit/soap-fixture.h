/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

#include "zoo.h"

/* A server of its own for a test: a process that ends with this one. */
typedef struct {
    GSubprocess *process;
    GDataInputStream *out;
    int port;
} Server;

/* kind: "http", "proxy", "https" with the files of its certificate and key, or "again" with a port. */
void server_start(Server *server, const char *kind, const char *cert, const char *key);
void server_stop(Server *server);
/* What it printed; caller frees. */
char *server_line(Server *server);
char *server_url(const Server *server, const char *scheme);

/* A client with the options of the caller, url and service filled in. */
VireoSoap *client_new(const Server *server, VireoSoapOptions options);
/* Calls List, which is told by the filter how to go wrong. */
ZooListRet *list(VireoSoap *soap, const char *filter, const VireoHttpWait *wait, VireoArena *arena, GError **error);
/* The same; *total, or -1, and the first name in *name when not NULL. */
gboolean list_simple(VireoSoap *soap, const char *filter, const VireoHttpWait *wait, int *total, char **name,
                     GError **error);
gint64 ms_since(gint64 begin);
