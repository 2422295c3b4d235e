/* SPDX-License-Identifier: Apache-2.0
 *
 * Folders of tests and benches, which remove what they made. */
#ifndef SUPPORT_FOLDER_H
#define SUPPORT_FOLDER_H

#include <ftw.h>
#include <stdio.h>

static inline int folder_remove_entry(const char *path, const struct stat *info,
                                      int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

/* Removes the folder and all that is in it; 0, else errno says why not. */
static inline int folder_remove(const char *path)
{
    return nftw(path, folder_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
