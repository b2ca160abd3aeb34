/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configurations of the lxc tools, lxc.container.conf(5), as documents; keys of versions before 2.1, too.
 *
 * What a key says is taken into the document; or it is what the driver does anyway; or it is left out, and a comment
 * says so; or it would make another container of it, and is refused. Files that a configuration names are not read:
 * they are the daemon's host's, and who asks need not be allowed to see them. */
#include "native.h"
#include "ops.h"

#include <stdio.h>
#include <string.h>

#include "kit/node.h"

#define COMMON_CONFIG "/usr/share/lxc/config/"
#define CARDS_MAX 256

typedef struct {
    guint number, line;
    char *type, *link, *mac, *name, *mtu, *pair, *mode;
    GString *addresses;
} Card;

typedef struct {
    guint line;
    const char *key; /* that is being read, for messages */
    GError *error;   /* the first one */
    GString *left;   /* comments */
    char *name, *arch, *root, *root_options;
    guint root_line;
    GString *os, *idmap, *caps, *shares, *memtune, *cputune, *blkio, *devices;
    GPtrArray *cards, *mounts; /* Card; fields of fstab lines */
    gboolean caps_kept, common;
    guint64 memory, swap; /* bytes; 0: no limit */
    gboolean swap_alone;
    char *cpus, *nodes;
    guint ttys;
} Import;

/* ---- words --------------------------------------------------------------------- */

