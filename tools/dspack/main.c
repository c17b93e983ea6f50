/* dspack - packs files into archives, and single files with the library's codecs. */
#include "convert.h"
#include "extract.h"
#include "list.h"
#include "names.h"
#include "pack.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: dspack pack [options] ARCHIVE INPUT...   files and folders into an archive\n"
    "       dspack list [--json] ARCHIVE             what is in it\n"
    "       dspack verify [options] ARCHIVE          decode all, compare all checksums\n"
    "       dspack extract [options] ARCHIVE [NAME...]\n"
    "       dspack encode --codec NAME [options] IN OUT\n"
    "       dspack decode --codec NAME [options] IN OUT\n"
    "\n"
    "pack\n"
    "  --codec NAME       gdeflate (default), zstd, lz4 or none\n"
    "  --level N          gdeflate 0..12, zstd 1..22, lz4 1..12; default 9\n"
    "  --chunk-size SIZE  content of a chunk, a power of two, 4K..64M; default 256K\n"
    "  --align SIZE       where chunks begin, a power of two, 1..1M; default 4K\n"
    "  --rule GLOB=CODEC[:LEVEL][:shuffle=bc1|bc3|bc4|bc5]\n"
    "                     another way for some files; the first rule that matches counts\n"
    "  --threads N        1..64; default: as many as there are CPUs. The archive does not change\n"
    "  --quiet            no progress bar, no summary\n"
    "verify, extract\n"
    "  --to FOLDER        extract: where to; default is the current folder\n"
    "  --threads N, --quiet\n"
    "encode, decode\n"
    "  --codec NAME       the format of the packed file: gdeflate, zstd or lz4\n"
    "  --level N          encode: as above; gdeflate 0 = stored\n"
    "  --path NAME        decode gdeflate with auto, scalar, avx2 or avx512, by the GPU's shader:\n"
    "                     gpu, gpu-portable or gpu-subgroup, or by its driver: nv. Default auto\n"
    "  --check NAME       what becomes of the GPU's output: cpu compares it with the CPU's, none\n"
    "                     trusts it, auto is cpu for nv, which tells of no damage; default auto\n"
    "  --device NAME      the GPU whose name contains this; default: the best\n"
    "  --transform NAME   bc1, bc3, bc4 or bc5: the content is a BC texture; its fields are split\n"
    "                     into streams before packing and put back after unpacking\n"
    "  --threads N        share the tiles of a gdeflate stream among N threads; default 1\n"
    "  --size BYTES       decode: size of the content, which a bare lz4 block does not record; a\n"
    "                     frame of the lz4 program's is decoded without\n"
    "--help, --version\n"
    "\n"
    "Exit status: 0; 1 when the data is damaged or a file fails; 2 for bad arguments.\n";

struct command {
    const char *name;
    int (*main)(int argc, char **argv); /* argv[0] is the name */
};

static const struct command commands[] = {{"pack", pack_main},
                                          {"list", list_main},
                                          {"verify", verify_main},
                                          {"extract", extract_main}};

static void version_print(void)
{
    uint32_t version = ds_version();

    printf("dspack %u.%u.%u\n", version >> 16, version >> 8 & 0xff, version & 0xff);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return EXIT_OK;
        }
        if (strcmp(argv[i], "--version") == 0) {
            version_print();
            return EXIT_OK;
        }
    }
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].main(argc - 1, argv + 1);
    }
    return convert_main(argc, argv);
}
