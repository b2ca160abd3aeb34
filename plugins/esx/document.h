/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What every domain document of a vSphere machine has in common, wherever it comes from. Plain functions. */
#include "kit/document.h"

/* KiB to the MiB a server takes: multiples of 4, upwards. */
#define ESX_MEMORY_MIB(kib) (((kib) + 4095) / 4096 * 4)

/* As vSphere wants names: % / and \ are written with %; and back. Caller frees. */
char *esx_escape_name(const char *name);
char *esx_plain_name(const char *escaped);

/* Pairs of hexadecimal digits, with spaces and dashes between them where they like. */
gboolean esx_read_uuid(const char *text, guint8 uuid[16]);

/* Sets <os>, <clock> and what happens at the end. guest: such as "otherGuest64"; NULL: unknown. */
void esx_describe_os(VireoDomain *domain, const char *guest, const char *firmware);

/* Whether there can be such a machine at all. */
gboolean esx_acceptable(const VireoDomain *domain, GError **error);

/* How many CPUs it asks for, and how many of them as cores of one socket (0: it does not say). */
gboolean esx_cores(const VireoDomain *domain, guint *cpus, guint *cores, GError **error);
