// The API from C++: an engine without threads, stepped by hand, reads this program's own file.
#include <ds/ds.h>

#include <cstdio>
#include <vector>

namespace
{

int read_file(ds_engine *engine, const char *path, std::vector<char> &into)
{
    ds_queue *queue = nullptr;
    ds_file *file = nullptr;
    ds_result result = {};
    int rc = ds_queue_create(engine, nullptr, &queue);

    if (rc == 0)
        rc = ds_file_open(engine, path, nullptr, &file);
    if (rc == 0) {
        ds_request request = {};
        request.struct_size = sizeof(request);
        request.op = DS_OP_READ;
        request.file = file;
        request.size = into.size();
        request.host = into.data();
        rc = ds_queue_enqueue(queue, &request);
    }
    if (rc == 0) {
        ds_queue_submit(queue);
        while (ds_queue_poll(queue, &result, 1) == 0) {
            if (ds_engine_step(engine) == 0)
                ds_engine_wait(engine, 1000000000);
        }
        rc = result.status;
    }
    ds_file_close(&file);
    ds_queue_destroy(&queue);
    return rc;
}

} // namespace

int main(int, char **argv)
{
    ds_engine *engine = nullptr;
    ds_engine_config config;
    std::vector<char> bytes(4);

    ds_engine_config_init(&config);
    config.arena_bytes = 4 << 20;
    config.topology = DS_TOPOLOGY_MANUAL;
    int rc = ds_engine_create(&config, &engine);
    if (rc == 0)
        rc = read_file(engine, argv[0], bytes);
    ds_engine_destroy(&engine);
    if (rc != 0 || bytes[1] != 'E' || bytes[2] != 'L' || bytes[3] != 'F') {
        std::fprintf(stderr, "failed: %d\n", rc);
        return 1;
    }
    std::printf("%u.%u.%u\n", DS_VERSION_MAJOR, DS_VERSION_MINOR, DS_VERSION_PATCH);
    return 0;
}