static void refuse(Import *in, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void refuse(Import *in, const char *format, ...)
{
    va_list args;

    if (in->error)
        return;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    lxc_error(&in->error, VIREO_ERR_CONFIG_UNSUPPORTED, "line %u: %s: %s", in->line, in->key, text);
}

static void leave(Import *in, const char *value)
{
    g_autofree char *text = g_strdelimit(g_strdup(value), "-<>&", '_');

    for (char *at = text; *at; at++)
        *at = g_ascii_iscntrl(*at) ? '_' : *at;
    g_string_append_printf(in->left, "<!-- line %u is left out: %s = %s -->\n", in->line, in->key, text);
}

static void put(GString *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void put(GString *out, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_markup_vprintf_escaped(format, args);
    va_end(args);
    g_string_append(out, text);
}

static void set(char **slot, const char *value)
{
    g_free(*slot);
    *slot = g_strdup(value);
}

/* "512M" in bytes; what is no limit is 0. */
static guint64 bytes(Import *in, const char *value)
{
    char *end;
    guint64 number = g_ascii_strtoull(value, &end, 10);
    const char *units = "kmgt", *unit = *end ? strchr(units, g_ascii_tolower(*end)) : NULL;

    if (g_str_equal(value, "-1") || g_str_equal(value, "max"))
        return 0;
    if (end == value || (*end && (!unit || (end[1] && g_ascii_strcasecmp(end + 1, "b")))) || number > G_MAXUINT32 * 1024ull * 1024)
        refuse(in, "'%s' is no number of bytes", value);
    else if (unit)
        number <<= 10 * (unit - units + 1);
    return in->error ? 0 : number;
}

static gint64 whole(Import *in, const char *value, gint64 least, gint64 most)
{
    gint64 number = 0;

    if (!g_ascii_string_to_signed(value, 10, least, most, &number, NULL))
        refuse(in, "'%s' is no number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, value, least, most);
    return number;
}

/* ---- keys ---------------------------------------------------------------------- */

static void on_name(Import *in, const char *key, const char *value)
{
    set(&in->name, value);
}

static void on_arch(Import *in, const char *key, const char *value)
{
    static const char *const other[][2] = { { "amd64", "x86_64" }, { "x86", "i686" }, { "i386", "i686" },
                                            { "i586", "i686" }, { "linux32", "i686" }, { "linux64", "x86_64" } };

    set(&in->arch, value);
    for (guint i = 0; i < G_N_ELEMENTS(other); i++)
        if (g_str_equal(value, other[i][0]))
            set(&in->arch, other[i][1]);
}

static void on_root(Import *in, const char *key, const char *value)
{
    set(&in->root, value);
    in->root_line = in->line;
}

static void on_root_options(Import *in, const char *key, const char *value)
{
    set(&in->root_options, value);
}

static void on_include(Import *in, const char *key, const char *value)
{
    if (!g_str_has_prefix(value, COMMON_CONFIG) || strstr(value, ".."))
        refuse(in, "files are not read: put the lines of %s here", value);
    in->common = TRUE;
}

static void on_fstab(Import *in, const char *key, const char *value)
{
    if (*value)
        refuse(in, "files are not read: give each line of %s as lxc.mount.entry", value);
}

static void on_mount(Import *in, const char *key, const char *value)
{
    g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);
    g_autoptr(GPtrArray) fields = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; words[i]; i++)
        if (*words[i])
            g_ptr_array_add(fields, g_strcompress(words[i]));
    if (fields->len < 3)
        refuse(in, "'%s' is no line of fstab(5)", value);
    if (fields->len == 3)
        g_ptr_array_add(fields, g_strdup("defaults"));
    g_ptr_array_add(fields, g_strdup_printf("%u", in->line));
    g_ptr_array_add(fields, g_strdup(value));
    if (!in->error)
        g_ptr_array_add(in->mounts, g_steal_pointer(&fields));
}

static void on_init(Import *in, const char *key, const char *value)
{
    g_auto(GStrv) words = NULL;

    if (!g_shell_parse_argv(value, NULL, &words, NULL)) {
        refuse(in, "'%s' is no command", value);
        return;
    }
    put(in->os, "<init>%s</init>", words[0]);
    for (guint i = 1; words[i]; i++)
        put(in->os, "<initarg>%s</initarg>", words[i]);
}

static void on_init_setting(Import *in, const char *key, const char *value)
{
    const char *what = g_str_has_suffix(key, "cwd") ? "initdir" : g_str_has_suffix(key, "uid") ? "inituser" : "initgroup";

    if (!g_str_equal(what, "initdir"))
        whole(in, value, 0, G_MAXUINT32 - 1);
    put(in->os, "<%s>%s</%s>", what, value, what);
}

static void on_environment(Import *in, const char *key, const char *value)
{
    const char *sign = strchr(value, '=');
    g_autofree char *name = sign ? g_strndup(value, (gsize)(sign - value)) : NULL;

    if (sign && *name)
        put(in->os, "<initenv name='%s'>%s</initenv>", name, sign + 1);
    else
        leave(in, value);
}

static void on_idmap(Import *in, const char *key, const char *value)
{
    guint64 start, target, count;
    char kind;
    int end = 0;

    if (sscanf(value, "%c %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "%n", &kind, &start, &target, &count,
               &end) != 4 || value[end] || !strchr("ugb", kind)) {
        refuse(in, "'%s' is not 'u|g|b INSIDE OUTSIDE COUNT'", value);
        return;
    }
    for (const char *kinds = kind == 'b' ? "ug" : kind == 'u' ? "u" : "g"; *kinds; kinds++)
        put(in->idmap, "<%cid start='%" G_GUINT64_FORMAT "' target='%" G_GUINT64_FORMAT "' count='%" G_GUINT64_FORMAT "'/>",
            *kinds, start, target, count);
}

static gboolean is_right(const char *name)
{
#define WORD(name) " " #name
    static const char *const all = LXC_CAPABILITIES(WORD) " ";
#undef WORD
    g_autofree char *word = g_strdup_printf(" %s ", name);

    return !strchr(name, ' ') && strstr(all, word);
}

static void on_rights(Import *in, const char *key, const char *value)
{
    gboolean keep = g_str_has_suffix(key, "keep");
    g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);

    if (!*value || (in->caps->len && keep != in->caps_kept))
        g_string_truncate(in->caps, 0); /* the later one counts */
    in->caps_kept = keep && *value;
    for (guint i = 0; words[i]; i++) {
        if (!*words[i] || g_str_equal(words[i], "none"))
            continue;
        if (!is_right(words[i]))
            refuse(in, "'%s' is no capability", words[i]);
        else
            put(in->caps, "<%s state='%s'/>", words[i], keep ? "on" : "off");
    }
}

