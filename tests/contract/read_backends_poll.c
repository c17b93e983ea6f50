/* The contract, on io_uring that is polled, by the kernel or by the lane. */
#include "contract/read_contract.h"

#include <criterion/criterion.h>

#define SUITE(suite, ...)                                                                          \
    static const struct read_variant suite = {.name = #suite, __VA_ARGS__};                        \
    TestSuite(suite)

#define RUN(suite, name)                                                                           \
    Test(suite, name)                                                                              \
    {                                                                                              \
        contract_##name(&suite);                                                                   \
    }

SUITE(uring_sqpoll, .ops = &read_uring_ops, .uring_poll = DS_URING_POLL_SQPOLL);
#define X(name) RUN(uring_sqpoll, name)
READ_CONTRACT_TABLE(X)
#undef X

SUITE(uring_sqpoll_manual, .ops = &read_uring_ops, .uring_poll = DS_URING_POLL_SQPOLL,
      .manual = true);
RUN(uring_sqpoll_manual, random_ranges)
RUN(uring_sqpoll_manual, bad_memory)
RUN(uring_sqpoll_manual, event_ends_the_park)
RUN(uring_sqpoll_manual, stop_after_park)

/* By the device, where it polls; else file by file by interrupt. */
SUITE(uring_iopoll, .ops = &read_uring_ops, .uring_poll = DS_URING_POLL_IOPOLL);
#define X(name) RUN(uring_iopoll, name)
READ_CONTRACT_TABLE(X)
#undef X

/* Two rings, on any device: the second one is asked, but by interrupt. */
SUITE(uring_two_rings, .ops = &read_uring_ops, .uring_poll = DS_URING_POLL_IOPOLL,
      .avoid = READ_AVOID_IOPOLL);
#define X(name) RUN(uring_two_rings, name)
READ_CONTRACT_TABLE(X)
#undef X
