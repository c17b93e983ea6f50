/* For programs without a test framework: says what is not so, and where, and aborts. */
#ifndef SUPPORT_REQUIRE_H
#define SUPPORT_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#ifndef REQUIRE_FIRST
#define REQUIRE_FIRST() ((void)0) /* before it speaks */
#endif

#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            REQUIRE_FIRST();                                                                       \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
