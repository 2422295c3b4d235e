/* SPDX-License-Identifier: Apache-2.0
 *
 * What agent, guard and shims leave for each other in the run directory. */
#include "agent/files.h"
#include "agent/guard_beat.h"
#include "agent/lease_page.h"
#include "agent/pid_file.h"
#include "agent/process.h"
#include "agent/region_file.h"
#include "agent/run_dir.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "tests/support/folder.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND_NS 1000000000ull

static char dir[32];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/hf-files-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return folder_remove(dir);
}

static int open_dir(void)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void put(int fd, const char *name, const void *data, size_t len)
{
    assert_int_equal(files_replace(fd, name, data, len), 0);
}

static void a_lease_only_moves_forward_and_ends(void **state)
{
    int fd = open_dir();
    struct lease_page writer;
    struct lease_page reader;

    (void)state;
    assert_int_equal(lease_page_open(&reader, fd), HF_ERROR_NOT_FOUND);
    assert_int_equal(lease_page_create(&writer, fd), 0);
    assert_int_equal(lease_page_open(&reader, fd), 0);
    assert_false(lease_page_live(&reader, 0)); /* None at the start. */
    assert_true(lease_page_extend(&writer, 50, 10));
    assert_false(lease_page_extend(&writer, 40, 10));
    assert_false(lease_page_extend(&writer, 50, 10));
    assert_int_equal(lease_page_deadline(&reader), 50);
    assert_true(lease_page_live(&reader, 49));
    assert_false(lease_page_live(&reader, 50));
    lease_page_shorten(&writer, 60);
    assert_int_equal(lease_page_deadline(&reader), 50);
    lease_page_shorten(&writer, 30);
    assert_int_equal(lease_page_deadline(&reader), 30);
    lease_page_clear(&writer);
    assert_false(lease_page_live(&reader, 0));
    lease_page_close(&reader);
    lease_page_close(&writer);
    close(fd);
}

static void a_deadline_too_far_away_is_not_believed(void **state)
{
    int fd = open_dir();
    struct lease_page page;
    uint64_t now_ns = 1000 * SECOND_NS;

    (void)state;
    assert_int_equal(lease_page_create(&page, fd), 0);
    assert_true(lease_page_extend(&page, UINT64_MAX, now_ns));
    assert_true(lease_page_deadline(&page) == now_ns + LEASE_PAGE_AHEAD_MAX_NS);
    assert_true(lease_page_live(&page, now_ns));
    /* As if the page had been scribbled on: for an earlier clock it is. */
    assert_false(lease_page_live(&page, now_ns - 1));
    assert_true(lease_page_extend(&page, now_ns - 1 + SECOND_NS, now_ns - 1));
    assert_true(lease_page_live(&page, now_ns - 1));
    lease_page_close(&page);
    close(fd);
}

static void a_page_survives_its_agent_but_not_a_boot(void **state)
{
    int fd = open_dir();
    struct lease_page page;
    struct lease_page other;
    struct lease_page shim;
    char content[4096];
    size_t len;

    (void)state;
    assert_int_equal(lease_page_create(&page, fd), 0);
    assert_int_equal(lease_page_create(&other, fd), HF_ERROR_BUSY);
    lease_page_extend(&page, 50, 10);
    assert_int_equal(lease_page_open(&shim, fd), 0);
    lease_page_close(&page);
    assert_int_equal(lease_page_create(&page, fd), 0);
    assert_int_equal(lease_page_deadline(&page), 50);
    /* The shim of before sees what the new agent writes. */
    lease_page_extend(&page, 70, 10);
    assert_int_equal(lease_page_deadline(&shim), 70);
    lease_page_close(&shim);
    lease_page_close(&page);

    /* Another boot id in it. */
    {
        char buf[4097];

        assert_int_equal(files_read(fd, "lease", buf, sizeof(buf), &len), 0);
        assert_int_equal(len, 4096);
        memcpy(content, buf, sizeof(content));
    }
    content[10] ^= 1;
    put(fd, "lease", content, sizeof(content));
    assert_int_equal(lease_page_open(&shim, fd), HF_ERROR_INVALID);
    assert_int_equal(lease_page_create(&page, fd), 0);
    assert_int_equal(lease_page_deadline(&page), 0);
    lease_page_close(&page);
    /* Too short to map. */
    put(fd, "lease", content, 100);
    assert_int_equal(lease_page_open(&shim, fd), HF_ERROR_INVALID);
    close(fd);
}

