/* engine/vulkan/families.h: what is chosen of the families that devices have. */
#include "engine/vulkan/families.h"

#include <criterion/criterion.h>

#define G VK_QUEUE_GRAPHICS_BIT
#define C VK_QUEUE_COMPUTE_BIT
#define T VK_QUEUE_TRANSFER_BIT
#define S VK_QUEUE_SPARSE_BINDING_BIT
#define P VK_QUEUE_PROTECTED_BIT
#define DECODE ((VkQueueFlags)0x20) /* of video; newer headers than these name all three */
#define ENCODE ((VkQueueFlags)0x40)
#define FLOW ((VkQueueFlags)0x100)

#define FAMILY(flags, count) {.queueFlags = (flags), .queueCount = (count)}

/* One device, and what is to be chosen for the three uses and for the application. */
static void demand(const char *device, const VkQueueFamilyProperties *families, uint32_t n,
                   uint32_t commands, uint32_t shaders, uint32_t compute, uint32_t application)
{
    cr_expect_eq(family_for_copies(families, n, FAMILY_FOR_COMMANDS), commands, "%s", device);
    cr_expect_eq(family_for_copies(families, n, FAMILY_FOR_SHADERS), shaders, "%s", device);
    cr_expect_eq(family_for_copies(families, n, FAMILY_MUST_HAVE_COMPUTE), compute, "%s", device);
    cr_expect_eq(family_for_application(families, n), application, "%s", device);
}

#define DEMAND(commands, shaders, compute, application, ...)                                       \
    do {                                                                                           \
        static const VkQueueFamilyProperties families_[] = {__VA_ARGS__};                          \
        demand(#__VA_ARGS__, families_, sizeof(families_) / sizeof(families_[0]), commands,        \
               shaders, compute, application);                                                     \
    } while (0)

/* NVIDIA: copy engines in family 1; three others have TRANSFER beside what they are made for. */
Test(families, of_nvidia)
{
    DEMAND(1, 2, 2, 0, FAMILY(G | C | T | S, 16), FAMILY(T | S, 2), FAMILY(C | T | S, 8),
           FAMILY(T | S | DECODE, 3), FAMILY(T | S | ENCODE, 1), FAMILY(T | S | FLOW, 1));
    DEMAND(2, 1, 1, 0, FAMILY(G | C | T | S | P, 16), FAMILY(C | T | S | P, 8),
           FAMILY(T | S | P, 2));
}

/* AMD: with and without the copy engine, with video before it. */
Test(families, of_amd)
{
    DEMAND(1, 1, 1, 0, FAMILY(G | C | T | S, 1), FAMILY(C | T | S, 4));
    DEMAND(3, 1, 1, 0, FAMILY(G | C | T | S, 1), FAMILY(C | T | S, 4), FAMILY(DECODE | T, 1),
           FAMILY(T | S, 1), FAMILY(S, 1));
    DEMAND(1, 1, 1, 0, FAMILY(G | C | T | S, 1), FAMILY(C | T | S, 4), FAMILY(DECODE, 1),
           FAMILY(ENCODE | T, 1), FAMILY(S, 1));
}

/* Intel: all in one, and with engines for computing, copies and video. */
Test(families, of_intel)
{
    DEMAND(0, 0, 0, 0, FAMILY(G | C | T, 1));
    DEMAND(3, 1, 1, 0, FAMILY(G | C | T | S, 1), FAMILY(C | T | S, 4), FAMILY(T | DECODE, 2),
           FAMILY(T | S, 1));
    DEMAND(0, 0, 0, 0, FAMILY(G | C | T, 1), FAMILY(T | DECODE, 1));
}

/* One family, with and without the bit that others imply. */
Test(families, of_software_and_phones)
{
    DEMAND(0, 0, 0, 0, FAMILY(G | C | T, 1));
    DEMAND(0, 0, 0, 0, FAMILY(G | C | P, 3));
    DEMAND(0, 0, 0, 0, FAMILY(C, 1));
}

/* Shaders that are only welcome take nothing from the frames: rather the copy engine then. */
Test(families, that_compute_and_draw)
{
    DEMAND(1, 1, 0, 0, FAMILY(G | C | T, 1), FAMILY(T, 1));
    DEMAND(2, 2, 1, 1, FAMILY(G | T, 1), FAMILY(G | C | T, 1), FAMILY(T, 1));
}

/* Video that copies is better than nothing; a family without queues, or one that only binds, is
 * nothing. */
Test(families, that_hardly_copy)
{
    DEMAND(1, 1, 1, FAMILY_NONE, FAMILY(S, 1), FAMILY(T | DECODE, 1), FAMILY(DECODE, 1));
    DEMAND(FAMILY_NONE, FAMILY_NONE, FAMILY_NONE, FAMILY_NONE, FAMILY(S, 1), FAMILY(FLOW, 1),
           FAMILY(T, 0), FAMILY(C | G, 0));
    DEMAND(2, 2, 2, 2, FAMILY(T, 0), FAMILY(G | C | T, 0), FAMILY(C, 1));
    cr_expect_eq(family_for_copies(NULL, 0, FAMILY_FOR_COMMANDS), FAMILY_NONE);
    cr_expect_eq(family_for_application(NULL, 0), FAMILY_NONE);
}

Test(families, are_asked_what_they_can)
{
    cr_expect(family_can_copy(T) && family_can_copy(G) && family_can_copy(C | S));
    cr_expect(!family_can_copy(0) && !family_can_copy(S | DECODE | FLOW));
    cr_expect(family_is_for_transfers(T | S) && family_is_for_transfers(T | DECODE));
    cr_expect(!family_is_for_transfers(C | T) && !family_is_for_transfers(G | T));
}
