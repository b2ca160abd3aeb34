/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events from drivers to whoever subscribed. Delivery happens on the publishing thread, in the order
 * of the changes of one space, and must not block: a subscriber queues.
 */
#pragma once

#include <glib.h>
#include "ops/catalogue.h"

typedef struct VireoEventHub VireoEventHub;

/* One event for one subscriber: `op` is the message to send and msg its struct, with the subscriber's
 * callback id filled in; both valid during the call. */
typedef void (*VireoEventDeliver)(const VireoOp *op, gconstpointer msg, gpointer opaque);

VireoEventHub *vireo_event_hub_new(void);
void vireo_event_hub_free(VireoEventHub *hub);

/* The event that a registration call names by object class and the API's event number; NULL unknown. */
const VireoOp *vireo_event_find(guint klass, gint event_id);
/* The message without callback id that predates callbacks, for `vireo_event_find`'s result; NULL
 * when that event has none. */
const VireoOp *vireo_event_legacy(const VireoOp *event);

/* Subscribes to an event of a space. callback_id < 0: the legacy message. domain_uuid NULL: all
 * objects. Returns a handle for vireo_event_unsubscribe, after which deliver is not running any more. */
guint64 vireo_event_subscribe(VireoEventHub *hub, const vireo_space *space, const VireoOp *event,
                              gint32 callback_id, const guint8 *domain_uuid,
                              VireoEventDeliver deliver, gpointer opaque);
void vireo_event_unsubscribe(VireoEventHub *hub, guint64 handle);

/* Hands an event to its subscribers; event is an enum vireo_event_id. */
void vireo_event_emit(VireoEventHub *hub, const vireo_space *space, guint32 event, gconstpointer msg);

/* How many events were emitted so far: the sequence number of the newest. */
guint64 vireo_event_sequence(VireoEventHub *hub);
