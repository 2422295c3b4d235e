/* SPDX-License-Identifier: Apache-2.0 */
#include "base/standard_files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void standard_files_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        /* open() takes the lowest number that is free. Without /dev/null there
         * is nothing that would be safe, and nobody to tell. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) {
            abort();
        }
    }
}
