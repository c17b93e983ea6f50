/* The files that go into an archive. */
#include "collect.h"

#include <ds/archive.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64 /* folders open at once while walking */

static bool fail(const char *path, const char *what)
{
    fprintf(stderr, "dspack: %s: %s: %s\n", path, what, strerror(errno));
    return false;
}

static bool no_memory(void)
{
    fprintf(stderr, "dspack: no memory for the list of files\n");
    return false;
}

static bool item_append(struct items *items, const char *path, const char *name, uint64_t size)
{
    struct item item = {.size = size};

    if (!ds_archive_name_valid(name)) {
        fprintf(stderr, "dspack: %s: the name is not fit for an archive; see dspack(1)\n", path);
        return false;
    }
    if (items->n == items->room) {
        uint32_t room = items->room != 0 ? items->room * 2 : 256;
        struct item *list = realloc(items->list, room * sizeof(*list));

        if (list == NULL)
            return no_memory();
        items->list = list;
        items->room = room;
    }
    item.path = strdup(path);
    item.name = strdup(name);
    if (item.path == NULL || item.name == NULL) {
        free(item.path);
        free(item.name);
        return no_memory();
    }
    items->list[items->n++] = item;
    if (items->n > DS_ARCHIVE_ENTRIES_MAX) {
        fprintf(stderr, "dspack: more than %u files\n", DS_ARCHIVE_ENTRIES_MAX);
        return false;
    }
    return true;
}

static void leave_out(struct items *items, const char *path, const char *what)
{
    items->left_out++;
    if (!items->quiet)
        fprintf(stderr, "dspack: %s: left out: %s\n", path, what);
}

static bool folder_walk(struct items *items, int folder_fd, const char *path, const char *name,
                        int depth);

/* One thing in a folder. name: of the folder within the archive, "" for the input itself. */
static bool thing_take(struct items *items, int folder_fd, const char *folder_path,
                       const char *folder_name, const char *thing, int depth)
{
    char path[4096], name[4096];
    struct stat st;
    int fd;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder_path, thing) >= sizeof(path) ||
        (size_t)snprintf(name, sizeof(name), "%s%s%s", folder_name, folder_name[0] ? "/" : "",
                         thing) >= sizeof(name)) {
        errno = ENAMETOOLONG;
        return fail(folder_path, thing);
    }
    if (fstatat(folder_fd, thing, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return fail(path, "stat");
    if (items->skip_known && st.st_dev == items->skip_dev && st.st_ino == items->skip_ino)
        return true;
    if (S_ISREG(st.st_mode))
        return item_append(items, path, name, (uint64_t)st.st_size);
    if (!S_ISDIR(st.st_mode)) {
        leave_out(items, path, S_ISLNK(st.st_mode) ? "a symbolic link" : "not a regular file");
        return true;
    }
    fd = openat(folder_fd, thing, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail(path, "open");
    return folder_walk(items, fd, path, name, depth + 1);
}

/* Takes over folder_fd. */
static bool folder_walk(struct items *items, int folder_fd, const char *path, const char *name,
                        int depth)
{
    DIR *folder = depth < DEPTH_MAX ? fdopendir(folder_fd) : NULL;
    struct dirent *entry;
    bool ok = true;

    if (folder == NULL) {
        errno = depth < DEPTH_MAX ? errno : ELOOP;
        fail(path, "folders too deep, or open");
        close(folder_fd);
        return false;
    }
    errno = 0;
    while (ok && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = thing_take(items, folder_fd, path, name, entry->d_name, depth);
        errno = 0;
    }
    if (ok && errno != 0)
        ok = fail(path, "read");
    closedir(folder);
    return ok;
}

bool items_add(struct items *items, const char *input)
{
    const char *last = strrchr(input, '/');
    struct stat st;
    int fd;

    if (stat(input, &st) != 0)
        return fail(input, "open");
    if (S_ISREG(st.st_mode)) {
        if (items->skip_known && st.st_dev == items->skip_dev && st.st_ino == items->skip_ino)
            return true;
        return item_append(items, input, last != NULL ? last + 1 : input, (uint64_t)st.st_size);
    }
    if (!S_ISDIR(st.st_mode)) {
        fprintf(stderr, "dspack: %s: neither a regular file nor a folder\n", input);
        return false;
    }
    fd = open(input, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? fail(input, "open") : folder_walk(items, fd, input, "", 0);
}

static int item_compare(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

bool items_sort(struct items *items)
{
    if (items->n != 0)
        qsort(items->list, items->n, sizeof(*items->list), item_compare);
    for (uint32_t i = 1; i < items->n; i++) {
        if (strcmp(items->list[i - 1].name, items->list[i].name) == 0) {
            fprintf(stderr, "dspack: two inputs would be called %s: %s and %s\n",
                    items->list[i].name, items->list[i - 1].path, items->list[i].path);
            return false;
        }
    }
    return true;
}

void items_free(struct items *items)
{
    for (uint32_t i = 0; i < items->n; i++) {
        free(items->list[i].path);
        free(items->list[i].name);
    }
    free(items->list);
    *items = (struct items){0};
}
