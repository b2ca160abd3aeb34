/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usage: test-vim URL MACHINES: typed calls to a vSphere server that answers PowerOffVM_Task after four
 * seconds. Started by ./run. */
#include <stdlib.h>
#include <string.h>

#include "vim.h"

#define USER     "root"
#define PASSWORD "pw"

static const char *url;
static guint machines;
static VimManagedObjectReference service_instance = { .type = "ServiceInstance", .value = "ServiceInstance" };

typedef struct {
    VireoSoap *soap;
    VireoArena *arena;
    VimServiceContent *content;
    GError *error;
    const char *password;
    int logins;
} Fixture;

/* ---- the session ----------------------------------------------------------------- */

static gboolean expired(const GError *error, void *opaque)
{
    return vireo_soap_is_fault(error, "NotAuthenticated");
}

static gboolean login(VireoSoap *soap, const VireoHttpWait *wait, void *opaque, GError **error)
{
    Fixture *f = opaque;
    VimLoginArgs args = { ._this = f->content->session_manager, .user_name = USER, .password = f->password };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    VimLoginRet *ret = vireo_soap_call_plain(soap, &vim_login_operation, &args, wait, arena, error);

    f->logins++;
    if (ret)
        g_assert_cmpstr(ret->returnval->user_name, ==, USER);
    return ret != NULL;
}

static const VireoSoapSession session = { .expired = expired, .login = login, .login_pause_ms = 1 };

static void set_up(Fixture *f, gconstpointer unused)
{
    VireoSoapOptions options = { .service = &vim_service, .path = "/sdk", .session = &session, .opaque = f,
                                 .http = { .url = url, .insecure = TRUE } };
    VimRetrieveServiceContentArgs args = { ._this = &service_instance };

    f->arena = vireo_arena_new();
    f->password = PASSWORD;
    f->soap = vireo_soap_new(&options, &f->error);
    g_assert_no_error(f->error);
    VimRetrieveServiceContentRet *ret = vim_retrieve_service_content(f->soap, &args, NULL, f->arena, &f->error);
    g_assert_no_error(f->error);
    f->content = ret->returnval;
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    vireo_soap_free(f->soap);
    vireo_arena_free(f->arena);
    g_clear_error(&f->error);
}

/* ---- properties ------------------------------------------------------------------ */

static VimRetrievePropertiesRet *retrieve(Fixture *f, VimObjectSpec *object, const char *type, const char **paths,
                                          guint n_paths)
{
    VimPropertySpec properties = { .type = type, .path_set = { n_paths, paths } };
    VimPropertySpec *property_list[] = { &properties };
    VimObjectSpec *object_list[] = { object };
    VimPropertyFilterSpec filter = { .prop_set = { 1, property_list }, .object_set = { 1, object_list } };
    VimPropertyFilterSpec *filters[] = { &filter };
    VimRetrievePropertiesArgs args = { ._this = f->content->property_collector, .spec_set = { 1, filters } };

    return vim_retrieve_properties(f->soap, &args, NULL, f->arena, &f->error);
}

/* Properties of all machines, in one request. */
static VimRetrievePropertiesRet *all_machines(Fixture *f, const char **paths, guint n_paths)
{
    const char *types[] = { "VirtualMachine" };
    VimCreateContainerViewArgs args = { ._this = f->content->view_manager, .container = f->content->root_folder,
                                        .type = { 1, types }, .recursive = TRUE };
    VimCreateContainerViewRet *view = vim_create_container_view(f->soap, &args, NULL, f->arena, &f->error);

    g_assert_no_error(f->error);
    VimTraversalSpec traversal = { .base = { .soap.type = &vim_traversal_spec_type, .name = "members" },
                                   .type = "ContainerView", .path = "view" };
    VimSelectionSpec *select[] = { &traversal.base };
    VimObjectSpec object = { .obj = view->returnval, .has_skip = TRUE, .skip = TRUE, .select_set = { 1, select } };
    return retrieve(f, &object, "VirtualMachine", paths, n_paths);
}

static const VireoSoapValue *property(const VimObjectContent *object, const char *name)
{
    for (guint i = 0; i < object->prop_set.n; i++)
        if (g_str_equal(object->prop_set.items[i]->name, name))
            return object->prop_set.items[i]->val;
    return NULL;
}

