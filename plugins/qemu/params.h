/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "driver.h"

/* Typed parameters of an answer, collected and then handed over in one piece. */
typedef struct {
    const struct vireo_host *host;
    vireo_call *call;
    GArray *list; /* vireo_typed_param */
} QemuParams;

void qemu_params_init(QemuParams *params, QemuDriver *driver, vireo_call *call);
void qemu_params_clear(QemuParams *params);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QemuParams, qemu_params_clear)

void qemu_param_int(QemuParams *params, const char *name, gint32 value);
void qemu_param_uint(QemuParams *params, const char *name, guint32 value);
void qemu_param_ullong(QemuParams *params, const char *name, guint64 value);
void qemu_param_llong(QemuParams *params, const char *name, gint64 value);
void qemu_param_boolean(QemuParams *params, const char *name, gboolean value);
void qemu_param_string(QemuParams *params, const char *name, const char *value);
/* Memory of the call; *len is the number. */
vireo_typed_param *qemu_params_take(QemuParams *params, guint32 *len);
