/* For programs without a test framework: says what is not so, and where, and aborts. */
#ifndef SUPPORT_REQUIRE_H
#define SUPPORT_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
