/* ds/custom.h: from the engine to the part of its decode stage. */
#include "stages/runtime.h"

#include <ds/custom.h>

int ds_custom_take(struct ds_engine *engine, uint32_t select, struct ds_custom_request *requests,
                   uint32_t max)
{
    return decode_custom_take(&engine->decode.custom, select, requests, max);
}

int ds_custom_finish(struct ds_engine *engine, const struct ds_custom_result *results, uint32_t n)
{
    return decode_custom_finish(&engine->decode.custom, results, n);
}

int ds_custom_eventfd(struct ds_engine *engine)
{
    return decode_custom_eventfd(&engine->decode.custom);
}

void engine_sweep_closing(struct ds_engine *engine)
{
    if (engine->decode.custom.config.select != 0)
        sweep_ask(&engine->sweep, SWEEP_CLOSING);
}
