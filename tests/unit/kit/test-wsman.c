/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers of a real host to exact values (wire-rec), and what has none recorded (sim). */
#include <dlfcn.h>
#include <gmodule.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <string.h>

#include "kit/wsman.h"

#define V2   VIREO_WSMAN_WMI "root/virtualization/v2/"
#define SOAP "http://www.w3.org/2003/05/soap-envelope"
#define N    "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
#define W    "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"

static void read_recording(const char *name, VireoWsmanAnswer *answer)
{
    g_autofree char *path = g_build_filename(g_getenv("VIREO_RECORDINGS"), name, NULL), *text = NULL;
    g_autoptr(GError) error = NULL;
    gsize len;

    g_file_get_contents(path, &text, &len, &error);
    g_assert_no_error(error);
    vireo_wsman_answer_read(text, len, answer, &error);
    g_assert_no_error(error);
}

static void read_text(const char *body, VireoWsmanAnswer *answer, GError **error)
{
    g_autofree char *text = g_strconcat("<env:Envelope xmlns:env='" SOAP "'>"
                                        "<env:Header/><env:Body>",
                                        body, "</env:Body></env:Envelope>", NULL);

    vireo_wsman_answer_read(text, strlen(text), answer, error);
}

/* ---- wire-rec ---------------------------------------------------------------------- */

static void test_rec_enumerate(void)
{
    g_auto(VireoWsmanAnswer) answer = {0};

    read_recording("recorded_computersystem_enumerate.xml", &answer);
    g_assert_cmpstr(answer.relates_to, ==, "uuid:00000000-0000-4000-8000-000000000002");
    g_assert_cmpstr(answer.context, ==, "uuid:00000000-0000-4000-8000-000000000003");
    g_assert_false(answer.end);
    g_assert_cmpuint(answer.items->len, ==, 0);
}

static void test_rec_host(void)
{
    g_auto(VireoWsmanAnswer) answer = {0};

    read_recording("recorded_computersystem_pull_host.xml", &answer);
    g_assert_cmpuint(answer.items->len, ==, 1);
    const VireoCim *host = answer.items->pdata[0];
    g_assert_cmpstr(vireo_cim_class(host), ==, "Msvm_ComputerSystem");
    g_assert_cmpstr(vireo_cim_uri(host), ==, V2 "Msvm_ComputerSystem");
    g_assert_cmpstr(vireo_cim_text(host, "Caption"), ==, "ホスト コンピューター システム");
    g_assert_cmpstr(vireo_cim_text(host, "Name"), ==, "scrubbed-1");
    g_assert_null(vireo_cim_text(host, "ProcessID"));
    g_assert_cmpint(vireo_cim_time(host, "InstallDate"), ==, 0);
    g_assert_cmpuint(vireo_cim_number(host, "RequestedState"), ==, 12);
}

static void test_rec_machine(void)
{
    g_auto(VireoWsmanAnswer) answer = {0};
    guint properties = 0;

    read_recording("recorded_computersystem_pull_vm_running_a.xml", &answer);
    g_assert_cmpstr(answer.context, ==, "uuid:00000000-0000-4000-8000-000000000009");
    const VireoCim *vm = answer.items->pdata[0];
    while (vireo_cim_name_at(vm, properties))
        properties++;
    g_assert_cmpuint(properties, ==, 41);
    g_assert_cmpstr(vireo_cim_text(vm, "ElementName"), ==, "scrubbed-3");
    g_assert_cmpstr(vireo_cim_text(vm, "Name"), ==, "00000000-0000-4000-8000-00000000000a");
    g_assert_cmpuint(vireo_cim_number(vm, "EnabledState"), ==, 2);
    g_assert_cmpuint(vireo_cim_number(vm, "ProcessID"), ==, 9624);
    g_assert_cmpuint(vireo_cim_number(vm, "OnTimeInMilliseconds"), ==, 6138294371);
    g_assert_cmpuint(vireo_cim_count(vm, "OperationalStatus"), ==, 1);
    g_assert_cmpint(vireo_cim_time(vm, "InstallDate"), ==, 1765965322702341);
    g_assert_cmpint(vireo_cim_time(vm, "LastReplicationTime"), ==, 0);
    g_assert_cmpuint(vireo_cim_count(vm, "TransitioningToState"), ==, 0);
}

