/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <vireo/driver.h>

G_BEGIN_DECLS

/* Typed parameters of an answer, collected and then handed over in one piece. */
typedef struct {
    const struct vireo_host *host;
    vireo_call *call;
    GArray *list; /* vireo_typed_param */
} VireoParams;

void vireo_params_init(VireoParams *params, const struct vireo_host *host, vireo_call *call);
void vireo_params_clear(VireoParams *params);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VireoParams, vireo_params_clear)

void vireo_param_int(VireoParams *params, const char *name, gint32 value);
void vireo_param_uint(VireoParams *params, const char *name, guint32 value);
void vireo_param_ullong(VireoParams *params, const char *name, guint64 value);
void vireo_param_llong(VireoParams *params, const char *name, gint64 value);
void vireo_param_boolean(VireoParams *params, const char *name, gboolean value);
void vireo_param_string(VireoParams *params, const char *name, const char *value);
/* Memory of the call; *len is the number. */
vireo_typed_param *vireo_params_take(VireoParams *params, guint32 *len);

G_END_DECLS
