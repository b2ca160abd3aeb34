/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Structs to requests and answers to structs, without a server. */
#include <string.h>

#include "zoo.h"

#define XSI       "http://www.w3.org/2001/XMLSchema-instance"
#define ENVELOPE(body)                                                                             \
    "<?xml version=\"1.0\"?><soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" " \
    "xmlns:xsi=\"" XSI "\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"><soapenv:Body>" body             \
    "</soapenv:Body></soapenv:Envelope>"
#define BIG (64 * 1024 * 1024)

typedef struct {
    VireoArena *arena;
    GError *error;
} Fixture;

static void set_up(Fixture *f, gconstpointer unused)
{
    f->arena = vireo_arena_new();
}

static void tear_down(Fixture *f, gconstpointer unused)
{
    vireo_arena_free(f->arena);
    g_clear_error(&f->error);
}

/* step: bytes at a time */
static gpointer decode_full(Fixture *f, const VireoSoapOperation *operation, const char *xml, gsize step, gsize memory,
                            VireoSoapEach each, void *opaque)
{
    g_autoptr(VireoSoapDecoder) decoder =
        vireo_soap_decoder_new(&zoo_service, operation, f->arena, memory, each, opaque);
    gsize len = strlen(xml);

    g_clear_error(&f->error);
    for (gsize at = 0; at < len; at += step)
        if (!vireo_soap_decoder_feed(decoder, xml + at, MIN(step, len - at), &f->error))
            return NULL;
    return vireo_soap_decoder_finish(decoder, &f->error);
}

static gpointer decode(Fixture *f, const VireoSoapOperation *operation, const char *xml)
{
    return decode_full(f, operation, xml, strlen(xml), BIG, NULL, NULL);
}

static void expect_protocol(Fixture *f, const VireoSoapOperation *operation, const char *xml, const char *words)
{
    g_assert_null(decode(f, operation, xml));
    g_assert_error(f->error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL);
    if (!strstr(f->error->message, words))
        g_error("\"%s\" does not say \"%s\"", f->error->message, words);
}

/* ---- requests -------------------------------------------------------------------- */

static void test_request(Fixture *f, gconstpointer unused)
{
    ZooRef self = { .type = "Zoo", .value = "zoo-1" };
    ZooEgg egg = { .grams = 1.5, .has_laid = TRUE, .laid = -7 };
    ZooEgg *eggs[] = { &egg };
    const char *tags[] = { "a<b", "c&\"d\"" };
    ZooBird bird = { .base = { .soap.type = &zoo_bird_type, .name = "Polly", .mood = ZOO_MOOD_IN_HEAT,
                               .has_born = TRUE, .born = 1500000, .tag = { 2, tags } },
                     .can_fly = TRUE, .eggs = { 1, eggs } };
    ZooAnimal dog = { .name = "Rex", .has_legs = TRUE, .legs = 4, .keeper = &self };
    ZooAnimal *guests[] = { &dog, &bird.base };
    VireoSoapValue note = { .kind = VIREO_SOAP_LONG, .integer = 5000000000 };
    ZooPicture picture = { .data = { (const guint8 *)"\1\2\3", 3 }, .width = 4000000000u };
    gint32 days[] = { 1, -2 };
    ZooFeedArgs args = { ._this = &self, .animal = &bird.base, .guest = { 2, guests }, .note = &note,
                         .picture = &picture, .day = { 2, days } };
    g_autofree char *xml = vireo_soap_encode(&zoo_service, &zoo_feed_operation, &args, &f->error);
    const char *polly = "xsi:type=\"Bird\"><name>Polly</name><mood>in-heat</mood>"
                        "<born>1970-01-01T00:00:01.500000Z</born><tag>a&lt;b</tag><tag>c&amp;&quot;d&quot;</tag>"
                        "<canFly>true</canFly><eggs><grams>1.5</grams><laid>-7</laid></eggs>";

    g_assert_no_error(f->error);
    g_autofree char *body = g_strdup_printf(
        "<e:Body><Feed xmlns=\"urn:zoo\"><_this type=\"Zoo\">zoo-1</_this><animal %s</animal>"
        "<guest><name>Rex</name><legs>4</legs><keeper type=\"Zoo\">zoo-1</keeper></guest><guest %s</guest>"
        "<note xsi:type=\"xsd:long\">5000000000</note>"
        "<picture><data>AQID</data><width>4000000000</width></picture><day>1</day><day>-2</day></Feed></e:Body>",
        polly, polly);
    if (!strstr(xml, body))
        g_error("wanted\n%s\ngot\n%s", body, xml);
}

