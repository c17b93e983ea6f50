/* Opening and adopting files: what is accepted, when O_DIRECT is taken, and that nothing leaks. */
#include "engine/file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char sample_path[256];
static uint32_t descriptors_before;

static uint32_t count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint32_t n = 0;

    cr_assert_not_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void make_sample(void)
{
    const char *dir = getenv("DS_TEST_DIR");
    char bytes[10000];
    int fd;

    snprintf(sample_path, sizeof(sample_path), "%s/test_file_XXXXXX", dir != NULL ? dir : ".");
    memset(bytes, 'a', sizeof(bytes));
    fd = mkstemp(sample_path);
    cr_assert(fd >= 0, "%s", sample_path);
    cr_assert_eq(write(fd, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
    close(fd);
    descriptors_before = count_descriptors();
}

static void remove_sample(void)
{
    unlink(sample_path);
    cr_expect_eq(count_descriptors(), descriptors_before, "descriptors leak: %u, then %u",
                 descriptors_before, count_descriptors());
}

TestSuite(file, .init = make_sample, .fini = remove_sample);

static bool has_flag(int fd, int flag)
{
    int flags = fcntl(fd, F_GETFL);

    cr_assert(flags >= 0);
    return (flags & flag) != 0;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* What a direct read must be able to do. */
static void expect_direct_works(const struct ds_file *file)
{
    uint8_t *memory = aligned_alloc(65536, 65536);

    cr_assert(is_power_of_two(file->memory_align) && is_power_of_two(file->offset_align));
    cr_assert(has_flag(file->direct_fd, O_DIRECT));
    cr_assert_not(has_flag(file->buffered_fd, O_DIRECT));
    cr_expect(pread(file->direct_fd, memory, file->offset_align, file->offset_align) > 0);
    cr_expect(pread(file->buffered_fd, memory + 1, 3, 5) == 3);
    cr_expect(file_is_direct(file));
    cr_expect_eq(strncmp(file->reason, "direct: ", 8), 0, "%s", file->reason);
    free(memory);
}

static void expect_buffered(const struct ds_file *file, const char *why)
{
    cr_expect_eq(file->direct_fd, -1);
    cr_expect_eq(file->memory_align, 1);
    cr_expect_eq(file->offset_align, 1);
    cr_expect_not(file_is_direct(file));
    cr_expect_not_null(strstr(file->reason, why), "%s", file->reason);
}

Test(file, direct_modes)
{
    struct ds_file file;

    for (int mode = DS_DIRECT_AUTO; mode <= DS_DIRECT_OFF; mode++) {
        int rc = file_open_descriptors(&file, sample_path, -1, 0, (enum ds_direct_mode)mode);

        cr_assert_eq(rc, 0);
        cr_expect_not(file.writable);
        if (mode == DS_DIRECT_OFF)
            expect_buffered(&file, "asked for");
        else
            expect_direct_works(&file);
        file_close_descriptors(&file);
    }
    cr_expect_eq(file_open_descriptors(&file, sample_path, -1, 0, (enum ds_direct_mode)3), -EINVAL);
}

Test(file, no_direct_in_proc)
{
    struct ds_file file;

    cr_assert_eq(file_open_descriptors(&file, "/proc/version", -1, 0, DS_DIRECT_AUTO), 0);
    expect_buffered(&file, "O_DIRECT");
    file_close_descriptors(&file);
    cr_expect_eq(file_open_descriptors(&file, "/proc/version", -1, 0, DS_DIRECT_ON), -EINVAL);
}

Test(file, empty_file)
{
    struct ds_file file;

    cr_assert_eq(truncate(sample_path, 0), 0);
    cr_assert_eq(file_open_descriptors(&file, sample_path, -1, 0, DS_DIRECT_ON), 0);
    cr_expect(file_is_direct(&file));
    file_close_descriptors(&file);
}

Test(file, wrong_kinds)
{
    struct ds_file file;
    char fifo[300];
    int fd;

    cr_expect_eq(file_open_descriptors(&file, "/", -1, 0, DS_DIRECT_AUTO), -EISDIR);
    cr_expect_eq(file_open_descriptors(&file, "/", -1, DS_FILE_WRITE, DS_DIRECT_AUTO), -EISDIR);
    cr_expect_eq(file_open_descriptors(&file, "/dev/null", -1, 0, DS_DIRECT_AUTO), -EINVAL);
    cr_expect_eq(file_open_descriptors(&file, "/nowhere/x", -1, 0, DS_DIRECT_AUTO), -ENOENT);
    snprintf(fifo, sizeof(fifo), "%s.fifo", sample_path);
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    /* an ordinary open would wait for a writer */
    cr_expect_eq(file_open_descriptors(&file, fifo, -1, 0, DS_DIRECT_AUTO), -EINVAL);
    unlink(fifo);
    fd = open("/", O_RDONLY | O_DIRECTORY);
    cr_expect_eq(file_open_descriptors(&file, NULL, fd, 0, DS_DIRECT_AUTO), -EISDIR);
    cr_expect_eq(file_open_descriptors(&file, NULL, fd, DS_FILE_OWN_FD, DS_DIRECT_AUTO), -EISDIR);
    cr_expect(is_open(fd), "a refused descriptor stays the caller's");
    close(fd);
}

Test(file, flags)
{
    char path[300];
    struct ds_file file;
    struct stat st;

    cr_expect_eq(file_open_descriptors(&file, sample_path, -1, 8, DS_DIRECT_AUTO), -EINVAL);
    snprintf(path, sizeof(path), "%s.new", sample_path);
    cr_expect_eq(file_open_descriptors(&file, path, -1, DS_FILE_CREATE, DS_DIRECT_AUTO), -EINVAL);
    cr_expect_eq(file_open_descriptors(&file, path, -1, DS_FILE_WRITE, DS_DIRECT_AUTO), -ENOENT);
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(file_open_descriptors(&file, path, -1, DS_FILE_WRITE | DS_FILE_CREATE,
                                           DS_DIRECT_AUTO),
                     0);
        cr_expect(file.writable);
        cr_assert_eq(fstat(file.buffered_fd, &st), 0);
        cr_expect_eq(st.st_size, again * 3, "an existing file keeps its content");
        cr_expect_eq(pwrite(file.buffered_fd, "abc", 3, 0), 3);
        cr_expect_not(has_flag(file.buffered_fd, O_NONBLOCK));
        cr_expect(fcntl(file.buffered_fd, F_GETFD) & FD_CLOEXEC);
        cr_expect(fcntl(file.direct_fd, F_GETFD) & FD_CLOEXEC);
        file_close_descriptors(&file);
    }
    unlink(path);
}

Test(file, adopt_leaves_the_descriptor_as_it_was)
{
    int fd = open(sample_path, O_RDONLY);
    int flags = fcntl(fd, F_GETFL);
    struct ds_file file;

    cr_assert_eq(lseek(fd, 123, SEEK_SET), 123);
    cr_assert_eq(file_open_descriptors(&file, NULL, fd, 0, DS_DIRECT_ON), 0);
    expect_direct_works(&file);
    cr_expect_eq(file.buffered_fd, fd);
    file_close_descriptors(&file);
    cr_expect(is_open(fd));
    cr_expect_eq(fcntl(fd, F_GETFL), flags);
    cr_expect_eq(lseek(fd, 0, SEEK_CUR), 123);
    cr_assert_eq(file_open_descriptors(&file, NULL, fd, DS_FILE_OWN_FD, DS_DIRECT_AUTO), 0);
    file_close_descriptors(&file);
    cr_expect_not(is_open(fd));
}

Test(file, adopt_refuses)
{
    int fd = open(sample_path, O_RDONLY), path_fd = open(sample_path, O_PATH);
    int write_fd = open(sample_path, O_WRONLY), proc_fd = open("/proc/version", O_RDONLY);
    int proc_nonblock_fd = open("/proc/version", O_RDONLY | O_NONBLOCK);
    struct ds_file file;

    cr_expect_eq(file_open_descriptors(&file, NULL, -1, 0, DS_DIRECT_AUTO), -EBADF);
    cr_expect_eq(file_open_descriptors(&file, NULL, 9999, 0, DS_DIRECT_AUTO), -EBADF);
    cr_expect_eq(file_open_descriptors(&file, NULL, path_fd, 0, DS_DIRECT_AUTO), -EBADF);
    cr_expect_eq(file_open_descriptors(&file, NULL, fd, DS_FILE_WRITE, DS_DIRECT_AUTO), -EBADF);
    cr_expect_eq(file_open_descriptors(&file, NULL, write_fd, 0, DS_DIRECT_AUTO), -EBADF);
    cr_expect_eq(file_open_descriptors(&file, NULL, fd, DS_FILE_WRITE | DS_FILE_CREATE,
                                       DS_DIRECT_AUTO),
                 -EINVAL);
    cr_expect_eq(file_open_descriptors(&file, NULL, proc_fd, DS_FILE_OWN_FD, DS_DIRECT_ON),
                 -EINVAL);
    cr_expect_eq(file_open_descriptors(&file, NULL, proc_nonblock_fd, DS_FILE_OWN_FD,
                                       DS_DIRECT_ON),
                 -EINVAL);
    cr_expect(is_open(fd) && is_open(path_fd) && is_open(write_fd) && is_open(proc_fd) &&
              is_open(proc_nonblock_fd));
    close(proc_nonblock_fd);
    close(fd);
    close(path_fd);
    close(write_fd);
    close(proc_fd);
}

Test(file, adopt_unsuited_flags)
{
    static const int flags[] = {O_DIRECT, O_NONBLOCK, O_APPEND, O_DIRECT | O_APPEND | O_NONBLOCK};

    for (uint32_t i = 0; i < 4 * ARRAY_LENGTH(flags); i++) {
        int fd = open(sample_path, O_RDWR | flags[i / 4]);
        bool owned = i % 2;
        bool direct = i % 4 < 2;
        char byte = 0;
        struct ds_file file;

        cr_assert_eq(file_open_descriptors(&file, NULL, fd,
                                           DS_FILE_WRITE | (owned ? DS_FILE_OWN_FD : 0),
                                           direct ? DS_DIRECT_AUTO : DS_DIRECT_OFF),
                     0);
        cr_expect_not(has_flag(file.buffered_fd, flags[i / 4]));
        cr_expect(has_flag(fd, flags[i / 4]));
        if (direct)
            expect_direct_works(&file);
        else
            expect_buffered(&file, "asked for");
        cr_expect_eq(pwrite(file.buffered_fd, "z", 1, 17), 1);
        cr_expect_eq(pread(file.buffered_fd, &byte, 1, 17), 1);
        cr_expect_eq(byte, 'z');
        file_close_descriptors(&file);
        cr_expect_eq(is_open(fd), !owned);
        if (!owned)
            close(fd);
    }
}

Test(file, adopt_without_a_name)
{
    int memory_fd = memfd_create("test", MFD_CLOEXEC);
    int fd = open(sample_path, O_RDONLY);
    struct ds_file file;

    unlink(sample_path);
    cr_assert_eq(file_open_descriptors(&file, NULL, fd, DS_FILE_OWN_FD, DS_DIRECT_ON), 0);
    expect_direct_works(&file);
    file_close_descriptors(&file);
    cr_assert_eq(ftruncate(memory_fd, 65536), 0);
    cr_assert_eq(file_open_descriptors(&file, NULL, memory_fd, DS_FILE_OWN_FD, DS_DIRECT_AUTO), 0);
    file_close_descriptors(&file);
}

/* A descriptor handed to a process that could not open the file itself. */
Test(file, adopt_what_cannot_be_reopened)
{
    int plain = open(sample_path, O_RDWR), direct = open(sample_path, O_RDWR | O_DIRECT);
    int append = open(sample_path, O_RDWR | O_APPEND);
    struct ds_file file;

    cr_assert_eq(chmod(sample_path, 0), 0);
    if (geteuid() == 0)
        cr_assert_eq(seteuid(65534), 0);
    cr_assert_eq(file_open_descriptors(&file, NULL, plain, 0, DS_DIRECT_AUTO), 0);
    expect_buffered(&file, "could not be opened again");
    file_close_descriptors(&file);
    cr_expect_eq(file_open_descriptors(&file, NULL, plain, 0, DS_DIRECT_ON), -EINVAL);

    cr_assert_eq(file_open_descriptors(&file, NULL, direct, 0, DS_DIRECT_AUTO), 0);
    cr_expect(file_is_direct(&file));
    cr_expect(has_flag(file.direct_fd, O_DIRECT));
    file_close_descriptors(&file);
    cr_expect_eq(file_open_descriptors(&file, NULL, direct, DS_FILE_OWN_FD, DS_DIRECT_OFF),
                 -EACCES);

    cr_expect_eq(file_open_descriptors(&file, NULL, append, DS_FILE_WRITE, DS_DIRECT_OFF),
                 -EACCES);
    cr_assert_eq(file_open_descriptors(&file, NULL, append, 0, DS_DIRECT_OFF), 0);
    file_close_descriptors(&file);
    cr_expect(is_open(plain) && is_open(direct) && is_open(append));
    close(plain);
    close(direct);
    close(append);
    if (getuid() == 0)
        cr_assert_eq(seteuid(0), 0);
}

Test(file, block_device)
{
    static const char *const paths[] = {"/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0"};
    struct ds_file file;
    char byte;

    for (uint32_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        if (file_open_descriptors(&file, paths[i], -1, 0, DS_DIRECT_ON) != 0)
            continue;
        if (pread(file.buffered_fd, &byte, 1, 65536) == 1) {
            expect_direct_works(&file);
            fprintf(stderr, "%s: %s (%u, %u)\n", paths[i], file.reason, file.memory_align,
                    file.offset_align);
            file_close_descriptors(&file);
            return;
        }
        file_close_descriptors(&file);
    }
    fprintf(stderr, "skipped: no readable block device\n");
}
