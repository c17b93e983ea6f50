/* Which queue family of a device of our own copies, and which one the caller gets: rules about
 * properties alone. */
#ifndef ENGINE_VULKAN_FAMILIES_H
#define ENGINE_VULKAN_FAMILIES_H

#include <vulkan/vulkan_core.h>

#include <stdbool.h>
#include <stdint.h>

#define FAMILY_NONE UINT32_MAX

/* Who moves the bytes on the family's queue. */
enum family_use {
    FAMILY_FOR_COMMANDS,     /* copy commands */
    FAMILY_FOR_SHADERS,      /* shaders too, where that takes nothing from the frames */
    FAMILY_MUST_HAVE_COMPUTE /* shaders, come what may */
};

/* family_can_copy: commands that copy may be recorded for it. */
bool family_can_copy(VkQueueFlags flags);

/* family_is_for_transfers: it neither draws nor computes. */
bool family_is_for_transfers(VkQueueFlags flags);

/* family_for_copies returns the family that serves best, or FAMILY_NONE. What also encodes or
 * decodes video or finds optical flow is taken only where nothing else copies. */
uint32_t family_for_copies(const VkQueueFamilyProperties *families, uint32_t n,
                           enum family_use use);

/* family_for_application returns the family with COMPUTE, and with GRAPHICS too where there is such
 * a one, or FAMILY_NONE. */
uint32_t family_for_application(const VkQueueFamilyProperties *families, uint32_t n);

#endif
