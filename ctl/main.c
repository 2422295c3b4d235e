/* SPDX-License-Identifier: Apache-2.0
 *
 * holdfast: the command line of Holdfast. */
#include "base/standard_files.h"
#include "ctl/invocation.h"

int main(int argc, char **argv)
{
    standard_files_open();
    return (int)ctl_run(argc, argv);
}
