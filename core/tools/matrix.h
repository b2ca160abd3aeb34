/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The support matrix: drivers x operations x flags, from the notes of modules. */
#pragma once

#include "loader/note.h"

typedef enum { VIREO_MATRIX_HTML, VIREO_MATRIX_MARKDOWN } VireoMatrixFormat;

/* The whole page; notes: VireoNote, a column each. Free with g_free. */
char *vireo_matrix_page(const GPtrArray *notes, VireoMatrixFormat format);
