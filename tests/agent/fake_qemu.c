/* SPDX-License-Identifier: Apache-2.0
 *
 * A program in QEMU's place whose monitor follows a script, for what a real
 * QEMU does rarely or never. Run by the shim in RUN/vms/<uid>, it reads the
 * script from fake.script beside RUN. Its lines:
 *   >TEXT      send TEXT; $ stands for the id of the last command
 *   <          wait for a command
 *   %noise N   send N bytes of seeded noise
 *   %long N    send N letters without a line's end
 *   %close     end the connection and wait for the next
 * After the last line it does nothing more. */
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_fd;
static int fd = -1;
static char last_id[32] = "0";

static void put(const char *data, size_t len)
{
    if (send(fd, data, len, MSG_NOSIGNAL) < 0) {
        perror("send");
    }
}

static void say(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '$') {
            put(last_id, strlen(last_id));
        } else {
            put(at, 1);
        }
    }
    put("\r\n", 2);
}

static void hear(void)
{
    char line[1024];
    size_t len = 0;
    const char *id;

    while (len < sizeof(line) - 1 && read(fd, line + len, 1) == 1 &&
           line[len] != '\n') {
        len++;
    }
    line[len] = '\0';
    id = strstr(line, "\"id\":");
    if (id != NULL) {
        snprintf(last_id, sizeof(last_id), "%lu",
                 strtoul(id + strlen("\"id\":"), NULL, 10));
    }
}

static void noise(unsigned long count)
{
    struct random random;

    random_init(&random, 7);
    while (count-- > 0) {
        char byte = (char)random_below(&random, 256);

        put(&byte, 1);
    }
}

static void run(char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '>') {
        say(line + 1);
    } else if (line[0] == '<') {
        hear();
    } else if (strncmp(line, "%noise ", 7) == 0) {
        noise(strtoul(line + 7, NULL, 10));
    } else if (strncmp(line, "%long ", 6) == 0) {
        for (unsigned long n = strtoul(line + 6, NULL, 10); n > 0; n--) {
            put("x", 1);
        }
    } else if (strcmp(line, "%close") == 0) {
        close(fd);
        fd = accept(listen_fd, NULL, NULL);
    }
}

int main(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "qmp"};
    char line[4096];
    FILE *script = fopen("../../../fake.script", "re");

    listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (script == NULL || listen_fd < 0 ||
        bind(listen_fd, (const struct sockaddr *)&address, sizeof(address)) <
            0 ||
        listen(listen_fd, 8) < 0) {
        perror("fake_qemu");
        return 1;
    }
    fd = accept(listen_fd, NULL, NULL);
    while (fgets(line, sizeof(line), script) != NULL) {
        run(line);
    }
    puts("script done");
    fflush(stdout);
    for (;;) {
        pause();
    }
}