static void expect_refused(Fixture *f, ZooFeedArgs args, const char *words)
{
    g_clear_error(&f->error);
    g_assert_null(vireo_soap_encode(&zoo_service, &zoo_feed_operation, &args, &f->error));
    g_assert_error(f->error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_REQUEST);
    if (!strstr(f->error->message, words))
        g_error("\"%s\" does not say \"%s\"", f->error->message, words);
}

static void test_bad_request(Fixture *f, gconstpointer unused)
{
    ZooRef self = { .type = "Zoo", .value = "zoo-1" }, half = { .type = "Zoo" };
    ZooAnimal bad = { .name = "a\1b" }, latin = { .name = "\xe9" }, fine = { .name = "x" };
    ZooAnimal wrong = { .name = "x", .soap.type = &zoo_egg_type };

    expect_refused(f, (ZooFeedArgs){ ._this = &self }, "Feed: animal is not set");
    expect_refused(f, (ZooFeedArgs){ ._this = &half, .animal = &fine }, "Ref has no text");
    expect_refused(f, (ZooFeedArgs){ ._this = &self, .animal = &bad }, "XML cannot carry");
    expect_refused(f, (ZooFeedArgs){ ._this = &self, .animal = &latin }, "not UTF-8");
    expect_refused(f, (ZooFeedArgs){ ._this = &self, .animal = &wrong }, "type that does not belong");
    expect_refused(f, (ZooFeedArgs){ ._this = &self, .animal = &fine, .mood = 77 }, "none of its values");
}

static void test_unqualified(Fixture *f, gconstpointer unused)
{
    VireoSoapService service = zoo_service;
    ZooListArgs args = { .filter = "x" };

    service.qualified = FALSE;
    g_autofree char *xml = vireo_soap_encode(&service, &zoo_list_operation, &args, &f->error);
    g_assert_nonnull(strstr(xml, "<s:List xmlns:s=\"urn:zoo\"><filter>x</filter></s:List>"));
}

/* ---- answers --------------------------------------------------------------------- */

static const char flock[] = ENVELOPE(
    "<ListResponse xmlns=\"urn:zoo\">"
    "<returnval xsi:type=\"Parrot\"><name>Ara &amp; <![CDATA[<co>]]></name><legs> 2 </legs><mood>asleep</mood>"
    "<born>2020-02-29T12:00:00.25+01:00</born><tag>one</tag><tag/><keeper type=\"A&amp;B\">k1</keeper>"
    "<novelty><deep>ignored</deep></novelty><canFly>1</canFly><eggs><grams>2e1</grams></eggs>"
    "<words>hello</words><words>you</words></returnval>"
    "<returnval xsi:type=\"zoo:Dragon\"><name>Smaug</name><mood>furious</mood><fire>hot</fire></returnval>"
    "<returnval/>"
    "<total xsi:nil=\"true\"/></ListResponse>");

