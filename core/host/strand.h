/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A strand: work that must not overlap, run one after the other on the workers. */
#pragma once

#include "host/workers.h"

typedef struct VireoStrand VireoStrand;

VireoStrand *vireo_strand_new(VireoWorkers *workers);
VireoStrand *vireo_strand_ref(VireoStrand *strand);
void vireo_strand_unref(VireoStrand *strand);

/* Runs work(opaque) on a worker when all earlier work of the strand is done. The strand is held until
 * vireo_strand_done, which the work's owner calls once, from any thread. */
void vireo_strand_push(VireoStrand *strand, gboolean high, VireoWork work, gpointer opaque);
/* Takes the strand at once when nothing runs or waits; FALSE otherwise. The caller then does the work itself. */
gboolean vireo_strand_enter(VireoStrand *strand);
void vireo_strand_done(VireoStrand *strand);
/* Whether nothing runs or waits. */
gboolean vireo_strand_idle(VireoStrand *strand);
