/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The near end's copy of what a far driver publishes, in spaces of the near core. It outlives the
 * channel: when the far end comes again, what it does not name any more is withdrawn, and what
 * changed while it was away raises its events. Shared by the client's files only; one thread at a
 * time.
 */
#pragma once

#include "far/channel.h"
#include "host/host.h"

typedef struct VireoFarMirror VireoFarMirror;

VireoFarMirror *vireo_far_mirror_new(vireo_core *core);
void vireo_far_mirror_free(VireoFarMirror *mirror);

/* A far end begins to tell what there is. */
void vireo_far_mirror_begin(VireoFarMirror *mirror);
/* Takes a SPACE, PUBLISH, WITHDRAW, TREE or EVENT. FALSE when it makes no sense. */
gboolean vireo_far_mirror_take(VireoFarMirror *mirror, const VireoFarMessage *message,
                               GError **error);
/* It has told everything. A space that is awaited (more is to come when a connection has been
 * opened again) is not swept before the last of those is settled. */
void vireo_far_mirror_end(VireoFarMirror *mirror);
void vireo_far_mirror_await(VireoFarMirror *mirror, vireo_space *space);
void vireo_far_mirror_settle(VireoFarMirror *mirror, vireo_space *space, gboolean told);

/* By the far end's number; NULL: none. */
vireo_space *vireo_far_mirror_space(VireoFarMirror *mirror, guint32 number);
