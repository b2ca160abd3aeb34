/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a child and its parent share. */
#pragma once

#include "tools/check/check.h"

#define CHECK_SLOTS  64
#define CHECK_NOBODY CHECK_SLOTS /* no function of the driver was running */

typedef struct {
    struct {
        char what[96];
        gint64 since; /* milliseconds; 0: has returned */
    } slots[CHECK_SLOTS];
    int n_slots;
    int last;    /* the slot that was entered last */
    int culprit; /* the one whose thread died or exited; -1: not known */
    guint step, first_step;
} CheckShared;

/* FAIL_OF: a check's name, a blank, and the finding. */
enum {
    CHECK_SAYS_FAIL = 'F',
    CHECK_SAYS_FAIL_OF = 'O',
    CHECK_SAYS_SKIP = 'S',
    CHECK_SAYS_NOTE = 'N',
    CHECK_SAYS_DONE = 'D',
};

gint64 check_now(void); /* monotonic milliseconds */
/* In the child: before and after the check. catch_signals: not where a sanitizer does. */
void check_child_begin(CheckShared *memory, int fd, const char *dir, gboolean catch_signals);
/* The function of the driver that the one to blame was in, or NULL. */
const char *check_where(const CheckShared *shared);
void check_child_end(void) G_GNUC_NORETURN;
