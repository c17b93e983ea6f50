/* For a vkGetDeviceProcAddr that stands before the real one, which has told `function` for `name`:
 * notes the function in `real`, and returns hook_... in its place. */
#ifndef TESTS_GPU_VK_HOOK_H
#define TESTS_GPU_VK_HOOK_H

#include <string.h>

#define VK_HOOK(function_name)                                                                     \
    if (strcmp(name, "vk" #function_name) == 0) {                                                  \
        real.function_name = (PFN_vk##function_name)function;                                      \
        return (PFN_vkVoidFunction)hook_##function_name;                                           \
    }

#endif
