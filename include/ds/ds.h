/* ds/ds.h - everything but the Vulkan back end and what goes with it (ds/vulkan*.h), and the
 * jemalloc table (ds/jemalloc.h): they need those packages' headers. */
#ifndef DS_DS_H
#define DS_DS_H

#include <ds/archive.h>
#include <ds/base.h>
#include <ds/codec.h>
#include <ds/counters.h>
#include <ds/custom.h>
#include <ds/engine.h>
#include <ds/file.h>
#include <ds/memory.h>
#include <ds/queue.h>

#endif