static void on_share(Import *in, const char *key, const char *value)
{
    const char *what = key + strlen("lxc.namespace.share.");

    if (!g_str_equal(what, "net") && !g_str_equal(what, "ipc") && !g_str_equal(what, "uts"))
        refuse(in, "net, ipc and uts can be shared");
    else if (g_str_has_prefix(value, "/run/netns/") || g_str_has_prefix(value, "/var/run/netns/"))
        put(in->shares, "<lxc:share%s type='netns' value='%s'/>", what, strrchr(value, '/') + 1);
    else if (strchr(value, '/'))
        refuse(in, "'%s' is no container, process or name of ip-netns(8)", value);
    else
        put(in->shares, "<lxc:share%s type='%s' value='%s'/>", what, g_ascii_isdigit(*value) ? "pid" : "name", value);
}

static void on_namespaces(Import *in, const char *key, const char *value)
{
    refuse(in, "a container has namespaces of its own; say with lxc.namespace.share which one it shares");
}

static void on_ttys(Import *in, const char *key, const char *value)
{
    in->ttys = (guint)whole(in, value, 0, 63);
}

static void on_settled(Import *in, const char *key, const char *value)
{
}

static void on_left(Import *in, const char *key, const char *value)
{
    leave(in, value);
}

/* ---- limits -------------------------------------------------------------------- */

static void limit_memory(Import *in, const char *file, const char *value)
{
    guint64 number = bytes(in, value);

    if (g_str_equal(file, "limit_in_bytes") || g_str_equal(file, "max")) {
        in->memory = number;
    } else if (g_str_equal(file, "soft_limit_in_bytes") || g_str_equal(file, "high")) {
        if (number)
            put(in->memtune, "<soft_limit unit='KiB'>%" G_GUINT64_FORMAT "</soft_limit>", number / 1024);
    } else {
        in->swap = number;
        in->swap_alone = g_str_equal(file, "swap.max");
    }
}

static void limit_cpu(Import *in, const char *file, const char *value)
{
    g_auto(GStrv) words = g_strsplit(value, " ", 2);

    if (g_str_equal(file, "shares"))
        put(in->cputune, "<shares>%" G_GINT64_FORMAT "</shares>", whole(in, value, 2, 262144));
    else if (g_str_equal(file, "weight"))
        put(in->cputune, "<shares>%" G_GINT64_FORMAT "</shares>", 2 + (whole(in, value, 1, 10000) - 1) * 262142 / 9999);
    else if (g_str_equal(file, "cfs_period_us"))
        put(in->cputune, "<period>%" G_GINT64_FORMAT "</period>", whole(in, value, 1000, 1000000));
    else if (g_str_equal(file, "cfs_quota_us"))
        put(in->cputune, "<quota>%" G_GINT64_FORMAT "</quota>", whole(in, value, -1, G_MAXINT64 / 1000));
    else {
        if (words[0] && words[1])
            put(in->cputune, "<period>%" G_GINT64_FORMAT "</period>", whole(in, words[1], 1000, 1000000));
        if (words[0] && strcmp(words[0], "max"))
            put(in->cputune, "<quota>%" G_GINT64_FORMAT "</quota>", whole(in, words[0], 1000, G_MAXINT64 / 1000));
    }
}

static void limit_cpuset(Import *in, const char *file, const char *value)
{
    set(g_str_equal(file, "cpus") ? &in->cpus : &in->nodes, value);
}

static void limit_weight(Import *in, const char *file, const char *value)
{
    value += g_str_has_prefix(value, "default ") ? strlen("default ") : 0;
    put(in->blkio, "<weight>%" G_GINT64_FORMAT "</weight>", whole(in, value, 1, 10000));
}

/* "8:0 1048576" */
static void limit_disk(Import *in, const char *file, const char *value)
{
    static const char *const names[][2] = { { "throttle.read_bps_device", "read_bytes_sec" },
                                            { "throttle.write_bps_device", "write_bytes_sec" },
                                            { "throttle.read_iops_device", "read_iops_sec" },
                                            { "throttle.write_iops_device", "write_iops_sec" } };
    guint major, minor;
    guint64 number;

    if (sscanf(value, "%u:%u %" G_GUINT64_FORMAT, &major, &minor, &number) != 3) {
        refuse(in, "'%s' is not 'MAJOR:MINOR NUMBER'", value);
        return;
    }
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (g_str_equal(file, names[i][0]))
            put(in->blkio, "<device><path>/dev/block/%u:%u</path><%s>%" G_GUINT64_FORMAT "</%s></device>", major, minor,
                names[i][1], number, names[i][1]);
}