static void a_pid_file_has_one_form(void **state)
{
    static const char *const bad[] = {
        "",
        "shim=1 2\n",
        "shim=0 2\nvm=3 4\npolicy=move\nstate=running\n",
        "shim=1 2\nvm=3 4\npolicy=both\nstate=running\n",
        "shim=1 2\nvm=3 4\npolicy=move\nstate=running",
        "shim=1 2\nvm=3 4\npolicy=move\nstate=running\n\n",
        "shim=01 2\nvm=3 4\npolicy=move\nstate=running\n",
        "shim=1 2\nvm=2147483648 4\npolicy=move\nstate=running\n",
        "shim=1 2\nvm=-1 4\npolicy=move\nstate=running\n",
        "shim=1  2\nvm=3 4\npolicy=move\nstate=running\n",
    };
    int fd = open_dir();
    struct pid_file file = {{7, 8}, {INT_MAX, UINT64_MAX}, true, true};
    struct pid_file back;
    char text[300];

    (void)state;
    assert_int_equal(pid_file_read(&back, fd), HF_ERROR_NOT_FOUND);
    for (int i = 0; i < 4; i++) {
        file.keep = (i & 1) != 0;
        file.running = (i & 2) != 0;
        assert_int_equal(pid_file_write(&file, fd), 0);
        assert_int_equal(pid_file_read(&back, fd), 0);
        assert_int_equal(back.vm.pid, INT_MAX);
        assert_true(back.vm.start_ticks == UINT64_MAX);
        assert_int_equal(back.shim.start_ticks, 8);
        assert_int_equal(back.keep, file.keep);
        assert_int_equal(back.running, file.running);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        put(fd, VM_FILE_PID, bad[i], strlen(bad[i]));
        assert_int_equal(pid_file_read(&back, fd), HF_ERROR_INVALID);
    }
    put(fd, VM_FILE_PID, "shim=1 2\nvm=3 4\npolicy=move\0state=running\n", 43);
    assert_int_equal(pid_file_read(&back, fd), HF_ERROR_INVALID);
    memset(text, '1', sizeof(text));
    put(fd, VM_FILE_PID, text, sizeof(text));
    assert_int_equal(pid_file_read(&back, fd), HF_ERROR_INVALID);
    close(fd);
}

