/* dspack encode and decode: one file that is one stream of a codec. */
#include "convert.h"

#include "convert_options.h"
#include "files.h"
#include "gpu.h"
#include "lz4_frame.h"
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void log_line(void *ctx, enum ds_log_level level, const char *message)
{
    (void)ctx;
    if (level <= DS_LOG_WARNING)
        fprintf(stderr, "dspack: %s\n", message);
}

/* Runs the transform from *from into a new buffer that takes its place. */
static bool transform_apply(const struct options *options, struct bytes *bytes)
{
    struct bytes other;
    int error;

    if (options->transform == DS_CODEC_TRANSFORM_NONE)
        return true;
    if (!bytes_make(&other, bytes->size))
        return false;
    if (options->encode)
        error = ds_codec_shuffle(options->transform, bytes->data, other.data, bytes->size);
    else
        error = ds_codec_unshuffle(options->transform, bytes->data, other.data, bytes->size);
    bytes_free(bytes);
    *bytes = other;
    return error == 0;
}

static int content_size(struct ds_codec *codec, const struct options *options,
                        const struct bytes *input, uint64_t *size)
{
    struct ds_codec_report report;
    int error;

    if (options->size != 0) {
        *size = options->size;
        return EXIT_OK;
    }
    error = ds_codec_content_size(codec, input->data, input->size, size);
    if (error == 0)
        return EXIT_OK;
    if (error == -ENODATA) {
        fprintf(stderr, "dspack: %s: %s does not record the size of its content: give --size\n",
                options->input,
                options->format == DS_CODEC_LZ4 ? "a bare lz4 block" : "this stream");
        return EXIT_ARGUMENTS;
    }
    /* Decoding it fails in the same way, and says why. */
    ds_codec_decompress(codec, input->data, input->size, NULL, 0, &report);
    fprintf(stderr, "dspack: %s: bad %s stream: %s\n", options->input, options->format_name,
            ds_codec_error_text(report.error));
    return EXIT_DATA;
}

/* Fills *output by the path that is asked for. EXIT_OK, or one line was printed. */
static int output_fill(struct ds_codec *codec, const struct options *options,
                       const struct bytes *input, struct bytes *output)
{
    struct ds_codec_report report;
    struct gpu gpu;
    int error;

    if (options->gpu_path == PATH_CPU) {
        error = ds_codec_decompress(codec, input->data, input->size, output->data, output->size,
                                    &report);
    } else {
        if (!gpu_open(&gpu, options))
            return EXIT_DATA;
        error = gpu_decompress(&gpu, options, input->data, input->size, output->data, output->size,
                               &report);
        gpu_close(&gpu);
    }
    if (error == -EBADMSG)
        fprintf(stderr, "dspack: %s: bad %s stream: tile %u: %s\n", options->input,
                options->format_name, report.tile, ds_codec_error_text(report.error));
    return error == 0 ? EXIT_OK : EXIT_DATA;
}

static int stream_decode(struct ds_codec *codec, const struct options *options,
                         const struct bytes *input, struct bytes *output)
{
    uint64_t size = 0;
    int status = content_size(codec, options, input, &size);

    if (status != EXIT_OK)
        return status;
    return bytes_make(output, size) ? output_fill(codec, options, input, output) : EXIT_DATA;
}

static int frame_decode(const struct options *options, const struct bytes *input,
                        struct bytes *output)
{
    const char *wrong = lz4_frame_decode(input, output);

    if (wrong == NULL && options->size != 0 && options->size != output->size)
        wrong = "its content has another size than --size";
    if (wrong == NULL)
        return EXIT_OK;
    fprintf(stderr, "dspack: %s: bad lz4 frame: %s\n", options->input, wrong);
    return EXIT_DATA;
}

static int decode(struct ds_codec *codec, const struct options *options, const struct bytes *input)
{
    bool frame = options->format == DS_CODEC_LZ4 && lz4_frame_is(input);
    struct bytes output = {NULL, 0};
    int status = frame ? frame_decode(options, input, &output)
                       : stream_decode(codec, options, input, &output);

    if (status == EXIT_OK &&
        (!transform_apply(options, &output) || !file_write(options->output, &output)))
        status = EXIT_DATA;
    bytes_free(&output);
    return status;
}

static int encode(struct ds_codec *codec, const struct options *options, struct bytes *input)
{
    size_t bound = ds_codec_compress_bound(codec, input->size);
    struct bytes output;
    size_t packed = 0;
    int error, status = EXIT_OK;

    if (input->size == 0 || bound == 0) {
        fprintf(stderr, "dspack: %s: %zu bytes cannot be packed as %s\n", options->input,
                input->size, options->format_name);
        return EXIT_DATA;
    }
    if (!transform_apply(options, input) || !bytes_make(&output, bound))
        return EXIT_DATA;
    error = ds_codec_compress(codec, options->level, input->data, input->size, output.data,
                              output.size, &packed);
    output.size = packed;
    if (error == -EINVAL) {
        fprintf(stderr, "dspack: %s has no level %d; see dspack --help\n", options->format_name,
                options->level);
        status = EXIT_ARGUMENTS;
    } else if (error != 0) {
        fprintf(stderr, "dspack: %s: %s\n", options->input, strerror(-error));
        status = EXIT_DATA;
    } else if (!file_write(options->output, &output)) {
        status = EXIT_DATA;
    }
    bytes_free(&output);
    return status;
}

int convert_main(int argc, char **argv)
{
    struct ds_codec *codec = NULL;
    struct options options;
    struct bytes input;
    int error, status;

    if (!options_parse(&options, argc, argv))
        return EXIT_ARGUMENTS;
    error = ds_codec_create(
        options.format,
        ds_codec_config(.path = options.path, .threads = options.threads, .log = log_line), &codec);
    if (error == -ENOTSUP) /* the log line said what */
        return EXIT_ARGUMENTS;
    if (error != 0) {
        fprintf(stderr, "dspack: %s: %s\n", options.format_name, strerror(-error));
        return EXIT_DATA;
    }
    status = EXIT_DATA;
    if (file_read(options.input, &input)) {
        status = options.encode ? encode(codec, &options, &input) : decode(codec, &options, &input);
        bytes_free(&input);
    }
    ds_codec_destroy(&codec);
    return status;
}