/* What every container may have, by the driver or by the files that come with the lxc tools. */
static void limit_devices(Import *in, const char *file, const char *value)
{
    static const char *const usual = ";a;c *:* m;b *:* m;c 1:3 rwm;c 1:5 rwm;c 1:7 rwm;c 1:8 rwm;c 1:9 rwm;c 5:0 rwm;"
                                     "c 5:1 rwm;c 5:2 rwm;c 4:0 rwm;c 4:1 rwm;c 136:* rwm;";
    g_autofree char *word = g_strdup_printf(";%s;", value);

    if (!strstr(usual, word))
        leave(in, value);
}

static void on_group(Import *in, const char *key, const char *value)
{
    static const struct {
        const char *files, *strip; /* strip: what the handler does not see */
        void (*take)(Import *in, const char *file, const char *value);
    } rows[] = {
        { " memory.limit_in_bytes memory.max memory.soft_limit_in_bytes memory.high memory.memsw.limit_in_bytes memory.swap.max ",
          "memory.", limit_memory },
        { " cpu.shares cpu.weight cpu.cfs_period_us cpu.cfs_quota_us cpu.max ", "cpu.", limit_cpu },
        { " cpuset.cpus cpuset.mems ", "cpuset.", limit_cpuset },
        { " blkio.weight io.weight ", "", limit_weight },
        { " blkio.throttle.read_bps_device blkio.throttle.write_bps_device blkio.throttle.read_iops_device "
          "blkio.throttle.write_iops_device ", "blkio.", limit_disk },
        { " devices.allow devices.deny ", "devices.", limit_devices },
    };
    const char *file = key + (g_str_has_prefix(key, "lxc.cgroup2.") ? strlen("lxc.cgroup2.") : strlen("lxc.cgroup."));
    g_autofree char *word = g_strdup_printf(" %s ", file);

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!strchr(file, ' ') && strstr(rows[i].files, word)) {
            rows[i].take(in, file + strlen(rows[i].strip), value);
            return;
        }
    leave(in, value);
}

/* ---- interfaces ---------------------------------------------------------------- */

static void card_free(gpointer data)
{
    Card *card = data;

    g_free(card->type);
    g_free(card->link);
    g_free(card->mac);
    g_free(card->name);
    g_free(card->mtu);
    g_free(card->pair);
    g_free(card->mode);
    g_string_free(card->addresses, TRUE);
    g_free(card);
}

static Card *new_card(Import *in, guint number)
{
    Card *card = g_new0(Card, 1);

    if (in->cards->len >= CARDS_MAX)
        refuse(in, "more than %d interfaces", CARDS_MAX);
    card->number = number;
    card->line = in->line;
    card->addresses = g_string_new(NULL);
    g_ptr_array_add(in->cards, card);
    return card;
}

static Card *card_of(Import *in, guint number)
{
    for (guint i = 0; i < in->cards->len; i++)
        if (((Card *)in->cards->pdata[i])->number == number)
            return in->cards->pdata[i];
    return new_card(in, number);
}

static void card_address(Import *in, Card *card, gboolean six, const char *value)
{
    g_auto(GStrv) words = g_strsplit_set(value, "/ ", -1); /* what follows is the broadcast address */
    const char *prefix = words[0] && words[1] ? words[1] : six ? "64" : "24";

    if (!words[0] || !g_hostname_is_ip_address(words[0]))
        refuse(in, "'%s' is no address", value);
    else
        put(card->addresses, "<ip family='ipv%d' address='%s' prefix='%" G_GINT64_FORMAT "'/>", six ? 6 : 4, words[0],
            whole(in, prefix, 0, 128));
}

static void card_gateway(Import *in, Card *card, gboolean six, const char *value)
{
    if (g_hostname_is_ip_address(value))
        put(card->addresses, "<route family='ipv%d' address='%s' prefix='0' gateway='%s'/>", six ? 6 : 4,
            six ? "::" : "0.0.0.0", value);
    else
        leave(in, value);
}

