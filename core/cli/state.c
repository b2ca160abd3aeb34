/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words for the numbers of the wire. */
#include "cli/cli.h"

static const char *const states[] = {
    [VIREO_DOMAIN_NOSTATE] = "no state",    [VIREO_DOMAIN_RUNNING] = "running",
    [VIREO_DOMAIN_BLOCKED] = "idle",        [VIREO_DOMAIN_PAUSED] = "paused",
    [VIREO_DOMAIN_SHUTDOWN] = "in shutdown", [VIREO_DOMAIN_SHUTOFF] = "shut off",
    [VIREO_DOMAIN_CRASHED] = "crashed",     [VIREO_DOMAIN_PMSUSPENDED] = "pmsuspended",
};

static const char *const running[] = {
    "unknown", "booted", "migrated", "restored", "from snapshot", "unpaused", "migration canceled",
    "save canceled", "event wakeup", "crashed", "post-copy", "post-copy failed",
};
static const char *const paused[] = {
    "unknown", "user", "migrating", "saving", "dumping", "I/O error", "watchdog", "from snapshot",
    "shutting down", "creating snapshot", "crashed", "starting up", "post-copy", "post-copy failed",
    "API error",
};
static const char *const in_shutdown[] = { "unknown", "user" };
static const char *const shut_off[] = {
    "unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot",
    "daemon",
};
static const char *const crashed[] = { "unknown", "panicked" };

static const char *const lifecycle[] = {
    "Defined", "Undefined", "Started", "Suspended", "Resumed", "Stopped", "Shutdown", "PMSuspended",
    "Crashed",
};
static const char *const defined_details[] = { "Added", "Updated", "Renamed", "Snapshot" };
static const char *const undefined_details[] = { "Removed", "Renamed" };
static const char *const started_details[] = { "Booted", "Migrated", "Restored", "Snapshot", "Event wakeup" };
static const char *const suspended_details[] = {
    "Paused", "Migrated", "I/O Error", "Watchdog", "Restored", "Snapshot", "API error", "Post-copy",
    "Post-copy Error",
};
static const char *const resumed_details[] = {
    "Unpaused", "Migrated", "Snapshot", "Post-copy", "Post-copy Error",
};
static const char *const stopped_details[] = {
    "Shutdown", "Destroyed", "Crashed", "Migrated", "Saved", "Failed", "Snapshot",
};
static const char *const shutdown_details[] = { "Finished", "Finished after guest request",
                                                "Finished after host request" };
static const char *const pmsuspended_details[] = { "Memory", "Disk" };
static const char *const crashed_details[] = { "Panicked", "Crashloaded" };

typedef struct {
    const char *const *names;
    guint n;
} Words;
#define WORDS(array) { array, G_N_ELEMENTS(array) }

static const char *word(const Words *words, int value)
{
    return value >= 0 && (guint)value < words->n && words->names[value] ? words->names[value] : "unknown";
}

const char *vireo_cli_state_name(int state)
{
    static const Words all = WORDS(states);

    return word(&all, state);
}

const char *vireo_cli_reason_name(int state, int reason)
{
    static const Words all[] = {
        [VIREO_DOMAIN_RUNNING] = WORDS(running),      [VIREO_DOMAIN_PAUSED] = WORDS(paused),
        [VIREO_DOMAIN_SHUTDOWN] = WORDS(in_shutdown), [VIREO_DOMAIN_SHUTOFF] = WORDS(shut_off),
        [VIREO_DOMAIN_CRASHED] = WORDS(crashed),
    };

    return state >= 0 && (guint)state < G_N_ELEMENTS(all) ? word(&all[state], reason) : "unknown";
}

const char *vireo_cli_lifecycle_name(int event)
{
    static const Words all = WORDS(lifecycle);

    return word(&all, event);
}

const char *vireo_cli_lifecycle_detail(int event, int detail)
{
    static const Words all[] = {
        WORDS(defined_details), WORDS(undefined_details), WORDS(started_details),
        WORDS(suspended_details), WORDS(resumed_details), WORDS(stopped_details),
        WORDS(shutdown_details), WORDS(pmsuspended_details), WORDS(crashed_details),
    };

    return event >= 0 && (guint)event < G_N_ELEMENTS(all) ? word(&all[event], detail) : "unknown";
}
