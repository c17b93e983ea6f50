/* The files that go into an archive. */
#ifndef DSPACK_COLLECT_H
#define DSPACK_COLLECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct item {
    char *path;    /* to open it by */
    char *name;    /* in the archive */
    uint64_t size; /* bytes */
};

struct items {
    struct item *list;
    uint32_t n;
    uint32_t room;
    uint32_t left_out; /* symbolic links, sockets, ... */
    bool quiet;        /* no line about what is left out */
    /* The archive itself is not to be packed when it lies among the inputs. */
    bool skip_known;
    dev_t skip_dev;
    ino_t skip_ino;
};

/* items_add takes an input of the command line: a file is called by the last part of its path, the
 * files below a folder by their path from there. Symbolic links that lie in a folder, and what is
 * no regular file, are left out. false: one line was printed. */
bool items_add(struct items *items, const char *input);

/* items_sort puts them into the order of the archive. false: two have one name, and a line says
 * which. */
bool items_sort(struct items *items);

void items_free(struct items *items);

#endif
