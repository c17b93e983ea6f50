/* Memory that is not cached but combined for writing, as what of a GPU's own can be mapped. */
#ifndef ENGINE_WRITE_COMBINED_H
#define ENGINE_WRITE_COMBINED_H

/* write_combined_flush: what this thread has stored to memory that is not cached but combined for
 * writing is on its way to the device. A release store alone does not promise that on x86: such
 * stores wait in buffers of the core's, and whoever sees the release may tell the device first. */
static inline void write_combined_flush(void)
{
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#else
    __sync_synchronize();
#endif
}

#endif
