/* SPDX-License-Identifier: Apache-2.0
 *
 * holdfast: the command line of Holdfast. */
#include "ctl/invocation.h"

int main(int argc, char **argv)
{
    return (int)ctl_run(argc, argv);
}