static void test_rec_reference(void)
{
    g_auto(VireoWsmanAnswer) answer = {0};

    read_recording("recorded_affectedjobelement_pull_created.xml", &answer);
    g_assert_null(answer.context);
    g_assert_true(answer.end);
    const VireoCim *row = answer.items->pdata[0];
    const VireoCim *made = vireo_cim_path(row, "AffectedElement"), *job = vireo_cim_path(row, "AffectingElement");
    g_assert_cmpstr(vireo_cim_uri(made), ==, V2 "Msvm_VirtualSystemSettingData");
    g_assert_cmpstr(vireo_cim_text(made, "InstanceID"), ==, "Microsoft:00000000-0000-4000-8000-000000000083");
    g_assert_cmpstr(vireo_cim_class(job), ==, "Msvm_ConcreteJob");
    g_assert_cmpstr(vireo_cim_text(job, "InstanceID"), ==, "00000000-0000-4000-8000-000000000066");
    g_assert_cmpuint(vireo_cim_number(row, "ElementEffects"), ==, 5);
}

/* ---- sim --------------------------------------------------------------------------- */

/* The end of an optimised enumeration stands in another namespace, beside an empty context. */
static void test_sim_optimised(void)
{
    g_auto(VireoWsmanAnswer) answer = {0};
    g_autoptr(GError) error = NULL;

    read_text("<n:EnumerateResponse xmlns:n='" N "' xmlns:w='" W "'><n:EnumerationContext></n:EnumerationContext><w:Items>"
              "<w:XmlFragment xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'><Name>a</Name><Id xsi:nil='true'/>"
              "</w:XmlFragment><x:Foo xmlns:x='urn:other'><y:Name xmlns:y='urn:y'>b</y:Name><Tag>1</Tag><Tag>2</Tag></x:Foo>"
              "</w:Items><w:EndOfSequence/></n:EnumerateResponse>",
              &answer, &error);
    g_assert_no_error(error);
    g_assert_true(answer.end);
    g_assert_null(answer.context);
    g_assert_cmpuint(answer.items->len, ==, 2);
    g_assert_cmpstr(vireo_cim_text(answer.items->pdata[0], "name"), ==, "a");
    g_assert_null(vireo_cim_text(answer.items->pdata[0], "Id"));
    g_assert_cmpstr(vireo_cim_text(answer.items->pdata[1], "Name"), ==, "b");
    g_assert_cmpuint(vireo_cim_count(answer.items->pdata[1], "Tag"), ==, 2);
}

static void test_sim_fault(void)
{
    g_auto(VireoWsmanAnswer) answer = {0};
    g_autoptr(GError) error = NULL;

    read_text("<s:Fault xmlns:s='" SOAP "'><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:InternalError</s:Value>"
              "</s:Subcode></s:Code><s:Reason><s:Text xml:lang=''>outer </s:Text></s:Reason><s:Detail><f:WSManFault "
              "xmlns:f='urn:f' Code='2150859010' Machine='h'><f:Message><f:ProviderFault provider='WMI'><f:WSManFault "
              "Code='2147749889'><f:Message> Generic failure \n</f:Message></f:WSManFault></f:ProviderFault></f:Message>"
              "</f:WSManFault></s:Detail></s:Fault>",
              &answer, &error);
    g_assert_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_FAULT);
    g_assert_cmpstr(error->message, ==, "Generic failure");
    g_assert_cmpuint(vireo_wsman_error_number(error), ==, 2147749889);
    g_assert_cmpstr(vireo_wsman_error_subcode(error), ==, "InternalError");
}