static void a_process_is_named_by_pid_and_start(void **state)
{
    struct process_id id;
    struct process_id other;
    pid_t pid = fork();
    int fd;

    (void)state;
    if (pid == 0) {
        for (;;) {
            pause();
        }
    }
    assert_int_equal(process_identify(pid, &id), 0);
    fd = process_open(&id);
    assert_true(fd >= 0);
    other = id;
    other.start_ticks++;
    assert_int_equal(process_open(&other), HF_ERROR_NOT_FOUND);
    assert_false(process_exists(&other));
    assert_true(process_exists(&id));
    assert_int_equal(process_signal(fd, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(process_signal(fd, SIGKILL), HF_ERROR_NOT_FOUND);
    assert_false(process_exists(&id));
    assert_int_equal(process_open(&id), HF_ERROR_NOT_FOUND);
    close(fd);
}

/* A file of ours is a small regular file, whatever somebody put there. */
static void odd_files_are_refused(void **state)
{
    int fd = open_dir();
    char buf[8];
    size_t len;

    (void)state;
    assert_int_equal(mkfifoat(fd, "fifo", 0600), 0);
    assert_int_equal(symlinkat("/etc/hostname", fd, "link"), 0);
    assert_int_equal(mkdirat(fd, "dir", 0700), 0);
    put(fd, "seven", "1234567", 7);
    put(fd, "eight", "12345678", 8);
    assert_int_equal(files_read(fd, "fifo", buf, sizeof(buf), &len),
                     HF_ERROR_INVALID);
    assert_int_equal(files_read(fd, "link", buf, sizeof(buf), &len),
                     HF_ERROR_IO);
    assert_int_equal(files_read(fd, "dir", buf, sizeof(buf), &len),
                     HF_ERROR_INVALID);
    assert_int_equal(files_read(fd, "absent", buf, sizeof(buf), &len),
                     HF_ERROR_NOT_FOUND);
    assert_int_equal(files_read(fd, "seven", buf, sizeof(buf), &len), 0);
    assert_string_equal(buf, "1234567");
    assert_int_equal(files_read(fd, "eight", buf, sizeof(buf), &len),
                     HF_ERROR_TOO_LARGE);
    close(fd);
}

static void numbers_have_one_form(void **state)
{
    static const char *const bad[] = {"",
                                      "00",
                                      "01",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "18446744073709551616",
                                      "99999999999999999999"};
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(
            files_parse_u64(bad[i], strlen(bad[i]), UINT64_MAX, &value),
            HF_ERROR_INVALID);
    }
    assert_int_equal(
        files_parse_u64("18446744073709551615", 20, UINT64_MAX, &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(files_parse_u64("0", 1, 0, &value), 0);
    assert_int_equal(files_parse_u64("1", 1, 0, &value), HF_ERROR_INVALID);
    assert_int_equal(files_parse_u64("10", 2, 9, &value), HF_ERROR_INVALID);
    assert_int_equal(files_parse_u64("9", 1, 9, &value), 0);
}

static void a_run_directory_must_be_ours_alone(void **state)
{
    struct run_dir run;
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/run", dir);
    assert_int_equal(run_dir_open(&run, path), HF_ERROR_NOT_FOUND);
    assert_int_equal(run_dir_create(&run, path), 0);
    run_dir_close(&run);
    assert_int_equal(run_dir_create(&run, path), 0);
    run_dir_close(&run);
    assert_int_equal(chmod(path, 0770), 0);
    assert_int_equal(run_dir_create(&run, path), HF_ERROR_INVALID);
    assert_int_equal(run_dir_create(&run, "relative"), HF_ERROR_INVALID);
    memset(path, 'x', 100);
    path[0] = '/';
    path[100] = '\0';
    assert_int_equal(run_dir_create(&run, path), HF_ERROR_TOO_LARGE);
}

static void the_region_is_kept_beside_its_vms(void **state)
{
    static const char *const wrong[] = {"",
                                        "\n",
                                        "0123456789abcdeffedcba987654321\n",
                                        "0123456789abcdeffedcba9876543210",
                                        "0123456789ABCDEFFEDCBA9876543210\n",
                                        "0123456789abcdeffedcba98765432100\n"};
    char id[REGION_ID_BYTES] = "x";
    struct run_dir run;
    char path[128];

    (void)state;
    snprintf(path, sizeof(path), "%s/run", dir);
    assert_int_equal(run_dir_create(&run, path), 0);
    assert_int_equal(region_file_read(&run, id), 0);
    assert_string_equal(id, ""); /* None was kept yet. */
    assert_int_equal(
        region_file_write(&run, "0123456789abcdeffedcba9876543210"), 0);
    assert_int_equal(
        region_file_write(&run, "00000000000000000000000000000000"), 0);
    assert_int_equal(region_file_read(&run, id), 0);
    assert_string_equal(id, "00000000000000000000000000000000");
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        put(run.fd, "region", wrong[i], strlen(wrong[i]));
        assert_int_equal(region_file_read(&run, id), HF_ERROR_INVALID);
    }
    run_dir_close(&run);
}

static void a_beat_names_its_guard(void **state)
{
    int fd = open_dir();
    struct guard_beat beat;
    struct process_id guard;
    uint64_t beat_ns;

    (void)state;
    assert_int_equal(guard_beat_read(fd, &beat_ns, &guard), HF_ERROR_NOT_FOUND);
    assert_int_equal(guard_beat_create(&beat, fd), 0);
    assert_int_equal(guard_beat_read(fd, &beat_ns, &guard), 0);
    assert_int_equal(beat_ns, 0);
    assert_int_equal(guard.pid, getpid());
    assert_true(process_exists(&guard));
    guard_beat_write(&beat, 77);
    assert_int_equal(guard_beat_read(fd, &beat_ns, &guard), 0);
    assert_int_equal(beat_ns, 77);
    put(fd, "beat", "x", 1);
    assert_int_equal(guard_beat_read(fd, &beat_ns, &guard), HF_ERROR_INVALID);
    close(fd);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_lease_only_moves_forward_and_ends),
        CASE(a_deadline_too_far_away_is_not_believed),
        CASE(a_page_survives_its_agent_but_not_a_boot),
        CASE(a_pid_file_has_one_form),
        CASE(a_process_is_named_by_pid_and_start),
        CASE(odd_files_are_refused),
        cmocka_unit_test(numbers_have_one_form),
        CASE(a_run_directory_must_be_ours_alone),
        CASE(the_region_is_kept_beside_its_vms),
        CASE(a_beat_names_its_guard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
