/* SPDX-License-Identifier: Apache-2.0 */
#include "base/similar.h"

#include <string.h>

#define WORD_MAX 63

void similar_init(struct similar *similar, const char *wanted)
{
    size_t len = strlen(wanted);
    unsigned allowed = len <= WORD_MAX ? (unsigned)len / 3 : 0;

    similar->wanted = wanted;
    similar->best = NULL;
    similar->distance = (allowed < 1 ? 1 : allowed) + 1;
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned least = a < b ? a : b;

    return least < c ? least : c;
}

/* Three rows of the usual table suffice: a swap looks two rows back. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1];
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);

    for (unsigned j = 0; j <= b_len; j++) {
        rows[0][j] = j;
    }
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        const unsigned *swap = rows[(i + 1) % 3];

        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned replace = above[j - 1] + (a[i - 1] != b[j - 1]);

            row[j] = min3(above[j] + 1, row[j - 1] + 1, replace);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1] && swap[j - 2] + 1 < row[j]) {
                row[j] = swap[j - 2] + 1;
            }
        }
    }
    return rows[a_len % 3][b_len];
}

void similar_offer(struct similar *similar, const char *word)
{
    size_t wanted_len = strlen(similar->wanted);
    unsigned distance;

    if (wanted_len > WORD_MAX || strlen(word) > WORD_MAX) {
        return;
    }
    distance = edit_distance(similar->wanted, word);
    if (wanted_len >= 2 && distance > 1 &&
        strncmp(similar->wanted, word, wanted_len) == 0) {
        distance = 1;
    }
    if (distance < similar->distance) {
        similar->distance = distance;
        similar->best = word;
    }
}
