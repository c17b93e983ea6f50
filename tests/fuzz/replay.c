/* Stands in for libFuzzer where only a corpus is to be run: replay FOLDER. Every file is given to
 * the target once. So is, but for files that are called bad-..., each of its prefixes up to 300
 * bytes, and each with one bit flipped. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>

static void run_exact(const uint8_t *data, size_t bytes)
{
    /* Memory of exactly this size, so that a sanitizer sees a read past the end. */
    uint8_t *copy = malloc(bytes + (bytes == 0));

    if (copy == NULL)
        abort();
    memcpy(copy, data, bytes);
    LLVMFuzzerTestOneInput(copy, bytes);
    free(copy);
}

static void run_around(uint8_t *data, size_t bytes)
{
    run_exact(data, bytes);
    for (size_t i = 0; i < min_u64(bytes, 300); i++) {
        run_exact(data, i);
        data[i] ^= (uint8_t)(1 << i % 8);
        run_exact(data, bytes);
        data[i] ^= (uint8_t)(1 << i % 8);
    }
}

int main(int argc, char **argv)
{
    static uint8_t data[1 << 20];
    struct dirent *entry;
    uint32_t files = 0;
    size_t bytes;
    char path[4096];
    DIR *folder;

    folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (folder == NULL) {
        fprintf(stderr, "usage: replay FOLDER\n");
        return 2;
    }
    while ((entry = readdir(folder)) != NULL) {
        FILE *file;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
        file = fopen(path, "rb");
        if (file == NULL) {
            fprintf(stderr, "replay: cannot read %s\n", path);
            return 1;
        }
        bytes = fread(data, 1, sizeof(data), file);
        fclose(file);
        if (strncmp(entry->d_name, "bad-", 4) == 0)
            run_exact(data, bytes);
        else
            run_around(data, bytes);
        files++;
    }
    closedir(folder);
    printf("%u files\n", files);
    return files != 0 ? 0 : 1;
}
