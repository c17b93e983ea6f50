/* dsbench diff: what changed between two files of results. */
#include "commands.h"
#include "records.h"

#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct figures {
    double requests_per_s; /* 0 = none */
    double cpu_us;
    double p50_us;
    double p99_us;
};

struct difference {
    uint32_t matched;
    double least; /* the least ratio of requests/s */
    char least_key[RECORD_KEY_BYTES];
};

static struct figures figures_read(const struct record *record)
{
    const struct json_value *result = json_get(record->document.root, "result");

    return (struct figures){
        .requests_per_s = json_real(result, "requests_per_s", 0),
        .cpu_us = json_real(result, "cpu_us_per_request", 0),
        .p50_us = json_real(result, "latency_us.p50", 0),
        .p99_us = json_real(result, "latency_us.p99", 0),
    };
}

/* The record of the same configuration; the last one, if it was measured more than once. */
static const struct record *match_find(const struct records *records, const char *key)
{
    char other[RECORD_KEY_BYTES];

    for (uint32_t i = records->n; i > 0; i--) {
        if (strcmp(record_key(other, &records->list[i - 1]), key) == 0)
            return &records->list[i - 1];
    }
    return NULL;
}

static void ratio_print(double a, double b)
{
    if (a > 0 && b > 0)
        printf(" %9.3f", b / a);
    else
        printf(" %9s", "-");
}

static void pair_print(const char *key, const struct record *a, const struct record *b,
                       struct difference *difference)
{
    struct figures x = figures_read(a);
    struct figures y = figures_read(b);

    if (x.requests_per_s <= 0 || y.requests_per_s <= 0)
        return;
    printf("%11.0f %11.0f", x.requests_per_s, y.requests_per_s);
    ratio_print(x.requests_per_s, y.requests_per_s);
    ratio_print(x.cpu_us, y.cpu_us);
    ratio_print(x.p50_us, y.p50_us);
    ratio_print(x.p99_us, y.p99_us);
    printf("   %s\n", key);
    if (difference->matched == 0 || y.requests_per_s / x.requests_per_s < difference->least) {
        difference->least = y.requests_per_s / x.requests_per_s;
        snprintf(difference->least_key, sizeof(difference->least_key), "%s", key);
    }
    difference->matched++;
}

/* A configuration that occurs twice in the first file is told once: its last. */
static uint32_t records_compare(const struct records *a, const struct records *b,
                                struct difference *difference)
{
    uint32_t alone = 0;
    char key[RECORD_KEY_BYTES];

    printf("%11s %11s %9s %9s %9s %9s\n", "requests/s", "requests/s", "", "CPU", "p50", "p99");
    printf("%11s %11s %9s %9s %9s %9s\n", "A", "B", "B / A", "B / A", "B / A", "B / A");
    for (uint32_t i = 0; i < a->n; i++) {
        const struct record *match;

        record_key(key, &a->list[i]);
        if (match_find(a, key) != &a->list[i])
            continue;
        match = match_find(b, key);
        if (match == NULL)
            alone++;
        else
            pair_print(key, &a->list[i], match, difference);
    }
    return alone;
}

static uint32_t alone_count(const struct records *a, const struct records *b)
{
    uint32_t n = 0;
    char key[RECORD_KEY_BYTES];

    for (uint32_t i = 0; i < b->n; i++) {
        record_key(key, &b->list[i]);
        n += match_find(b, key) == &b->list[i] && match_find(a, key) == NULL;
    }
    return n;
}

static int difference_judge(const struct options *o, const struct difference *d)
{
    if (d->matched == 0) {
        complain("%s and %s have no configuration in common", o->files[0], o->files[1]);
        return EXIT_FAILURE;
    }
    printf("least       %.3f: %s\n", d->least, d->least_key);
    if (o->fail_below > 0 && d->least < o->fail_below) {
        complain("a ratio of %.3f is below %g: %s", d->least, o->fail_below, d->least_key);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int command_diff(const struct options *options)
{
    struct records a = {0}, b = {0};
    struct difference difference = {0};
    int status = EXIT_FAILURE;

    if (records_load(options->files[0], true, &a) == 0 &&
        records_load(options->files[1], true, &b) == 0) {
        uint32_t only_a = records_compare(&a, &b, &difference);
        uint32_t only_b = alone_count(&a, &b);

        if (only_a + only_b > 0)
            printf("unmatched   %u only in A, %u only in B\n", only_a, only_b);
        status = difference_judge(options, &difference);
    }
    records_free(&a);
    records_free(&b);
    return status;
}
