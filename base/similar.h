/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean ...?": the word nearest to a mistyped one, by the number of
 * typing errors between them (optimal string alignment: insert, delete,
 * replace, swap neighbours). */
#ifndef BASE_SIMILAR_H
#define BASE_SIMILAR_H

struct similar {
    const char *wanted; /* Lent. */
    const char *best;   /* Lent; NULL while nothing is near enough. */
    unsigned distance;  /* Of `best`; else one more than is near enough. */
};

void similar_init(struct similar *similar, const char *wanted);

/* Keeps `word` if it is nearer than all before. Near enough is one error for
 * every three characters of the wanted word, at least one; a word that begins
 * with the wanted one counts as one error. Words above 63 characters never
 * match. */
void similar_offer(struct similar *similar, const char *word);

#endif