static void check_flock(Fixture *f, ZooListRet *ret)
{
    g_assert_no_error(f->error);
    g_assert_cmpuint(ret->returnval.n, ==, 3);
    g_assert_false(ret->has_total);
    ZooParrot *parrot = vireo_soap_cast(ret->returnval.items[0], &zoo_parrot_type);
    g_assert_nonnull(parrot);
    g_assert_true(vireo_soap_cast(parrot, &zoo_bird_type) == (gpointer)parrot);
    ZooAnimal *animal = &parrot->base.base;
    g_assert_cmpstr(animal->name, ==, "Ara & <co>");
    g_assert_true(animal->has_legs);
    g_assert_cmpint(animal->legs, ==, 2);
    g_assert_cmpint(animal->mood, ==, ZOO_MOOD_ASLEEP);
    g_assert_cmpint(animal->born, ==, G_GINT64_CONSTANT(1582974000250000));
    g_assert_cmpuint(animal->tag.n, ==, 2);
    g_assert_cmpstr(animal->tag.items[1], ==, "");
    g_assert_cmpstr(animal->keeper->type, ==, "A&B");
    g_assert_cmpstr(animal->keeper->value, ==, "k1");
    g_assert_true(parrot->base.can_fly);
    g_assert_cmpfloat(parrot->base.eggs.items[0]->grams, ==, 20);
    g_assert_false(parrot->base.eggs.items[0]->has_laid);
    g_assert_cmpstr(parrot->words.items[1], ==, "you");
    /* a type and a value nobody told us about */
    animal = ret->returnval.items[1];
    g_assert_true(animal->soap.type == &zoo_animal_type);
    g_assert_cmpstr(animal->soap.name, ==, "Dragon");
    g_assert_cmpint(animal->mood, ==, ZOO_MOOD_OTHER_);
    g_assert_null(vireo_soap_cast(animal, &zoo_bird_type));
    /* nothing at all: a required text is empty, never NULL */
    animal = ret->returnval.items[2];
    g_assert_cmpstr(animal->name, ==, "");
    g_assert_false(animal->has_legs);
    g_assert_null(animal->keeper);
}

static void test_answer(Fixture *f, gconstpointer unused)
{
    check_flock(f, decode(f, &zoo_list_operation, flock));
    for (gsize step = 1; step < 70; step++)
        check_flock(f, decode_full(f, &zoo_list_operation, flock, step, BIG, NULL, NULL));
}

#define ANY(type, text) "<prop><name>n</name><val xsi:type=\"" type "\">" text "</val></prop>"

static void test_any(Fixture *f, gconstpointer unused)
{
    ZooReadRet *ret = decode(f, &zoo_read_operation, ENVELOPE(
        "<ReadResponse><returnval><rows><id>1</id>"
        ANY("xsd:int", "-5") ANY("xsd:boolean", "true") ANY("xsd:string", " s ") ANY("Mood", "hungry")
        ANY("Egg", "<grams>3</grams>") ANY("ArrayOfEgg", "<Egg><grams>4</grams></Egg><Egg xsi:type=\"Egg\"><grams>5</grams></Egg>")
        ANY("ArrayOfString", "<string>a</string><string xsi:type=\"xsd:string\">b</string>")
        ANY("ArrayOfInt", "<int>7</int>") ANY("Comet", "<tail long=\"1\">x&lt;y</tail>") ANY("Colour", "red")
        ANY("xsd:base64Binary", "AQID") ANY("xsd:dateTime", "1970-01-01T00:00:02Z") ANY("xsd:unsignedInt", "4294967295")
        "<prop><name>n</name><val>bare</val></prop><prop><name>n</name><val/></prop>"
        "</rows></returnval></ReadResponse>"));

    g_assert_no_error(f->error);
    ZooRow *row = ret->returnval->rows.items[0];
    g_assert_cmpuint(row->prop.n, ==, 15);
#define VAL(i) row->prop.items[i]->val
    g_assert_cmpint(vireo_soap_value_int(VAL(0), 0), ==, -5);
    g_assert_cmpstr(vireo_soap_value_text(VAL(0)), ==, "-5");
    g_assert_true(vireo_soap_value_boolean(VAL(1)));
    g_assert_cmpstr(vireo_soap_value_text(VAL(2)), ==, " s ");
    g_assert_cmpint(vireo_soap_value_enum(VAL(3), &zoo_mood_names), ==, ZOO_MOOD_HUNGRY);
    ZooEgg *egg = vireo_soap_value_struct(VAL(4), &zoo_egg_type);
    g_assert_cmpfloat(egg->grams, ==, 3);
    g_assert_null(vireo_soap_value_struct(VAL(4), &zoo_animal_type));
    g_assert_cmpuint(vireo_soap_value_length(VAL(5)), ==, 2);
    for (guint i = 0; i < 2; i++) { /* without and with a type of their own */
        egg = vireo_soap_value_struct(vireo_soap_value_item(VAL(5), i), &zoo_egg_type);
        g_assert_cmpfloat(egg->grams, ==, 4 + i);
    }
    g_assert_cmpstr(vireo_soap_value_text(vireo_soap_value_item(VAL(6), 0)), ==, "a");
    g_assert_cmpstr(vireo_soap_value_text(vireo_soap_value_item(VAL(6), 1)), ==, "b");
    g_assert_cmpint(vireo_soap_value_int(vireo_soap_value_item(VAL(7), 0), 0), ==, 7);
    g_assert_cmpint(VAL(8)->kind, ==, VIREO_SOAP_RAW);
    g_assert_cmpstr(VAL(8)->text, ==, "<val type=\"Comet\"><tail long=\"1\">x&lt;y</tail></val>");
    g_assert_null(vireo_soap_value_text(VAL(8)));
    g_assert_cmpstr(vireo_soap_value_text(VAL(9)), ==, "red");
    g_assert_cmpstr(VAL(9)->type, ==, "Colour");
    g_assert_cmpuint(VAL(10)->bytes.len, ==, 3);
    g_assert_cmpint(vireo_soap_value_int(VAL(11), 0), ==, 2000000);
    g_assert_cmpint(vireo_soap_value_int(VAL(12), 0), ==, G_MAXUINT32);
    g_assert_cmpstr(vireo_soap_value_text(VAL(13)), ==, "bare");
    g_assert_cmpstr(vireo_soap_value_text(VAL(14)), ==, "");
    /* readers of what is not there */
    g_assert_null(vireo_soap_value_text(NULL));
    g_assert_cmpint(vireo_soap_value_int(VAL(2), 9), ==, 9);
    g_assert_null(vireo_soap_value_item(VAL(5), 2));
}

