#include "engine/vulkan/families.h"

static const VkQueueFlags works = VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT;

bool family_can_copy(VkQueueFlags flags)
{
    return (flags & (VK_QUEUE_TRANSFER_BIT | works)) != 0; /* both can what TRANSFER can */
}

bool family_is_for_transfers(VkQueueFlags flags)
{
    return (flags & works) == 0;
}

/* The engines made for copies: video families may have TRANSFER too, but are made for another end.
 */
static bool is_dedicated(VkQueueFlags flags)
{
    const VkQueueFlags besides = VK_QUEUE_SPARSE_BINDING_BIT | VK_QUEUE_PROTECTED_BIT;

    return (flags & ~besides) == VK_QUEUE_TRANSFER_BIT;
}

/* How well a family serves; 0 = not at all. For commands: transfer alone (the copy engines), else
 * compute without graphics (so that copies do not queue behind frames), else what there is. For
 * shaders, compute without graphics comes first; graphics only where it must. */
static uint32_t copies_rank(const VkQueueFamilyProperties *family, enum family_use use)
{
    VkQueueFlags flags = family->queueFlags;

    if (family->queueCount == 0 || !family_can_copy(flags))
        return 0;
    if (family_is_for_transfers(flags))
        return is_dedicated(flags) ? 4 : 1;
    if ((flags & VK_QUEUE_COMPUTE_BIT) == 0)
        return 2;
    if ((flags & VK_QUEUE_GRAPHICS_BIT) == 0)
        return use == FAMILY_FOR_COMMANDS ? 3 : 6;
    return use == FAMILY_MUST_HAVE_COMPUTE ? 5 : 2;
}

uint32_t family_for_copies(const VkQueueFamilyProperties *families, uint32_t n, enum family_use use)
{
    uint32_t best = FAMILY_NONE, best_rank = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t rank = copies_rank(&families[i], use);

        if (rank > best_rank) {
            best_rank = rank;
            best = i;
        }
    }
    return best;
}

uint32_t family_for_application(const VkQueueFamilyProperties *families, uint32_t n)
{
    uint32_t best = FAMILY_NONE;

    for (uint32_t i = 0; i < n; i++) {
        if (families[i].queueCount == 0 || (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) == 0)
            continue;
        if ((families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT) != 0)
            return i;
        if (best == FAMILY_NONE)
            best = i;
    }
    return best;
}
