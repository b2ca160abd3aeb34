/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kit/disk.h"

#include <string.h>

char *vireo_disk_name(const char *prefix, guint index)
{
    char text[8] = "";
    guint at = sizeof text - 1;

    do {
        text[--at] = (char)('a' + index % 26);
        index = index / 26;
    } while (index-- && at);
    return g_strconcat(prefix, text + at, NULL);
}

int vireo_disk_number(const char *target, const char *prefix)
{
    int number = 0;

    if (!g_str_has_prefix(target, prefix) || strlen(target) < 3 || strlen(target) > 5)
        return -1;
    for (target += 2; *target; target++) {
        if (*target < 'a' || *target > 'z')
            return -1;
        number = number * 26 + (*target - 'a' + 1);
    }
    return number - 1;
}

VireoDeviceAddress *vireo_disk_address(guint controller, guint bus, guint unit)
{
    VireoDeviceAddress *address = g_new0(VireoDeviceAddress, 1);

    address->type = VIREO_ADDRESS_TYPE_DRIVE;
    address->has_controller = address->has_bus = address->has_target = address->has_unit = TRUE;
    address->controller = controller;
    address->bus = bus;
    address->unit = unit;
    return address;
}
