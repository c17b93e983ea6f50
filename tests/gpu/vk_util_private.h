/* Shared by the two halves of vk_util. */
#ifndef TESTS_GPU_VK_UTIL_PRIVATE_H
#define TESTS_GPU_VK_UTIL_PRIVATE_H

#include "gpu/vk_util.h"

_Noreturn void vk_util_fatal(const char *what, int result);

#define CHECK(call)                                                                                \
    do {                                                                                           \
        VkResult result_ = (call);                                                                 \
        if (result_ != VK_SUCCESS)                                                                 \
            vk_util_fatal(#call, (int)result_);                                                    \
    } while (0)

#endif
