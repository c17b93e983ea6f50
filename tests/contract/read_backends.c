/* The contract, on each back end and each of its ways. */
#include "contract/read_contract.h"

#include <criterion/criterion.h>

#define SUITE(suite, ...)                                                                          \
    static const struct read_variant suite = {.name = #suite, __VA_ARGS__}

#define RUN(suite, name)                                                                           \
    Test(suite, name)                                                                              \
    {                                                                                              \
        contract_##name(&suite);                                                                   \
    }

SUITE(uring, .ops = &read_uring_ops);
#define X(name) RUN(uring, name)
READ_CONTRACT_TABLE(X)
#undef X

SUITE(uring_plain, .ops = &read_uring_ops,
      .avoid = READ_AVOID_FIXED_BUFFERS | READ_AVOID_FIXED_FILES);
#define X(name) RUN(uring_plain, name)
READ_CONTRACT_TABLE(X)
#undef X

SUITE(uring_coop, .ops = &read_uring_ops, .avoid = READ_AVOID_DEFER_TASKRUN);
#define X(name) RUN(uring_coop, name)
READ_CONTRACT_TABLE(X)
#undef X

SUITE(uring_oldest, .ops = &read_uring_ops,
      .avoid = READ_AVOID_DEFER_TASKRUN | READ_AVOID_COOP_TASKRUN | READ_AVOID_FIXED_FILES);
#define X(name) RUN(uring_oldest, name)
READ_CONTRACT_TABLE(X)
#undef X

SUITE(uring_manual, .ops = &read_uring_ops, .manual = true);
#define X(name) RUN(uring_manual, name)
READ_CONTRACT_TABLE(X)
#undef X

SUITE(pread_pool, .ops = &read_pread_ops);
#define X(name) RUN(pread_pool, name)
READ_CONTRACT_TABLE(X)
#undef X

SUITE(pread_manual, .ops = &read_pread_ops, .manual = true);
#define X(name) RUN(pread_manual, name)
READ_CONTRACT_TABLE(X)
#undef X
