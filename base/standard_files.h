/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard input, output and error, which a caller may have closed. The first
 * file or connection that is opened then would get such a number, and messages
 * would be written into it: into a log file of the node, for one. */
#ifndef BASE_STANDARD_FILES_H
#define BASE_STANDARD_FILES_H

/* Puts /dev/null in the place of those that are closed, for reading only: to
 * write there fails, as it did. Call first in main(). */
void standard_files_open(void);

#endif
