/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread that must not end the process. While it is guarded, a call of exit() on it does not come to an
 * end: the one who set the guard is told, and the thread sleeps for ever. _exit() and signals are not held
 * up; they need a process of their own.
 */
#pragma once

#include <glib.h>

/* Runs on the thread that called exit. */
typedef void (*VireoExitCaught)(int status, gpointer opaque);

/* Guards the calling thread until vireo_exit_unguard. */
void vireo_exit_guard(VireoExitCaught caught, gpointer opaque);
void vireo_exit_unguard(void);