static int power_of(const VimObjectContent *object)
{
    return vireo_soap_value_enum(property(object, "runtime.powerState"), &vim_virtual_machine_power_state_names);
}

static void check_devices(const VimVirtualHardware *hardware)
{
    guint disks = 0, cards = 0;

    for (guint i = 0; i < hardware->device.n; i++) {
        VimVirtualDisk *disk = vireo_soap_cast(hardware->device.items[i], &vim_virtual_disk_type);

        disks += disk != NULL;
        if (disk)
            g_assert_cmpint(disk->base.key, !=, 0);
        cards += vireo_soap_cast(hardware->device.items[i], &vim_virtual_ethernet_card_type) != NULL;
    }
    g_assert_cmpuint(disks, ==, 1);
    g_assert_cmpuint(cards, ==, 1);
    g_assert_cmpuint(hardware->device.n, >, 5); /* the others are of types the table leaves out */
}

static void test_machines(Fixture *f, gconstpointer unused)
{
    const char *paths[] = { "name", "runtime.powerState", "config.hardware", "datastore", "config.hardware.device" };
    VimRetrievePropertiesRet *ret = all_machines(f, paths, G_N_ELEMENTS(paths));

    g_assert_no_error(f->error);
    g_assert_cmpint(f->logins, ==, 1); /* nobody asked for it */
    g_assert_cmpuint(ret->returnval.n, ==, machines);
    for (guint i = 0; i < ret->returnval.n; i++) {
        VimObjectContent *object = ret->returnval.items[i];
        VimVirtualHardware *hardware = vireo_soap_value_struct(property(object, "config.hardware"),
                                                               &vim_virtual_hardware_type);

        g_assert_cmpstr(object->obj->type, ==, "VirtualMachine");
        g_assert_nonnull(strstr(vireo_soap_value_text(property(object, "name")), "_VM"));
        g_assert_cmpint(power_of(object), ==, VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON);
        g_assert_cmpint(hardware->num_cpu, >, 0);
        g_assert_cmpint(hardware->memory_mb, >, 0);
        check_devices(hardware);
        /* lists: of references, and of devices of several types */
        const VireoSoapValue *stores = property(object, "datastore");
        g_assert_cmpuint(vireo_soap_value_length(stores), >=, 1);
        VimManagedObjectReference *store = vireo_soap_value_struct(vireo_soap_value_item(stores, 0),
                                                                   &vim_managed_object_reference_type);
        g_assert_cmpstr(store->type, ==, "Datastore");
        g_assert_cmpuint(vireo_soap_value_length(property(object, "config.hardware.device")), ==, hardware->device.n);
    }
}

/* ---- faults ---------------------------------------------------------------------- */

static void test_wrong_password(Fixture *f, gconstpointer unused)
{
    VimManagedObjectReference nobody = { .type = "VirtualMachine", .value = "vm-nobody" };
    VimPowerOnVMTaskArgs args = { ._this = &nobody };

    f->password = "not the password";
    g_assert_null(vim_power_on_vm_task(f->soap, &args, NULL, f->arena, &f->error));
    g_assert_true(vireo_soap_is_fault(f->error, "InvalidLogin"));
    g_assert_null(strstr(f->error->message, f->password));
    g_assert_cmpint(f->logins, ==, 1);
}

static void test_no_such_object(Fixture *f, gconstpointer unused)
{
    VimManagedObjectReference nobody = { .type = "VirtualMachine", .value = "vm-nobody" };
    VimPowerOnVMTaskArgs args = { ._this = &nobody };

    g_assert_null(vim_power_on_vm_task(f->soap, &args, NULL, f->arena, &f->error));
    const VireoSoapFault *fault = vireo_soap_fault(f->error);
    g_assert_nonnull(fault);
    g_assert_cmpstr(fault->type, ==, "ManagedObjectNotFound");
    VimManagedObjectNotFound *detail = vireo_soap_value_struct(fault->detail, &vim_managed_object_not_found_type);
    g_assert_nonnull(detail);
    g_assert_cmpstr(detail->obj->value, ==, "vm-nobody");
}