/* With prefixes as OMI has them, or none, it is the same answer; in another namespace a name means nothing. */
static void test_sim_namespaces(void)
{
    static const char other[] =
        "<SOAP-ENV:Envelope xmlns:SOAP-ENV='" SOAP "' xmlns:wsa='http://schemas.xmlsoap.org/ws/2004/08/addressing'>"
        "<SOAP-ENV:Header><x:RelatesTo xmlns:x='urn:x'>no</x:RelatesTo><wsa:RelatesTo>uuid:1</wsa:RelatesTo></SOAP-ENV:Header>"
        "<SOAP-ENV:Body><PullResponse xmlns='" N "'><x:EnumerationContext xmlns:x='urn:x'>no</x:EnumerationContext>"
        "<EnumerationContext>12</EnumerationContext><Items><p:Foo xmlns:p='urn:cim'><p:Inner><p:Date>1</p:Date><p:Z>2</p:Z>"
        "</p:Inner><p:When><c:Datetime xmlns:c='http://schemas.dmtf.org/wbem/wscim/1/common'>2025-12-17T09:55:22Z</c:Datetime>"
        "</p:When></p:Foo></Items><EndOfSequence xmlns='urn:x'/></PullResponse></SOAP-ENV:Body></SOAP-ENV:Envelope>";
    g_auto(VireoWsmanAnswer) answer = {0}, no_fault = {0};
    g_autoptr(GError) error = NULL;

    g_assert_true(vireo_wsman_answer_read(other, strlen(other), &answer, &error));
    g_assert_cmpstr(answer.relates_to, ==, "uuid:1");
    g_assert_cmpstr(answer.context, ==, "12");
    g_assert_false(answer.end);
    g_assert_cmpuint(answer.items->len, ==, 1);
    g_autoptr(VireoCim) inner = vireo_cim_dup_object(answer.items->pdata[0], "Inner", 0);
    g_assert_cmpstr(vireo_cim_text(inner, "Date"), ==, "1");
    g_assert_cmpstr(vireo_cim_text(inner, "Z"), ==, "2");
    g_assert_cmpint(vireo_cim_time(answer.items->pdata[0], "When"), ==, 1765965322000000);
    read_text("<m:Fault xmlns:m='urn:m'><m:ReturnValue>0</m:ReturnValue></m:Fault>", &no_fault, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(vireo_cim_text(no_fault.body, "ReturnValue"), ==, "0");
}

static void test_sim_garbage(void)
{
    static const char *const texts[] = {
        "", "<", "<a/>", "no", "<!DOCTYPE a [<!ENTITY b 'c'>]><Envelope><Body>&b;</Body></Envelope>", "\xff\xfe<\0", "<Envelope/>",
        "<e:Envelope xmlns:e='urn:e'><e:Body/></e:Envelope>"};

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_auto(VireoWsmanAnswer) answer = {0};
        g_autoptr(GError) error = NULL;

        g_assert_false(vireo_wsman_answer_read(texts[i], strlen(texts[i]), &answer, &error));
        g_assert_error(error, VIREO_WSMAN_ERROR, VIREO_WSMAN_ERROR_ANSWER);
    }
}

/* What goes into a text comes out of it, whatever is in it. */
static void test_sim_embedded(void)
{
    g_autoptr(VireoCim) cim = vireo_cim_new(V2 "Msvm_X");

    vireo_cim_add(cim, "Notes", NULL, "a & b < ]]> \"c\" 'd' \r\n\tä");
    vireo_cim_add_number(cim, "VirtualQuantity", "uint64", 2048);
    vireo_cim_add_item(cim, "HostResource", NULL, "C:\\a b.vhdx");
    g_autofree char *text = vireo_cim_format(cim);
    g_assert_nonnull(strstr(text, "<PROPERTY NAME=\"VirtualQuantity\" TYPE=\"uint64\"><VALUE>2048</VALUE></PROPERTY>"));
    g_assert_nonnull(strstr(text, "<PROPERTY.ARRAY NAME=\"HostResource\" TYPE=\"string\"><VALUE.ARRAY><VALUE>"));
    g_assert_null(strstr(text, "]]>"));
    g_autoptr(VireoCim) again = vireo_cim_parse(text);
    g_assert_cmpstr(vireo_cim_class(again), ==, "Msvm_X");
    g_assert_cmpstr(vireo_cim_text(again, "Notes"), ==, "a & b < ]]> \"c\" 'd' \r\n\tä");
    g_autofree char *same = vireo_cim_format(again);
    g_assert_cmpstr(same, ==, text);
    g_assert_null(vireo_cim_parse("<INSTANCES/>"));
}

