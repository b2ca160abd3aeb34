/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Devices in VMX files: each function takes those of a kind. */
#include "document.h"
#include "vmx.h"

gboolean esx_vmx_read_disks(const EsxVmx *vmx, const EsxVmxHost *host, VireoDomainDevices *devices, GError **error);
/* The others. */
gboolean esx_vmx_read_devices(const EsxVmx *vmx, const EsxVmxHost *host, VireoDomainDevices *devices, GError **error);

gboolean esx_vmx_write_disks(EsxVmx *vmx, const EsxVmxHost *host, const VireoDomainDevices *devices, GError **error);
gboolean esx_vmx_write_devices(EsxVmx *vmx, const EsxVmxHost *host, const VireoDomainDevices *devices, GError **error);

/* INVALID_ARG, with the key. Returns FALSE. */
gboolean esx_vmx_refuse(GError **error, const char *key, const char *value, const char *wanted);

/* The number at key, or absent where there is none. */
gboolean esx_vmx_number(const EsxVmx *vmx, const char *key, guint64 absent, guint64 least, guint64 most, guint64 *into,
                        GError **error);

/* "50 11 5e 16 9b dc 49 d7-f1 71 53 c4 d7 f9 17 10"; free with g_free(). */
char *esx_vmx_uuid_text(const guint8 uuid[16]);
