/* The engine's configuration: defaults and ranges. */
#ifndef ENGINE_CONFIG_H
#define ENGINE_CONFIG_H

#include "engine/host.h"

#include <ds/engine.h>

/* config_resolve reads the caller's struct (NULL = all defaults) into *config with every default
 * filled in but those that depend on the CPUs: topology, spin_ns, pin. 0, or -EINVAL, having logged
 * each field that is out of its range. */
int config_resolve(const struct ds_engine_config *caller, struct ds_engine_config *config);

#endif
