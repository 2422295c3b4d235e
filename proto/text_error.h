/* SPDX-License-Identifier: Apache-2.0
 *
 * What is wrong with a text, where it stands, and what would be right: made
 * for the person who wrote the file. */
#ifndef PROTO_TEXT_ERROR_H
#define PROTO_TEXT_ERROR_H

struct text_error {
    /* From 1; 0: the text as a whole. */
    unsigned line;
    unsigned column;
    /* Where in the message: "nodes[2].address"; empty: the message itself. */
    char key[128];
    /* What is wrong: "unknown key (did you mean `address`?)". */
    char problem[512];
    /* All of it: "node.yaml:7:5: nodes[2].adress: unknown key ...". */
    char text[896];
};

#endif
