/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VMX files: a machine's configuration as the hypervisor keeps it in the machine's folder, and as a domain document.
 * Plain functions: no server, no files. */
#include "kit/model.h"

G_BEGIN_DECLS

/* ---- vmx_text.c: lines of `key = "value"` ----------------------------------------------- */

/* Keys are the same in upper and lower case. */
typedef struct EsxVmx EsxVmx;

EsxVmx *esx_vmx_new(void);
/* Refuses, with INVALID_ARG and the line, what is not a VMX file. */
EsxVmx *esx_vmx_parse(const char *text, GError **error);
void esx_vmx_free(EsxVmx *vmx);
/* In the order in which the keys were set; free with g_free(). */
char *esx_vmx_format(const EsxVmx *vmx);

/* The value, owned by vmx; NULL: it has none, or an empty one. */
const char *esx_vmx_get(const EsxVmx *vmx, const char *key, ...) G_GNUC_PRINTF(2, 3);
/* Whether the value is true; absent: what it is when there is none. */
gboolean esx_vmx_is(const EsxVmx *vmx, gboolean absent, const char *key, ...) G_GNUC_PRINTF(3, 4);
/* A NULL value sets nothing. */
void esx_vmx_set(EsxVmx *vmx, const char *value, const char *key, ...) G_GNUC_PRINTF(3, 4);

/* ---- vmx_read.c, vmx_write.c: as a domain document ---------------------------------------- */

/* The host the file is of, or for. */
typedef struct {
    GHashTable *stores; /* folder below /vmfs/volumes -> name of the datastore; NULL: the folders have the names */
    guint hardware;     /* what virtualHW.version it writes, such as 13 */
} EsxVmxHost;

/* Files without a folder are shown as '[?] ?/FILE'. Errors: INVALID_ARG, with the key. */
VireoDomain *esx_vmx_read(const EsxVmx *vmx, const EsxVmxHost *host, GError **error);

/* Errors: CONFIG_UNSUPPORTED, with path and line, for what a VMX file cannot say. */
EsxVmx *esx_vmx_write(const VireoDomain *domain, const EsxVmxHost *host, GError **error);
/* What it can say. */
extern const char *const esx_vmx_honoured[];

/* ---- both ways: what has another name here ------------------------------------------------ */

typedef struct {
    const char *vmx, *xml;
} EsxVmxName;

extern const EsxVmxName esx_vmx_scsi_models[], esx_vmx_schemes[];
const char *esx_vmx_name_in(const EsxVmxName *names, const char *vmx);
const char *esx_vmx_name_out(const EsxVmxName *names, const char *xml);

/* '/vmfs/volumes/STORE/DIR/FILE' as '[STORE] DIR/FILE', and back. */
char *esx_vmx_file_in(const EsxVmxHost *host, const char *file);
char *esx_vmx_file_out(const EsxVmxHost *host, const char *file);

#define ESX_VMX_CARDS 10
#define ESX_VMX_SERIALS 4
#define ESX_VMX_PARALLELS 3
#define ESX_VMX_CPU_SHARES 1000 /* of one CPU, at level normal */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EsxVmx, esx_vmx_free)

G_END_DECLS
