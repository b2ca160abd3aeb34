/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usage: soap URL: a typed call to a server that answers with two trees. */
#include <kit/http.h>

#include "park.h"

int main(int argc, char **argv)
{
    VireoSoapOptions options = { .service = &park_service, .http = { .url = argc > 1 ? argv[1] : NULL } };
    ParkTree tree = { .name = "oak & elm", .has_metres = TRUE, .metres = 3 };
    ParkPlantArgs args = { .tree = &tree };
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(VireoSoap) soap = vireo_soap_new(&options, &error);

    g_assert_no_error(error);
    ParkPlantRet *ret = park_plant(soap, &args, NULL, arena, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(ret->returnval.n, ==, 2);
    g_assert_cmpstr(ret->returnval.items[0]->name, ==, "oak & elm");
    g_assert_cmpint(ret->returnval.items[1]->metres, ==, 4);
    return 0;
}