static void test_bytes(Fixture *f, gconstpointer unused)
{
    ZooPhotoRet *ret = decode(f, &zoo_photo_operation, ENVELOPE(
        "<PhotoResponse><returnval><data>AQ\nID</data><width>3</width></returnval></PhotoResponse>"));

    g_assert_no_error(f->error);
    g_assert_cmpmem(ret->returnval->data.data, ret->returnval->data.len, "\1\2\3", 3);
    expect_protocol(f, &zoo_photo_operation,
                    ENVELOPE("<PhotoResponse><returnval><data>A*</data></returnval></PhotoResponse>"),
                    "returnval.data is not of its type");
}

static void test_empty(Fixture *f, gconstpointer unused)
{
    g_assert_nonnull(decode(f, &zoo_ping_operation, ENVELOPE("<PingResponse/>")));
    g_assert_no_error(f->error);
}

/* ---- faults ---------------------------------------------------------------------- */

static void test_fault(Fixture *f, gconstpointer unused)
{
    g_assert_null(decode(f, &zoo_ping_operation, ENVELOPE(
        "<soapenv:Fault><faultcode>soapenv:Server.Bad</faultcode><faultstring>it is gone</faultstring>"
        "<detail><LossFault xsi:type=\"Loss\"><what>the key</what><level>3</level></LossFault></detail></soapenv:Fault>")));
    g_assert_error(f->error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_FAULT);
    g_assert_cmpstr(f->error->message, ==, "it is gone (Loss)");
    g_autoptr(GError) copy = g_error_copy(f->error);
    g_clear_error(&f->error);
    const VireoSoapFault *fault = vireo_soap_fault(copy);
    g_assert_cmpstr(fault->code, ==, "Server.Bad");
    g_assert_cmpstr(fault->text, ==, "it is gone");
    g_assert_true(vireo_soap_is_fault(copy, "Loss"));
    ZooLoss *loss = vireo_soap_value_struct(fault->detail, &zoo_loss_type);
    g_assert_cmpstr(loss->what, ==, "the key");
    g_assert_cmpint(loss->level, ==, 3);
}

