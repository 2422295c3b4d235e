/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether an agent may start with the run directory that it is given: the
 * judgement, the record that it rests on, and the look for life. */
#include "agent/boot_check.h"
#include "agent/files.h"
#include "base/container.h"
#include "base/error.h"
#include "tests/support/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[32];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/hf-boot-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return folder_remove(dir);
}

static void the_judgement_has_one_row_a_rule(void **state)
{
    static const struct {
        struct boot_facts facts;
        enum boot_verdict expected;
    } rows[] = {
        {{.readable = true}, BOOT_FIRST},
        {{.readable = false}, BOOT_UNREADABLE},
        /* Whatever else is said of a record that cannot be read. */
        {{.same_kernel_boot = true, .same_run_dir = true}, BOOT_UNREADABLE},
        /* The machine booted: locks and processes are gone, wherever. */
        {{true, true, false, false, BOOT_NOTHING_LIVES}, BOOT_NEW},
        {{true, true, false, false, BOOT_UNPROVEN}, BOOT_NEW},
        {{true, true, false, true, BOOT_SOMETHING_LIVES}, BOOT_NEW},
        /* What lives in the same run directory is adopted. */
        {{true, true, true, true, BOOT_NOTHING_LIVES}, BOOT_CARRY_ON},
        {{true, true, true, true, BOOT_SOMETHING_LIVES}, BOOT_CARRY_ON},
        /* Another one, or the same one emptied. */
        {{true, true, true, false, BOOT_NOTHING_LIVES}, BOOT_MOVE},
        {{true, true, true, false, BOOT_SOMETHING_LIVES}, BOOT_VMS_MAY_LIVE},
        {{true, true, true, false, BOOT_UNPROVEN}, BOOT_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (boot_judge(&rows[i].facts) != rows[i].expected) {
            fail_msg("row %zu", i);
        }
    }
}

static struct boot_record example(void)
{
    return (struct boot_record){
        .kernel_boot = "01234567-89ab-cdef-0123-456789abcdef",
        .boot_id = "01234567-89ab-cdef-0123-456789abcdef-36c1f4c92387647f6c0",
        .run_device = UINT64_MAX,
        .run_inode = 0,
        .run_dir = "/run/with blanks = and \xc3\xa4",
    };
}

static void a_record_comes_back_as_it_was(void **state)
{
    struct boot_record record = example();
    struct boot_record back;
    char text[BOOT_RECORD_BYTES_MAX];
    int len = boot_record_encode(&record, text);

    (void)state;
    assert_true(len > 0);
    assert_int_equal(boot_record_decode(&back, text, (size_t)len), 0);
    assert_string_equal(back.kernel_boot, record.kernel_boot);
    assert_string_equal(back.boot_id, record.boot_id);
    assert_string_equal(back.run_dir, record.run_dir);
    assert_true(back.run_device == record.run_device);
    assert_true(back.run_inode == record.run_inode);
    /* The longest path there can be. */
    memset(record.run_dir, '/', PATH_MAX - 1);
    assert_true(boot_record_encode(&record, text) > PATH_MAX);
    record = example();
    strcpy(record.run_dir, "/run\nboot_id=forged");
    assert_int_equal(boot_record_encode(&record, text), HF_ERROR_INVALID);
    strcpy(record.run_dir, "run");
    assert_int_equal(boot_record_encode(&record, text), HF_ERROR_INVALID);
}

static void no_part_of_a_record_and_no_other_bits_are_one(void **state)
{
    struct boot_record record = example();
    struct boot_record back;
    char text[BOOT_RECORD_BYTES_MAX];
    char bad[BOOT_RECORD_BYTES_MAX];
    size_t len = (size_t)boot_record_encode(&record, text);

    (void)state;
    for (size_t cut = 0; cut < len; cut++) {
        memcpy(bad, text, cut);
        bad[cut] = '\0';
        assert_int_equal(boot_record_decode(&back, bad, cut), HF_ERROR_INVALID);
    }
    for (size_t bit = 0; bit < 8 * len; bit++) {
        memcpy(bad, text, len + 1);
        bad[bit / 8] = (char)(bad[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(boot_record_decode(&back, bad, len), HF_ERROR_INVALID);
    }
    memset(bad, 0, len);
    assert_int_equal(boot_record_decode(&back, bad, len), HF_ERROR_INVALID);
    memcpy(bad, text, len);
    memcpy(bad + len, "\n", 2);
    assert_int_equal(boot_record_decode(&back, bad, len + 1), HF_ERROR_INVALID);
}

/* A host with run directories in `dir`. */
struct host {
    struct run_dir run;
    char run_path[64];
    char state_path[64];
    struct boot_check check;
    int state_fd;
};

static void open_host(struct host *host, const char *run_dir)
{
    memset(host, 0, sizeof(*host));
    snprintf(host->state_path, sizeof(host->state_path), "%s/state", dir);
    assert_true(mkdir(host->state_path, 0700) == 0 || errno == EEXIST);
    host->state_fd = open(host->state_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(host->state_fd >= 0);
    snprintf(host->run_path, sizeof(host->run_path), "%s/%s", dir, run_dir);
    assert_int_equal(run_dir_create(&host->run, host->run_path), 0);
    host->check.state_dir_fd = host->state_fd;
    host->check.state_dir = host->state_path;
    host->check.run = &host->run;
}

static void close_host(struct host *host)
{
    run_dir_close(&host->run);
    close(host->state_fd);
}

/* One start of an agent; its boot id is then the host's. */
static int start(const char *run_dir, char boot_id[MACHINE_BOOT_BYTES],
                 const char *says)
{
    struct host host;
    int result;

    open_host(&host, run_dir);
    result = boot_check(&host.check);
    if (result == 0 && boot_id != NULL) {
        memcpy(boot_id, host.check.boot_id, MACHINE_BOOT_BYTES);
    }
    if (strstr(host.check.reason, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", host.check.reason, says);
    }
    close_host(&host);
    return result;
}

/* What a shim, or the guard, holds. */
static int hold(const char *run_dir, const char *name)
{
    char path[96];
    int fd;

    snprintf(path, sizeof(path), "%s/%s/%s", dir, run_dir, name);
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
    snprintf(path, sizeof(path), "%s/%s/%s/lock", dir, run_dir, name);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    return fd;
}

static void put(const char *name, const char *content)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(files_replace(fd, name, content, strlen(content)), 0);
    close(fd);
}

static void remove_path(const char *name)
{
    char path[96];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(folder_remove(path), 0);
}

static void the_same_run_dir_is_the_same_boot(void **state)
{
    char first[MACHINE_BOOT_BYTES];
    char second[MACHINE_BOOT_BYTES];
    int lock;

    (void)state;
    assert_int_equal(start("a", first, ""), 0);
    lock = hold("a", "vms/7");
    assert_int_equal(start("a", second, ""), 0);
    assert_string_equal(first, second);
    /* Also by another name. */
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(rename("a", "b"), 0);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(start("b", second, ""), 0);
    assert_string_equal(first, second);
    close(lock);
}

static void another_run_dir_needs_an_empty_former_one(void **state)
{
    char first[MACHINE_BOOT_BYTES];
    char second[MACHINE_BOOT_BYTES];
    int lock;

    (void)state;
    assert_int_equal(start("a", first, ""), 0);
    lock = hold("a", "vms/7");
    assert_int_equal(start("b", NULL, "running VM with uid 7"), HF_ERROR_BUSY);
    assert_int_equal(start("b", NULL, "/a, and"), HF_ERROR_BUSY);
    assert_int_equal(start("b", NULL, "Set run_dir back"), HF_ERROR_BUSY);
    close(lock);
    lock = hold("a", "guard");
    assert_int_equal(start("b", NULL, "holdfast-guard"), HF_ERROR_BUSY);
    close(lock);
    /* A refused start leaves no trace that a later one could believe. */
    assert_int_equal(start("a", second, ""), 0);
    assert_string_equal(first, second);
    assert_int_equal(start("b", second, ""), 0);
    assert_string_not_equal(first, second);
    /* Now "b" is the one that counts. */
    lock = hold("b", "vms/8");
    assert_int_equal(start("a", NULL, "/b, and"), HF_ERROR_BUSY);
    close(lock);
}

static void a_run_dir_that_was_emptied_proves_nothing(void **state)
{
    (void)state;
    assert_int_equal(start("a", NULL, ""), 0);
    close(hold("a", "vms/7"));
    remove_path("a/vms/7/lock");
    assert_int_equal(start("b", NULL, "lost the lock"), HF_ERROR_BUSY);
    remove_path("a/vms");
    assert_int_equal(start("b", NULL, "was emptied"), HF_ERROR_BUSY);
    remove_path("a/instance_id");
    assert_int_equal(start("b", NULL, "was emptied"), HF_ERROR_BUSY);
    assert_int_equal(start("a", NULL, "was emptied"), HF_ERROR_BUSY);
    assert_int_equal(start("a", NULL, "Put the directory back"), HF_ERROR_BUSY);
    remove_path("a");
    assert_int_equal(start("b", NULL, "cannot be opened"), HF_ERROR_BUSY);
    /* This makes it anew: it stays another one. */
    assert_int_equal(start("a", NULL, "VMs that run there"), HF_ERROR_BUSY);
    assert_int_equal(start("a", NULL, "reboot"), HF_ERROR_BUSY);
}

static void a_boot_of_the_machine_forgets_all(void **state)
{
    struct boot_record record = example();
    char text[BOOT_RECORD_BYTES_MAX];
    char boot_id[MACHINE_BOOT_BYTES];
    int lock;

    (void)state;
    assert_int_equal(start("a", NULL, ""), 0);
    strcpy(record.run_dir, "/nowhere");
    assert_true(boot_record_encode(&record, text) > 0);
    put("state/" BOOT_RECORD_FILE, text);
    lock = hold("a", "vms/7");
    assert_int_equal(start("b", boot_id, ""), 0);
    close(lock);
    /* It is recorded anew. */
    lock = hold("b", "vms/7");
    assert_int_equal(start("a", NULL, "/b, and"), HF_ERROR_BUSY);
    close(lock);
}

static void a_damaged_record_is_not_guessed_at(void **state)
{
    (void)state;
    assert_int_equal(start("a", NULL, ""), 0);
    put("state/" BOOT_RECORD_FILE, "holdfast-agent last_boot 1\n");
    assert_int_equal(start("a", NULL, "damaged"), HF_ERROR_BUSY);
    put("state/" BOOT_RECORD_FILE, "");
    assert_int_equal(start("a", NULL, BOOT_RECORD_FILE), HF_ERROR_BUSY);
    remove_path("state/" BOOT_RECORD_FILE);
    assert_int_equal(start("a", NULL, ""), 0);
}

static void a_shim_is_known_by_its_command_line(void **state)
{
    static const char shim[] =
        "/usr/bin/holdfast-shim\0--run-dir\0/run/a\0--uid\0"
        "7\0--\0/bin/x\0--uid\0"
        "8";
    static const char other[] = "/bin/sleep\0--run-dir\0/run/a";
    static const char bare[] = "holdfast-shim\0--run-dir";
    struct shim_words words;

    (void)state;
    assert_true(machine_shim_words(shim, sizeof(shim), &words));
    assert_string_equal(words.run_dir, "/run/a");
    assert_string_equal(words.uid, "7");
    assert_false(machine_shim_words(other, sizeof(other), &words));
    assert_true(machine_shim_words(bare, sizeof(bare), &words));
    assert_null(words.run_dir);
    assert_null(words.uid);
    assert_false(machine_shim_words(shim, sizeof(shim) - 1, &words));
    assert_false(machine_shim_words("", 0, &words));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_judgement_has_one_row_a_rule),
        cmocka_unit_test(a_record_comes_back_as_it_was),
        cmocka_unit_test(no_part_of_a_record_and_no_other_bits_are_one),
        CASE(the_same_run_dir_is_the_same_boot),
        CASE(another_run_dir_needs_an_empty_former_one),
        CASE(a_run_dir_that_was_emptied_proves_nothing),
        CASE(a_boot_of_the_machine_forgets_all),
        CASE(a_damaged_record_is_not_guessed_at),
        cmocka_unit_test(a_shim_is_known_by_its_command_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
