/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Errors of this domain carry, as their code, the error number a client sees on the wire.
 * Only the numbers that code outside the catalogue raises are named here. */
#define VIREO_ERROR (vireo_error_quark())

typedef enum {
    VIREO_ERROR_INTERNAL_ERROR = 1,
    VIREO_ERROR_NO_MEMORY = 2,
    VIREO_ERROR_NO_SUPPORT = 3,
    VIREO_ERROR_NO_CONNECT = 5,
    VIREO_ERROR_INVALID_ARG = 8,
    VIREO_ERROR_OPERATION_FAILED = 9,
    VIREO_ERROR_HTTP_ERROR = 12,
    VIREO_ERROR_XML_ERROR = 27,
    VIREO_ERROR_XML_DETAIL = 35,
    VIREO_ERROR_AUTH_FAILED = 45,
    VIREO_ERROR_OPERATION_INVALID = 55,
    VIREO_ERROR_CONFIG_UNSUPPORTED = 67,
    VIREO_ERROR_OPERATION_TIMEOUT = 68,
    VIREO_ERROR_OPERATION_ABORTED = 78,
    VIREO_ERROR_XML_INVALID_SCHEMA = 92,
} VireoError;

GQuark vireo_error_quark(void);

G_END_DECLS