static void card_key(Import *in, Card *card, const char *key, const char *value)
{
    const struct {
        const char *key;
        char **slot;
    } texts[] = { { "type", &card->type }, { "link", &card->link }, { "hwaddr", &card->mac }, { "name", &card->name },
                  { "mtu", &card->mtu }, { "veth.pair", &card->pair }, { "macvlan.mode", &card->mode } };
    gboolean six = g_str_has_prefix(key, "ipv6");

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        if (g_str_equal(key, texts[i].key)) {
            set(texts[i].slot, *value ? value : NULL);
            return;
        }
    if (g_str_equal(key, "ipv4") || g_str_equal(key, "ipv6") || g_str_has_suffix(key, ".address"))
        card_address(in, card, six, value);
    else if (g_str_equal(key, "ipv4.gateway") || g_str_equal(key, "ipv6.gateway"))
        card_gateway(in, card, six, value);
    else if (strcmp(key, "flags")) /* what is not up its own init brings up */
        leave(in, value);
}

/* lxc.net.NUMBER.KEY */
static void on_net(Import *in, const char *key, const char *value)
{
    char *end;
    guint64 number = g_ascii_strtoull(key + strlen("lxc.net."), &end, 10);

    if (*end == '.' && end[1] && number <= G_MAXINT)
        card_key(in, card_of(in, (guint)number), end + 1, value);
    else
        refuse(in, "there is no such key in lxc.container.conf(5)");
}

/* lxc.network.KEY: of the last one whose type was given. */
static void on_old_net(Import *in, const char *key, const char *value)
{
    key += strlen("lxc.network.");
    if (g_str_equal(key, "type"))
        set(&new_card(in, in->cards->len)->type, value);
    else if (!in->cards->len)
        refuse(in, "lxc.network.type comes before what is said of an interface");
    else
        card_key(in, in->cards->pdata[in->cards->len - 1], key, value);
}

static void on_no_net(Import *in, const char *key, const char *value)
{
    g_ptr_array_set_size(in->cards, 0);
}

static void put_card(Import *in, const Card *card)
{
    const char *type = card->type ? card->type : "";
    gboolean macvlan = g_str_equal(type, "macvlan"), bridged = card->link && !macvlan;

    in->line = card->line;
    in->key = "interface";
    if (g_str_equal(type, "empty"))
        return;
    if (g_str_equal(type, "none"))
        refuse(in, "type none is the host's own network: a container has that only by <lxc:sharenet>");
    else if (!g_str_equal(type, "veth") && !macvlan && !g_str_equal(type, "phys"))
        refuse(in, "interfaces of type '%s' are not supported: veth, macvlan, phys and empty are", type);
    else if (!g_str_equal(type, "veth") && !card->link)
        refuse(in, "type %s needs a link", type);
    if (in->error)
        return;
    if (g_str_equal(type, "phys")) {
        put(in->devices, "<hostdev mode='capabilities' type='net'><source><interface>%s</interface></source></hostdev>",
            card->link);
        return;
    }
    put(in->devices, "<interface type='%s'>", macvlan ? "direct" : bridged ? "bridge" : "ethernet");
    if (card->mac && !strpbrk(card->mac, "xX")) /* which stands for any digit */
        put(in->devices, "<mac address='%s'/>", card->mac);
    if (macvlan)
        put(in->devices, "<source dev='%s' mode='%s'/>", card->link,
            !card->mode ? "private" : g_str_equal(card->mode, "passthru") ? "passthrough" : card->mode);
    else if (bridged)
        put(in->devices, "<source bridge='%s'/>", card->link);
    g_string_append(in->devices, card->addresses->str);
    if (card->pair)
        put(in->devices, "<target dev='%s'/>", card->pair);
    if (card->name)
        put(in->devices, "<guest dev='%s'/>", card->name);
    if (card->mtu)
        put(in->devices, "<mtu size='%" G_GINT64_FORMAT "'/>", whole(in, card->mtu, 68, 65535));
    g_string_append(in->devices, "</interface>");
}

/* ---- file systems -------------------------------------------------------------- */

static gboolean has_option(char **options, const char *wanted)
{
    return g_strv_contains((const char *const *)options, wanted);
}