/* A fault inside a value: why a task failed. */
static void test_failed_task(Fixture *f, gconstpointer unused)
{
    const char *name[] = { "name" }, *info[] = { "info" };
    VimRetrievePropertiesRet *vms = all_machines(f, name, 1);
    VimPowerOnVMTaskArgs args = { ._this = vms->returnval.items[0]->obj };
    VimPowerOnVMTaskRet *task = vim_power_on_vm_task(f->soap, &args, NULL, f->arena, &f->error);

    g_assert_no_error(f->error);
    VimObjectSpec object = { .obj = task->returnval };
    VimRetrievePropertiesRet *found = retrieve(f, &object, "Task", info, 1);
    g_assert_no_error(f->error);
    VimTaskInfo *told = vireo_soap_value_struct(property(found->returnval.items[0], "info"), &vim_task_info_type);
    g_assert_cmpint(told->state, ==, VIM_TASK_INFO_STATE_ERROR);
    VimInvalidPowerState *why = vireo_soap_cast(told->error->fault, &vim_invalid_power_state_type);
    g_assert_nonnull(why);
    g_assert_cmpint(why->existing_state, ==, VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON);
}

/* ---- a session that ends, and a slow call beside fast ones -------------------------- */

static void test_session_ends(Fixture *f, gconstpointer unused)
{
    const char *paths[] = { "name" };
    VimLogoutArgs logout = { ._this = f->content->session_manager };

    g_assert_nonnull(all_machines(f, paths, 1));
    g_assert_cmpint(f->logins, ==, 1);
    vim_logout(f->soap, &logout, NULL, f->arena, &f->error);
    g_assert_no_error(f->error);
    g_assert_nonnull(all_machines(f, paths, 1));
    g_assert_no_error(f->error);
    g_assert_cmpint(f->logins, ==, 2);
}

typedef struct {
    VireoSoap *soap;
    VimManagedObjectReference *vm;
} Slow;

static gpointer power_off(gpointer opaque)
{
    Slow *slow = opaque;
    VimPowerOffVMTaskArgs args = { ._this = slow->vm };
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;

    g_assert_nonnull(vim_power_off_vm_task(slow->soap, &args, NULL, arena, &error));
    return NULL;
}

static void test_slow_call(Fixture *f, gconstpointer unused)
{
    const char *paths[] = { "runtime.powerState" };
    VimRetrievePropertiesRet *vms = all_machines(f, paths, 1);
    VimObjectContent *last = vms->returnval.items[vms->returnval.n - 1];
    Slow slow = { f->soap, last->obj };
    gint64 begin = g_get_monotonic_time(), longest = 0;
    GThread *thread = g_thread_new("power-off", power_off, &slow);

    g_usleep(200 * 1000);
    for (guint i = 0; i < 20; i++) {
        VimObjectSpec object = { .obj = last->obj };
        gint64 one = g_get_monotonic_time();

        vms = retrieve(f, &object, "VirtualMachine", paths, 1);
        g_assert_no_error(f->error);
        longest = MAX(longest, g_get_monotonic_time() - one);
        g_assert_cmpint(power_of(vms->returnval.items[0]), ==, VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_ON);
    }
    g_assert_cmpint(longest, <, 1000 * 1000);
    g_thread_join(thread);
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 4 * G_USEC_PER_SEC);
    g_test_message("the longest of 20 calls beside one of 4 s took %d ms", (int)(longest / 1000));
    VimObjectSpec object = { .obj = last->obj };
    vms = retrieve(f, &object, "VirtualMachine", paths, 1);
    g_assert_cmpint(power_of(vms->returnval.items[0]), ==, VIM_VIRTUAL_MACHINE_POWER_STATE_POWERED_OFF);
}

#define ADD(name, func) g_test_add("/vim/" name, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 3);
    url = argv[1];
    machines = (guint)atoi(argv[2]);
    ADD("machines", test_machines);
    ADD("wrong-password", test_wrong_password);
    ADD("no-such-object", test_no_such_object);
    ADD("failed-task", test_failed_task);
    ADD("session-ends", test_session_ends);
    ADD("slow-call", test_slow_call);
    return g_test_run();
}
