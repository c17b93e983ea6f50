/* ds/custom.h - decoding by the application.
 *
 *   request with a codec of the application's -> its compressed bytes are read -> ds_custom_take
 *     -> the application decodes, on any thread -> ds_custom_finish -> copied on, and its result
 *
 * The engine hands out requests whose codec is DS_CODEC_CUSTOM_0 or above, once ds_engine_config
 * .custom_codecs allows them, and those with a built-in codec that the CPU is to decode, when
 * .decode_threads is DS_DECODE_APPLICATION. Nothing is handed out before its source has been read.
 */
#ifndef DS_CUSTOM_H
#define DS_CUSTOM_H

#include <ds/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which requests ds_custom_take takes. */
enum ds_custom_select {
    DS_CUSTOM_SELECT_CUSTOM = 1u << 0,  /* with a codec of the application's */
    DS_CUSTOM_SELECT_BUILTIN = 1u << 1, /* with a codec of this library (ds_codec decodes it) */
    DS_CUSTOM_SELECT_ALL = 3u,
};

enum ds_custom_flags {
    /* The destination is not cached by the CPU: write each byte once, in order, and do not read it.
     * A codec that looks back at its output decodes elsewhere and copies. */
    DS_CUSTOM_WRITE_COMBINED = 1u << 0,
};

/* One request to decode. It ends with ds_custom_finish; until then source and destination stay
 * valid, whatever happens to the request, its queue or the GPU. */
struct ds_custom_request {
    uint64_t id;                /* never 0; unique among those that are not finished */
    uint64_t user_data;         /* these four are the request's */
    const char *name;
    uint32_t codec;
    uint32_t transform;         /* ds_custom_finish undoes it: the decoder leaves it alone */
    const void *source;         /* the compressed bytes: only read */
    uint64_t source_bytes;
    void *destination;          /* the request's own host memory where that can be, else staging */
    uint64_t destination_bytes; /* uncompressed_size: all of them are to be written, also where
                                   ds_request.destination_bytes keeps fewer */
    uint32_t flags;             /* enum ds_custom_flags */
    uint32_t reserved;
};

struct ds_custom_result {
    uint64_t id;
    int32_t error;     /* 0: decoded. Negative, -errno by convention: the request ends with
                          DS_STATUS_DECOMPRESSION, and ds_result.error is this number */
    uint32_t reserved; /* 0 */
};

/* ds_custom_take moves up to max requests into requests[] and returns how many; those of REALTIME
 * queues first, else in the order in which their bytes arrived. A request that was cancelled, or
 * whose queue is being destroyed, is not handed out any more.
 *   -EINVAL   select is 0 or has unknown bits
 *   -ENOTSUP  the engine hands nothing out: custom_codecs is 0 and decode_threads is not
 *             DS_DECODE_APPLICATION
 * Never blocks, never allocates; lock-free. Thread-safety: any thread, a completion callback
 * included. */
DS_API int ds_custom_take(struct ds_engine *engine, uint32_t select,
                          struct ds_custom_request *requests, uint32_t max);

/* ds_custom_finish ends n requests that were taken, in any order and by any thread. With a
 * transform and no error it undoes that, on the calling thread. A request that was cancelled
 * meanwhile must be finished too: its bytes are dropped and its result is DS_STATUS_CANCELLED.
 *   -ENOENT   an id is unknown: never taken, or finished already
 *   -EINVAL   an error is positive, or a reserved field is not 0
 *   -ENOTSUP  as ds_custom_take
 * A result that is refused changes nothing, and is told of in the log; all others of the call
 * count. Never blocks, never allocates; lock-free. Thread-safety: as ds_custom_take. */
DS_API int ds_custom_finish(struct ds_engine *engine, const struct ds_custom_result *results,
                            uint32_t n);

/* ds_custom_eventfd returns an eventfd (made at the first call) that is readable while there are
 * requests to take, of either kind. It fits into poll(2) and epoll(7), also with EPOLLET: it is
 * written when the first request comes, and by each take that leaves some; a take that leaves none
 * clears it. Nobody needs to read it; a thread that does must take afterwards. Owned by the engine.
 * -EMFILE, -ENFILE, -ENOMEM as eventfd(2); -ENOTSUP as ds_custom_take. Thread-safety: any
 * thread. */
DS_API int ds_custom_eventfd(struct ds_engine *engine);

#ifdef __cplusplus
}
#endif
#endif