static void put_root(Import *in)
{
    const char *path = in->root ? in->root : "";
    g_auto(GStrv) options = g_strsplit(in->root_options ? in->root_options : "", ",", -1);
    gboolean mapped = has_option(options, "idmap=container"), loop = g_str_has_prefix(path, "loop:");

    in->line = in->root_line;
    in->key = "lxc.rootfs.path";
    if (loop || g_str_has_prefix(path, "dir:") || g_str_has_prefix(path, "btrfs:") || g_str_has_prefix(path, "lvm:"))
        path = strchr(path, ':') + 1;
    if (*path != '/' || g_str_equal(path, "/")) {
        refuse(in, "%s", !in->root ? "it is missing: a container has a root of its own"
                                   : "the root is /PATH, dir:/PATH, btrfs:/PATH, lvm:/DEVICE or loop:/FILE");
        return;
    }
    const char *type = loop ? "file" : g_str_has_prefix(path, "/dev/") ? "block" : "mount";
    put(in->devices, "<filesystem type='%s'", type);
    if (mapped)
        put(in->devices, " accessmode='mapped'");
    put(in->devices, ">");
    if (loop)
        put(in->devices, "<driver type='loop' format='raw'/>");
    put(in->devices, "<source %s='%s'/><target dir='/'/>", loop ? "file" : *type == 'b' ? "dev" : "dir", path);
    if (has_option(options, "ro"))
        put(in->devices, "<readonly/>");
    put(in->devices, "</filesystem>");
    char *plain = g_strdup(path);
    g_free(in->root);
    in->root = plain;
}

/* fields: of fstab(5), and at the end the line and the whole value. */
static void put_mount(Import *in, GPtrArray *fields)
{
    const char *source = fields->pdata[0], *target = fields->pdata[1], *type = fields->pdata[2];
    const char *value = fields->pdata[fields->len - 1], *size = NULL;
    g_auto(GStrv) options = g_strsplit(fields->pdata[3], ",", -1);
    gboolean bind = has_option(options, "bind") || has_option(options, "rbind");
    gboolean made = !bind && g_strv_contains((const char *const[]){ "proc", "sysfs", "devpts", NULL }, type);

    in->line = (guint)g_ascii_strtoull(fields->pdata[fields->len - 2], NULL, 10);
    in->key = "lxc.mount.entry";
    if (in->error || made)
        return;
    for (guint i = 0; options[i]; i++)
        if (g_str_has_prefix(options[i], "size="))
            size = options[i] + strlen("size=");
    if (in->root && g_str_has_prefix(target, in->root))
        target += strlen(in->root);
    target += strspn(target, "/");
    if (!*target || has_option(options, "optional") || has_option(options, "create=file") ||
        (!g_str_equal(type, "tmpfs") && *source != '/')) {
        leave(in, value);
    } else if (bind || (g_str_has_prefix(source, "/dev/") && strcmp(type, "tmpfs"))) {
        put(in->devices, "<filesystem type='%s'><source %s='%s'/><target dir='/%s'/>", bind ? "mount" : "block",
            bind ? "dir" : "dev", source, target);
        g_string_append_printf(in->devices, "%s</filesystem>", has_option(options, "ro") ? "<readonly/>" : "");
    } else if (g_str_equal(type, "tmpfs") && size && !strchr(size, '%')) {
        put(in->devices, "<filesystem type='ram'><source usage='%" G_GUINT64_FORMAT "' units='KiB'/><target dir='/%s'/>",
            bytes(in, size) / 1024, target);
        g_string_append_printf(in->devices, "%s</filesystem>", has_option(options, "ro") ? "<readonly/>" : "");
    } else {
        leave(in, value);
    }
}

/* ---- all of it ----------------------------------------------------------------- */

