/* SPDX-License-Identifier: Apache-2.0
 *
 * `holdfast-agent join`: this host's first certificate, for a token that is
 * good once. */
#ifndef AGENT_JOIN_H
#define AGENT_JOIN_H

/* argv[0] is "join". The exit code: 0; 1: it did not work; 2: usage. */
int join_main(int argc, char **argv);

#endif
