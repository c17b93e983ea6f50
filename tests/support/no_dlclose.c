/* Linked into test programs under AddressSanitizer: the Vulkan loader unloads its drivers, and leak
 * reports could then no longer name (and suppress) them. */
int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}
