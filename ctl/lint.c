/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/lint.h"

#include "base/clock.h"
#include "base/container.h"
#include "ctl/connect.h"
#include "ctl/context.h"
#include "ctl/export.h"
#include "ctl/manifest_files.h"

#include <string.h>

/* Places are found by reading the text again, up to 25 ms a MiB for each: of a
 * file that large, findings name the object alone. */
#define PLACE_BYTES_MAX ((size_t)4 * 1024 * 1024)

struct file_place {
    struct lint_place place;
    const struct manifest_files *files;
};

static bool find_place(struct lint_place *place, const char *path,
                       const char **file, unsigned *line)
{
    const struct file_place *it = container_of(place, struct file_place, place);

    return manifest_files_find(it->files, path, file, line);
}

static size_t text_bytes(const struct manifest_files *files)
{
    size_t bytes = 0;

    for (size_t i = 0; i < files->count; i++) {
        bytes += files->texts[i].len;
    }
    return bytes;
}

/* The rule of `len` bytes of text; false: there is none. */
static bool ignore(struct lint_input *input, const char *text, size_t len)
{
    for (int id = 0; id < LINT_RULES; id++) {
        const char *name = lint_rule((enum lint_id)id)->id;

        if (strlen(name) == len && memcmp(name, text, len) == 0) {
            input->ignored[id] = true;
            return true;
        }
    }
    return false;
}

static bool read_ignored(struct invocation *invocation,
                         struct lint_input *input)
{
    const char *list;

    for (size_t i = 0; (list = arguments_value_at(invocation->arguments,
                                                  OPTION_IGNORE, i)) != NULL;
         i++) {
        while (list[0] != '\0') {
            size_t len = strcspn(list, ",");

            if (!ignore(input, list, len)) {
                (void)usage_error(invocation,
                                  "--ignore: there is no rule "
                                  "`%.*s`; findings name theirs",
                                  (int)len, list);
                return false;
            }
            list += len + (list[len] == ',');
        }
    }
    return true;
}

static enum exit_code read_region(struct invocation *invocation,
                                  Holdfast__V1__Manifest **region)
{
    if (!arguments_has(invocation->arguments, OPTION_LIVE)) {
        return EXIT_OK;
    }
    if (context_choose(invocation) != EXIT_OK || !connect_client(invocation)) {
        return EXIT_USAGE;
    }
    return export_manifest(invocation, region);
}

static enum exit_code judge(struct invocation *invocation,
                            struct lint_input *input)
{
    struct diagnosis diagnosis;
    enum exit_code code;

    diagnosis_init(&diagnosis);
    lint_judge(input, &diagnosis);
    code = diagnosis_output(invocation, &diagnosis, SEVERITY(WARNING));
    diagnosis_close(&diagnosis);
    return code;
}

enum exit_code run_lint(struct invocation *invocation)
{
    struct lint_input input = {.manifest = NULL};
    Holdfast__V1__Manifest *region = NULL;
    struct manifest_files files;
    struct file_place place = {.place = {find_place}, .files = &files};
    enum exit_code code;

    if (!diagnosis_check_options(invocation) ||
        !read_ignored(invocation, &input)) {
        return EXIT_USAGE;
    }
    code = manifest_files_read(&files, invocation);
    if (code == EXIT_OK) {
        code = read_region(invocation, &region);
    }
    if (code == EXIT_OK) {
        input.manifest = &files.manifest;
        input.region = region;
        input.now_ms = clock_wall_ms();
        input.place =
            text_bytes(&files) <= PLACE_BYTES_MAX ? &place.place : NULL;
        code = judge(invocation, &input);
    }
    hf_message_free((void *)region);
    manifest_files_close(&files);
    return code;
}