static void test_sim_spellings(void)
{
    g_autofree char *quoted = vireo_wql_quote("it's a \\ \"path\"");
    g_autofree char *path = vireo_cim_path_format("root/virtualization/v2", "Msvm_X", "InstanceID", "A\\B\"C");
    g_autofree char *value = vireo_cim_path_value(path, "InstanceID"), *class = vireo_cim_path_class(path);
    g_autofree char *second = vireo_cim_path_value("\\\\H\\root:C.A=\"x:y\",B=\"z\"", "B");
    g_autoptr(VireoCim) cim = vireo_cim_new("");

    g_assert_cmpstr(quoted, ==, "'it\\'s a \\\\ \"path\"'");
    g_assert_cmpstr(path, ==, "\\\\.\\root\\virtualization\\v2:Msvm_X.InstanceID=\"A\\\\B\\\"C\"");
    g_assert_cmpstr(value, ==, "A\\B\"C");
    g_assert_cmpstr(class, ==, "Msvm_X");
    g_assert_cmpstr(second, ==, "z");
    g_assert_null(vireo_cim_path_value("x", "B"));
    vireo_cim_add(cim, "A", NULL, "P0DT0H1M1.5S");
    vireo_cim_add(cim, "B", NULL, "00000001000130.000000:000");
    vireo_cim_add(cim, "C", NULL, "20251217095522.702341+060");
    g_assert_cmpuint(vireo_cim_interval(cim, "A"), ==, 61500);
    g_assert_cmpuint(vireo_cim_interval(cim, "B"), ==, 86490000);
    g_assert_cmpint(vireo_cim_time(cim, "C"), ==, 1765961722702341);
}

/* ---- NTLM -------------------------------------------------------------------------- */

static guint passwords;

/* Whose a leak is says the stack beyond libraries without frame pointers, see tests/lsan.supp. */
G_MODULE_EXPORT const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "fast_unwind_on_malloc=0";
}

/* Instead of the library's, which it calls. */
OM_uint32 gss_acquire_cred_with_password(OM_uint32 *minor, gss_name_t name, gss_buffer_t password, OM_uint32 seconds,
                                         gss_OID_set mechanisms, gss_cred_usage_t usage, gss_cred_id_t *credential,
                                         gss_OID_set *actual, OM_uint32 *left)
{
    static __typeof__(&gss_acquire_cred_with_password) library;

    *(void **)&library = dlsym(RTLD_NEXT, "gss_acquire_cred_with_password");
    passwords++;
    return library(minor, name, password, seconds, mechanisms, usage, credential, actual, left);
}

/* gss-ntlmssp never gives back all that it makes of a password: that is done once, however often connections fail. */
static void test_sim_one_password(void)
{
    VireoWsmanOptions options = {.http = {.url = "http://127.0.0.1:9", .user = "admin", .password = "x"},
                                 .auth = VIREO_WSMAN_NTLM};
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoWsman) wsman = vireo_wsman_new(&options, &error);

    if (error && strstr(error->message, "needs gss-ntlmssp")) {
        g_test_skip("gss-ntlmssp is missing");
        return;
    }
    g_assert_no_error(error);
    for (guint i = 0; i < 5; i++) {
        g_assert_null(vireo_wsman_query(wsman, "root/cimv2", "select * from Win32_Processor", NULL, &error));
        g_assert_error(error, VIREO_HTTP_ERROR, VIREO_HTTP_ERROR_CONNECT);
        g_clear_error(&error);
    }
    g_assert_cmpuint(passwords, ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wsman/wire-rec/enumerate", test_rec_enumerate);
    g_test_add_func("/wsman/wire-rec/host", test_rec_host);
    g_test_add_func("/wsman/wire-rec/machine", test_rec_machine);
    g_test_add_func("/wsman/wire-rec/reference", test_rec_reference);
    g_test_add_func("/wsman/sim/optimised", test_sim_optimised);
    g_test_add_func("/wsman/sim/fault", test_sim_fault);
    g_test_add_func("/wsman/sim/namespaces", test_sim_namespaces);
    g_test_add_func("/wsman/sim/garbage", test_sim_garbage);
    g_test_add_func("/wsman/sim/embedded", test_sim_embedded);
    g_test_add_func("/wsman/sim/spellings", test_sim_spellings);
    g_test_add_func("/wsman/sim/one-password", test_sim_one_password);
    return g_test_run();
}
