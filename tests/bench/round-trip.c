/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * round-trip SOCKET [CALLS [URI [PROCEDURE [ARGUMENTS]]]]
 *
 * How long a call takes, measured by a client that adds nothing of its own: a procedure (the library
 * version, unless told otherwise) of a connection to URI, its encoded arguments in hexadecimal; or without a
 * URI the list of authentication types. Prints the median and the 99th percentile in microseconds.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_OPEN = 1, AUTH_LIST = 66, GET_LIB_VERSION = 157, HEADER = 28 };

static void put(unsigned char *at, uint32_t value)
{
    at[0] = value >> 24;
    at[1] = value >> 16;
    at[2] = value >> 8;
    at[3] = value;
}

static uint32_t get(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static void call(int fd, uint32_t proc, uint32_t serial, const void *payload, size_t size)
{
    unsigned char packet[4096] = { 0 };
    ssize_t n;

    put(packet, HEADER + size);
    put(packet + 4, 0x20008086);
    put(packet + 8, 1);
    put(packet + 12, proc);
    put(packet + 20, serial);
    if (size > 0)
        memcpy(packet + HEADER, payload, size);
    if (send(fd, packet, HEADER + size, 0) != (ssize_t)(HEADER + size)) {
        perror("send");
        exit(1);
    }
    n = recv(fd, packet, sizeof packet, 0);
    if (n < HEADER || get(packet) != n || get(packet + 20) != serial || get(packet + 24) != 0) {
        fprintf(stderr, "procedure %u failed\n", proc);
        exit(1);
    }
}

static void open_uri(int fd, const char *uri)
{
    unsigned char payload[1024] = { 0 };
    size_t size = strlen(uri);

    put(payload, 1);
    put(payload + 4, size);
    memcpy(payload + 8, uri, size);
    call(fd, AUTH_LIST, 0, NULL, 0);
    call(fd, CONNECT_OPEN, 1, payload, 8 + (size + 3) / 4 * 4 + 4);
}

static size_t from_hex(const char *text, unsigned char *bytes, size_t max)
{
    size_t n = 0;

    for (; n < max && text[2 * n] && sscanf(text + 2 * n, "%2hhx", &bytes[n]) == 1; n++)
        continue;
    return n;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int calls = argc > 2 ? atoi(argv[2]) : 20000, fd = socket(AF_UNIX, SOCK_STREAM, 0);
    uint32_t proc = argc > 4 ? (uint32_t)atoi(argv[4]) : argc > 3 ? GET_LIB_VERSION : AUTH_LIST;
    double *took = calls > 0 ? calloc(calls, sizeof *took) : NULL;
    unsigned char payload[1024];
    size_t size = argc > 5 ? from_hex(argv[5], payload, sizeof payload) : 0;

    if (argc < 2 || !took || strlen(argv[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: round-trip SOCKET [CALLS [URI [PROCEDURE [ARGUMENTS]]]]\n");
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        perror(argv[1]);
        return 1;
    }
    if (argc > 3)
        open_uri(fd, argv[3]);
    for (int i = 0; i < calls; i++) {
        struct timespec begin, end;

        clock_gettime(CLOCK_MONOTONIC, &begin);
        call(fd, proc, 2 + i, payload, size);
        clock_gettime(CLOCK_MONOTONIC, &end);
        took[i] = (end.tv_sec - begin.tv_sec) * 1e6 + (end.tv_nsec - begin.tv_nsec) / 1e3;
    }
    qsort(took, calls, sizeof *took, compare);
    printf("procedure %u: median %.1f us, 99%% %.1f us\n", proc, took[calls / 2],
           took[(size_t)calls * 99 / 100]);
    return 0;
}