/* What ends in '.' is the beginning of many. */
static const struct {
    const char *keys;
    void (*take)(Import *in, const char *key, const char *value);
} table[] = {
    { " lxc.uts.name lxc.utsname ", on_name },
    { " lxc.arch ", on_arch },
    { " lxc.rootfs.path lxc.rootfs ", on_root },
    { " lxc.rootfs.options ", on_root_options },
    { " lxc.include ", on_include },
    { " lxc.mount.fstab lxc.mount ", on_fstab },
    { " lxc.mount.entry ", on_mount },
    { " lxc.init.cmd lxc.init_cmd ", on_init },
    { " lxc.init.cwd lxc.init.uid lxc.init.gid lxc.init_uid lxc.init_gid ", on_init_setting },
    { " lxc.environment ", on_environment },
    { " lxc.idmap lxc.id_map ", on_idmap },
    { " lxc.cap.drop lxc.cap.keep ", on_rights },
    { " lxc.namespace.share. ", on_share },
    { " lxc.namespace.keep lxc.namespace.clone ", on_namespaces },
    { " lxc.tty.max lxc.tty ", on_ttys },
    { " lxc.net lxc.network ", on_no_net },
    { " lxc.net. ", on_net },
    { " lxc.network. ", on_old_net },
    { " lxc.mount.auto lxc.pty.max lxc.pts lxc.autodev lxc.autodev.tmpfs.size lxc.rootfs.mount lxc.rootfs.backend "
      "lxc.rootfs.managed lxc.tty.dir lxc.devttydir lxc.kmsg lxc.console.path lxc.console lxc.log. lxc.loglevel "
      "lxc.logfile lxc.syslog lxc.apparmor.allow_incomplete lxc.aa_allow_incomplete lxc.execute.cmd "
      "lxc.hook.version ", on_settled },
    { " lxc.cgroup. lxc.cgroup2. ", on_group },
    { " lxc.signal. lxc.haltsignal lxc.rebootsignal lxc.stopsignal lxc.console. lxc.start. lxc.group lxc.hook. lxc.monitor. "
      "lxc.apparmor. lxc.aa_profile lxc.selinux. lxc.se_context lxc.keyring. lxc.seccomp lxc.seccomp. lxc.ephemeral lxc.no_new_privs lxc.sysctl. "
      "lxc.proc. lxc.prlimit. lxc.limit. lxc.sched. lxc.time. ", on_left },
};

static gboolean names(const char *keys, const char *key)
{
    g_autofree char *word = g_strdup_printf(" %s ", key);

    if (strchr(key, ' '))
        return FALSE;
    if (strstr(keys, word))
        return TRUE;
    for (const char *dot = strchr(key + strlen("lxc."), '.'); dot && dot[1]; dot = strchr(dot + 1, '.')) {
        g_autofree char *prefix = g_strdup_printf(" %.*s ", (int)(dot + 1 - key), key);

        if (strstr(keys, prefix))
            return TRUE;
    }
    return FALSE;
}

static void read_line(Import *in, char *text)
{
    char *value = strchr(text, '=');

    g_strstrip(text);
    if (!*text || *text == '#')
        return;
    in->key = text;
    if (!value) {
        refuse(in, "there is no '=' behind a key");
        return;
    }
    *value++ = '\0';
    g_strstrip(text);
    g_strstrip(value);
    gsize n = strlen(value);
    if (n > 1 && value[0] == value[n - 1] && strchr("'\"", *value)) {
        value[n - 1] = '\0';
        value++;
    }
    for (guint i = 0; g_str_has_prefix(text, "lxc.") && i < G_N_ELEMENTS(table); i++)
        if (names(table[i].keys, text)) {
            table[i].take(in, text, value);
            return;
        }
    refuse(in, "there is no such key in lxc.container.conf(5)");
}

static void put_section(GString *out, const char *name, const GString *content)
{
    if (content->len)
        g_string_append_printf(out, "<%s>%s</%s>", name, content->str, name);
}

/* A limit of memory and swap together, or of swap alone. */
static void put_memory(Import *in, GString *out)
{
    VireoNodeInfo host = { 0 };
    guint64 swap = in->swap ? in->swap + (in->swap_alone ? in->memory : 0) : 0;

    if (!in->memory)
        vireo_node_info(&host, NULL);
    put(out, "<memory unit='KiB'>%" G_GUINT64_FORMAT "</memory>", in->memory ? in->memory / 1024 : host.memory_kib);
    if (swap)
        put(in->memtune, "<swap_hard_limit unit='KiB'>%" G_GUINT64_FORMAT "</swap_hard_limit>", swap / 1024);
}

