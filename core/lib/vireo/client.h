/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client library, for programs outside this tree: cc $(pkg-config --cflags --libs vireo-client). */
#pragma once

#include <lib/vireo_client.h>
