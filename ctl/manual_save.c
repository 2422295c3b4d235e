/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/invocation.h"
#include "ctl/manual.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool save(const char *folder, const char *noun, const struct bytes *page)
{
    char path[1024];
    FILE *file;
    bool saved;

    if (snprintf(path, sizeof(path), "%s/holdfast%s%s.1", folder,
                 noun == NULL ? "" : "-",
                 noun == NULL ? "" : noun) >= (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    saved = fwrite(page->data, 1, page->len, file) == page->len;
    return fclose(file) == 0 && saved;
}

enum exit_code manual_save(const char *folder)
{
    const char *before = "";
    struct bytes page;
    bool saved;

    bytes_init(&page);
    manual_write_all(HF_VERSION, &page);
    saved = save(folder, NULL, &page);
    for (size_t i = 0; saved && command_at(i) != NULL; i++) {
        const char *noun = command_at(i)->noun;

        if (strcmp(noun, before) != 0) {
            bytes_clear(&page);
            manual_write_noun(noun, HF_VERSION, &page);
            saved = save(folder, noun, &page);
            before = noun;
        }
    }
    bytes_close(&page);
    if (!saved) {
        (void)fprintf(stderr, "holdfast: cannot write the pages to %s: %s\n",
                      folder, strerror(errno));
    }
    return saved ? EXIT_OK : EXIT_FAILED;
}