static char *document(Import *in)
{
    g_autoptr(GString) out = g_string_new("<domain type='lxc'>");

    put(out, "<name>%s</name>", in->name ? in->name : "unnamed");
    put_memory(in, out);
    put_section(out, "memtune", in->memtune);
    put_section(out, "cputune", in->cputune);
    put_section(out, "blkiotune", in->blkio);
    if (in->cpus)
        put(out, "<vcpu cpuset='%s'>1</vcpu>", in->cpus);
    if (in->nodes)
        put(out, "<numatune><memory nodeset='%s'/></numatune>", in->nodes);
    put_section(out, "idmap", in->idmap);
    put(out, "<os><type");
    if (in->arch)
        put(out, " arch='%s'", in->arch);
    g_string_append_printf(out, ">exe</type>%s</os>", in->os->str);
    /* Without a list of its own, and without that of the lxc tools, nothing is taken away. */
    g_string_append_printf(out, "<features><privnet/><capabilities policy='%s'>%s</capabilities></features>",
                           in->caps_kept ? "deny" : in->common ? "default" : "allow", in->caps->str);
    g_string_append_printf(out, "<devices>%s", in->devices->str);
    for (guint i = 0; i <= in->ttys; i++)
        g_string_append(out, "<console type='pty'/>");
    g_string_append(out, "</devices>");
    if (in->shares->len)
        g_string_append_printf(out, "<lxc:namespace xmlns:lxc='http://libvirt.org/schemas/domain/lxc/1.0'>%s</lxc:namespace>",
                               in->shares->str);
    g_string_append(out, "</domain>");
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static void import_clear(Import *in)
{
    GString *const texts[] = { in->left, in->os, in->idmap, in->caps, in->shares, in->memtune, in->cputune, in->blkio,
                               in->devices };
    char *const words[] = { in->name, in->arch, in->root, in->root_options, in->cpus, in->nodes };

    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_string_free(texts[i], TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        g_free(words[i]);
    g_ptr_array_unref(in->cards);
    g_ptr_array_unref(in->mounts);
    g_clear_error(&in->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Import, import_clear)

/* Caller frees. */
static char *import(LxcDriver *driver, const char *text, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_auto(Import) in = { .left = g_string_new(NULL), .os = g_string_new(NULL), .idmap = g_string_new(NULL),
                          .caps = g_string_new(NULL), .shares = g_string_new(NULL), .memtune = g_string_new(NULL),
                          .cputune = g_string_new(NULL), .blkio = g_string_new(NULL), .devices = g_string_new(NULL),
                          .cards = g_ptr_array_new_with_free_func(card_free),
                          .mounts = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref) };

    if (!g_utf8_validate(text, -1, NULL))
        lxc_error(&in.error, VIREO_ERR_INVALID_ARG, "the configuration is no UTF-8");
    for (guint i = 0; lines[i] && !in.error; i++) {
        in.line = i + 1;
        read_line(&in, lines[i]);
    }
    if (!in.error)
        put_root(&in);
    for (guint i = 0; i < in.mounts->len; i++)
        put_mount(&in, in.mounts->pdata[i]);
    for (guint i = 0; i < in.cards->len && !in.error; i++)
        put_card(&in, in.cards->pdata[i]);
    if (in.error) {
        g_propagate_error(error, g_steal_pointer(&in.error));
        return NULL;
    }
    g_autofree char *made = document(&in);
    g_autoptr(LxcDef) def = lxc_def_parse(driver, made, 0, error);
    if (!def)
        return NULL;
    g_autofree char *xml = vireo_domain_format(def->doc, VIREO_MODEL_FORMAT_INACTIVE);
    return g_strconcat(in.left->str, xml, NULL);
}

int lxc_connect_domain_xml_from_native(void *handle, vireo_call *call, const vireo_connect_domain_xml_from_native_args *args,
                                       vireo_connect_domain_xml_from_native_ret *ret)
{
    LxcDriver *driver = lxc_conn(handle)->driver;
    g_autoptr(GError) error = NULL;

    if (strcmp(args->nativeFormat, "lxc-tools"))
        return driver->host->fail(call, VIREO_ERR_INVALID_ARG, "the native format of containers is lxc-tools, not '%s'",
                                  args->nativeFormat);
    g_autofree char *xml = import(driver, args->nativeConfig, &error);
    if (!xml)
        return lxc_fail(driver, call, error);
    ret->domainXml = driver->host->strdup(call, xml);
    return VIREO_OK;
}