static void test_odd_faults(Fixture *f, gconstpointer unused)
{
    g_assert_null(decode(f, &zoo_ping_operation, ENVELOPE(
        "<soapenv:Fault><faultcode>x</faultcode><faultstring/><detail><v:Unknown xmlns:v=\"urn:v\"><a>1</a></v:Unknown>"
        "</detail></soapenv:Fault>")));
    g_assert_true(vireo_soap_is_fault(f->error, "Unknown"));
    g_assert_cmpint(vireo_soap_fault(f->error)->detail->kind, ==, VIREO_SOAP_RAW);
    /* a broken detail leaves the fault */
    g_assert_null(decode(f, &zoo_ping_operation, ENVELOPE(
        "<soapenv:Fault><faultcode>x</faultcode><faultstring>s</faultstring><detail><Loss><level>much</level></Loss>"
        "</detail></soapenv:Fault>")));
    g_assert_true(vireo_soap_is_fault(f->error, "Loss"));
    g_assert_null(vireo_soap_fault(f->error)->detail);
    g_assert_null(decode(f, &zoo_ping_operation, ENVELOPE("<soapenv:Fault><faultcode>x</faultcode></soapenv:Fault>")));
    g_assert_cmpstr(f->error->message, ==, "the server gave no reason");
    expect_protocol(f, &zoo_ping_operation, ENVELOPE("<soapenv:Fault/>"), "no faultcode");
    g_assert_null(vireo_soap_fault(f->error));
}

/* ---- what a hostile server may send ------------------------------------------------ */

static void test_hostile(Fixture *f, gconstpointer unused)
{
    const VireoSoapOperation *list = &zoo_list_operation;
    g_autoptr(GString) deep = g_string_new("<ListResponse><returnval>");

    expect_protocol(f, list, "<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>", "document type declaration");
    expect_protocol(f, list, "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><x/>", "document type declaration");
    expect_protocol(f, list, ENVELOPE("<ListResponse>&xxe;</ListResponse>"), "xxe");
    expect_protocol(f, list, "hello", "line 1");
    expect_protocol(f, list, "", "");
    expect_protocol(f, list, "<a/>", "no SOAP 1.1 envelope");
    expect_protocol(f, list, ENVELOPE(""), "there is none");
    expect_protocol(f, list, ENVELOPE("<PingResponse/>"), "another request");
    expect_protocol(f, list, ENVELOPE("<ListResponse/><ListResponse/>"), "something behind it");
    expect_protocol(f, list, ENVELOPE("<ListResponse><total>x</total></ListResponse>"), "total is not of its type");
    expect_protocol(f, list, ENVELOPE("<ListResponse><total>99999999999</total></ListResponse>"), "total");
    expect_protocol(f, list, ENVELOPE("<ListResponse><total><a/></total></ListResponse>"), "holds elements");
    expect_protocol(f, list, ENVELOPE("<ListResponse><returnval><name>a</name><name>b</name></returnval></ListResponse>"),
                    "returnval.name is there twice");
    expect_protocol(f, list, ENVELOPE("<ListResponse><returnval xsi:type=\"Egg\"/></ListResponse>"), "does not belong");
    expect_protocol(f, &zoo_read_operation, ENVELOPE("<ReadResponse/>"), "lacks its member returnval");
    expect_protocol(f, &zoo_read_operation,
                    ENVELOPE("<ReadResponse><returnval><rows><prop><name>x</name></prop></rows></returnval></ReadResponse>"),
                    "returnval.rows.prop lacks its member val");
    for (guint i = 0; i < 1000; i++)
        g_string_append(deep, "<a>");
    g_autofree char *xml = g_strconcat("<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>",
                                       deep->str, NULL);
    expect_protocol(f, list, xml, "more than 100 levels");
}

/* libxml2 would go through an unfinished one again and again. A long text is no such thing. */
static void test_long_tokens(Fixture *f, gconstpointer unused)
{
    static const char *const begins[] = { "<!--", "<![CDATA[", "<?note ", "<returnval x=\"", "<" };
    g_autofree char *much = g_strnfill(5 << 20, 'A');

    for (guint i = 0; i < G_N_ELEMENTS(begins); i++) {
        g_autofree char *xml = g_strconcat("<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>"
                                           "<ListResponse>", begins[i], much, NULL);

        g_assert_null(decode_full(f, &zoo_list_operation, xml, 65536, BIG, NULL, NULL));
        g_assert_error(f->error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL);
        g_assert_nonnull(strstr(f->error->message, "a tag, comment or section of more than 4 MiB"));
    }
    g_autofree char *xml = g_strconcat("<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>"
                                       "<PhotoResponse><returnval><data>", much, much, "</data><width>3</width></returnval>"
                                       "</PhotoResponse></e:Body></e:Envelope>", NULL);
    const ZooPhotoRet *ret = decode_full(f, &zoo_photo_operation, xml, 65536, BIG, NULL, NULL);
    g_assert_no_error(f->error);
    g_assert_cmpuint(ret->returnval->data.len, ==, (10 << 20) / 4 * 3);
}

