/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ends any program that links it: whoever only reads it goes on. */
#include "../loader/modules/base.h"

#include <unistd.h>

__attribute__((constructor)) static void end_program(void)
{
    _exit(99);
}

MODULE(constructor, BASE_OPS)
