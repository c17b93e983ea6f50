/* What every read back end must do, as test bodies that take the back end. */
#ifndef CONTRACT_READ_CONTRACT_H
#define CONTRACT_READ_CONTRACT_H

#include "contract/read_lane.h"

#define READ_CONTRACT_TABLE(X)                                                                     \
    X(random_ranges)                                                                               \
    X(end_of_file)                                                                                 \
    X(shrinking_file)                                                                              \
    X(write_and_read_back)                                                                         \
    X(write_refused)                                                                               \
    X(no_space)                                                                                    \
    X(bad_memory)                                                                                  \
    X(depth_is_kept)                                                                               \
    X(nothing_to_transfer)                                                                         \
    X(event_ends_the_park)                                                                         \
    X(forget_lets_go)                                                                              \
    X(stop_after_park)                                                                             \
    X(rows_share)                                                                                  \
    X(rows_in_pieces)                                                                              \
    X(row_over_the_end)                                                                            \
    X(row_with_bad_memory)                                                                         \
    X(random_rows)                                                                                 \
    X(pinned_memory)                                                                               \
    X(pinned_in_part)                                                                              \
    X(pinned_until_taken)

#define READ_CONTRACT_DECLARE(name) void contract_##name(const struct read_variant *variant);
READ_CONTRACT_TABLE(READ_CONTRACT_DECLARE)

#endif
