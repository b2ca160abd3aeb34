/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damaged answers to SOAP requests, fed in pieces of any size: the decoder refuses, or yields structs in
 * which nothing required is missing, within the memory it was allowed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "zoo.h"

#define BODY(text)                                                                                 \
    "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "    \
    "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><s:Header><a/></s:Header><s:Body>" text \
    "</s:Body></s:Envelope>"
#define MEMORY (256 * 1024)

static const struct {
    const VireoSoapOperation *operation;
    const char *answer;
} seeds[] = {
    { &zoo_list_operation,
      BODY("<ListResponse xmlns=\"urn:zoo\"><returnval xsi:type=\"Parrot\"><name>Ara &amp; <![CDATA[<co>]]></name>"
           "<legs> 2 </legs><mood>asleep</mood><born>2020-02-29T12:00:00.25+01:00</born><tag>one</tag><tag/>"
           "<keeper type=\"A&amp;B\">k1</keeper><canFly>1</canFly><eggs><grams>2e1</grams></eggs></returnval>"
           "<returnval xsi:nil=\"true\"/><returnval/><total>7</total></ListResponse>") },
    { &zoo_read_operation,
      BODY("<ReadResponse><returnval><token>t</token><rows><id>1</id><prop><name>a</name><val xsi:type=\"xsd:int\">-5"
           "</val></prop><prop><name>b</name><val xsi:type=\"ArrayOfEgg\"><Egg><grams>4</grams></Egg></val></prop>"
           "<prop><name>c</name><val xsi:type=\"Comet\"><tail long=\"1\">x</tail></val></prop><prop><name>d</name>"
           "<val xsi:type=\"ArrayOfString\"><string>s</string></val></prop></rows></returnval></ReadResponse>") },
    { &zoo_photo_operation,
      BODY("<PhotoResponse><returnval><data>AQIDBAUGBwgJ</data><width>3</width><size>18446744073709551615</size>"
           "</returnval></PhotoResponse>") },
    { &zoo_ping_operation,
      BODY("<s:Fault><faultcode>s:Server</faultcode><faultstring>it is gone</faultstring><detail>"
           "<LossFault xsi:type=\"Loss\"><what>the key</what><level>3</level></LossFault></detail></s:Fault>") },
};

static const char *const pieces[] = {
    "<returnval>", "</returnval>", "<name>", "<!DOCTYPE a [<!ENTITY b \"c\">]>", "&b;", "&#0;", "&#x10ffff;", "<![CDATA[",
    "]]>", "<!--", "-->", "<?x ?>", " xsi:type=\"Bird\"", " xsi:type=\"ArrayOf\"", " xsi:type=\"ArrayOfArrayOfAnyType\"",
    " xsi:nil=\"1\"", "99999999999999999999", "\xff\xfe", "\xc0\x80", "<a:b xmlns:a=\"\">", " xmlns=\"x\"", "<tag>", "=",
};

static guint decoded, faults, refused;

static gboolean each(const char *field, gpointer item, void *opaque, GError **error)
{
    g_assert_nonnull(field);
    g_assert_nonnull(item);
    return TRUE;
}

static void look(const VireoSoapOperation *operation, gpointer ret)
{
    if (operation == &zoo_list_operation) {
        ZooListRet *list = ret;

        for (guint i = 0; i < list->returnval.n; i++) {
            g_assert_nonnull(list->returnval.items[i]->name);
            for (guint k = 0; k < list->returnval.items[i]->tag.n; k++)
                g_assert_nonnull(list->returnval.items[i]->tag.items[k]);
        }
    } else if (operation == &zoo_read_operation) {
        ZooPage *page = ((ZooReadRet *)ret)->returnval;

        for (guint i = 0; i < page->rows.n; i++)
            for (guint k = 0; k < page->rows.items[i]->prop.n; k++)
                g_assert_nonnull(page->rows.items[i]->prop.items[k]->val);
    } else if (operation == &zoo_photo_operation) {
        g_assert_nonnull(((ZooPhotoRet *)ret)->returnval->data.data);
    }
}

static void damage(GRand *rand, GString *text)
{
    for (gint hits = g_rand_int_range(rand, 0, 4); hits > 0 && text->len; hits--) {
        gsize at = (gsize)g_rand_int_range(rand, 0, (gint32)text->len);
        gsize len = (gsize)g_rand_int_range(rand, 1, 40);
        gsize from = (gsize)g_rand_int_range(rand, 0, (gint32)text->len);
        g_autofree char *copy = NULL;

        switch (g_rand_int_range(rand, 0, 5)) {
        case 0:
            text->str[at] = (char)g_rand_int(rand);
            break;
        case 1:
            g_string_erase(text, (gssize)at, (gssize)MIN(len, text->len - at));
            break;
        case 2:
            copy = g_strndup(text->str + from, MIN(len * 4, text->len - from));
            g_string_insert(text, (gssize)at, copy);
            break;
        case 3:
            g_string_truncate(text, at);
            break;
        default:
            g_string_insert(text, (gssize)at, pieces[g_rand_int_range(rand, 0, G_N_ELEMENTS(pieces))]);
        }
    }
}

static void one_round(GRand *rand)
{
    guint which = (guint)g_rand_int_range(rand, 0, G_N_ELEMENTS(seeds));
    g_autoptr(GString) text = g_string_new(seeds[which].answer);
    g_autoptr(VireoArena) arena = vireo_arena_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(VireoSoapDecoder) decoder = vireo_soap_decoder_new(
        &zoo_service, seeds[which].operation, arena, MEMORY, g_rand_boolean(rand) ? each : NULL, NULL);
    gsize step = (gsize)g_rand_int_range(rand, 1, 300), at = 0;
    gpointer ret = NULL;

    damage(rand, text);
    while (at < text->len && vireo_soap_decoder_feed(decoder, text->str + at, MIN(step, text->len - at), &error))
        at += step;
    if (!error)
        ret = vireo_soap_decoder_finish(decoder, &error);
    g_assert_true((ret != NULL) != (error != NULL));
    if (ret) {
        decoded++;
        look(seeds[which].operation, ret);
    } else if (vireo_soap_fault(error)) {
        faults++;
        g_assert_nonnull(vireo_soap_fault(error)->type);
    } else {
        refused++;
        g_assert_error(error, VIREO_SOAP_ERROR, VIREO_SOAP_ERROR_PROTOCOL);
    }
}

int main(void)
{
    const char *seed_text = g_getenv("VIREO_FUZZ_SEED");
    const char *seconds_text = g_getenv("VIREO_FUZZ_SECONDS");
    guint seed = seed_text ? (guint)strtoul(seed_text, NULL, 0) : 1;
    double seconds = seconds_text ? g_ascii_strtod(seconds_text, NULL) : 3;
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(GTimer) timer = g_timer_new();
    struct rusage usage;

    while (g_timer_elapsed(timer, NULL) < seconds)
        one_round(rand);
    getrusage(RUSAGE_SELF, &usage);
    printf("seed %u: %u read, %u faults, %u refused, %ld KiB at most\n", seed, decoded, faults, refused,
           usage.ru_maxrss);
    g_assert_cmpuint(decoded, >, 500);
    g_assert_cmpuint(faults, >, 500);
    g_assert_cmpuint(refused, >, 500);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
    g_assert_cmpint(usage.ru_maxrss, <, 64 * 1024);
#endif
    return 0;
}