/* Few bytes on the wire must not become many in memory. */
static void test_memory(Fixture *f, gconstpointer unused)
{
    g_autoptr(GString) xml = g_string_new("<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>"
                                          "<ListResponse>");

    for (guint i = 0; i < 100000; i++)
        g_string_append(xml, "<returnval/>");
    g_assert_null(decode_full(f, &zoo_list_operation, xml->str, 4096, 1024 * 1024, NULL, NULL));
    g_assert_error(f->error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL);
    g_assert_nonnull(strstr(f->error->message, "1048576 bytes of memory"));
}

static void test_truncated(Fixture *f, gconstpointer unused)
{
    for (gsize len = 0; len + 1 < sizeof flock; len++) {
        g_autofree char *part = g_strndup(flock, len);

        g_assert_null(decode(f, &zoo_list_operation, part));
        g_assert_error(f->error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL);
    }
}

/* ---- one item at a time ------------------------------------------------------------ */

typedef struct {
    guint seen, stop_at;
    GString *log;
} Seen;

static gboolean each(const char *field, gpointer item, void *opaque, GError **error)
{
    Seen *seen = opaque;

    if (g_str_equal(field, "rows"))
        g_string_append_printf(seen->log, "%d ", ((ZooRow *)item)->id);
    else
        g_string_append_printf(seen->log, "%s ", ((ZooAnimal *)item)->name);
    return ++seen->seen != seen->stop_at;
}

static void test_each(Fixture *f, gconstpointer unused)
{
    g_autoptr(GString) log = g_string_new(NULL);
    g_autoptr(GString) xml = g_string_new("<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>"
                                          "<ReadResponse><returnval><token>t</token>");
    Seen seen = { .log = log };

    ZooListRet *list = decode_full(f, &zoo_list_operation, flock, 7, BIG, each, &seen);
    g_assert_no_error(f->error);
    g_assert_cmpuint(list->returnval.n, ==, 0);
    g_assert_cmpstr(log->str, ==, "Ara & <co> Smaug  ");
    /* lists inside of a page, many more than the memory allowed would hold */
    seen = (Seen){ .log = g_string_truncate(log, 0) };
    for (guint i = 0; i < 20000; i++)
        g_string_append_printf(xml, "<rows><id>%u</id></rows>", i);
    g_string_append(xml, "</returnval></ReadResponse></e:Body></e:Envelope>");
    ZooReadRet *page = decode_full(f, &zoo_read_operation, xml->str, 1000, 65536, each, &seen);
    g_assert_no_error(f->error);
    g_assert_cmpuint(seen.seen, ==, 20000);
    g_assert_cmpuint(page->returnval->rows.n, ==, 0);
    g_assert_cmpstr(page->returnval->token, ==, "t");
    seen = (Seen){ .log = log, .stop_at = 5 };
    g_assert_null(decode_full(f, &zoo_read_operation, xml->str, 1000, 65536, each, &seen));
    g_assert_cmpuint(seen.seen, ==, 5);
    g_assert_nonnull(strstr(f->error->message, "gave up"));
}

#define ADD(name, func) g_test_add("/soap-codec/" name, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("request", test_request);
    ADD("bad-request", test_bad_request);
    ADD("unqualified", test_unqualified);
    ADD("answer", test_answer);
    ADD("any", test_any);
    ADD("bytes", test_bytes);
    ADD("empty", test_empty);
    ADD("fault", test_fault);
    ADD("odd-faults", test_odd_faults);
    ADD("hostile", test_hostile);
    ADD("long-tokens", test_long_tokens);
    ADD("memory", test_memory);
    ADD("truncated", test_truncated);
    ADD("each", test_each);
    return g_test_run();
}
