/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may do what: roles (state's table of grants) against what each method is
 * for. Pure; who calls is found in caller.h, and api_access.c asks here.
 *
 * A grant with an end allows nothing from that moment on. Which moment it is
 * says access_time_ms(): the wall clock of the node that decides, but no less
 * than the time of the last change that it has applied; of a mutation, the
 * leader's stamp of the turn. So a node whose clock is behind by so much takes
 * a token for so much longer at most, and until the next change of the region
 * at most; one whose clock is ahead refuses it so much earlier. Clocks of nodes
 * that are kept in time, as docs/security.md asks for, differ by milliseconds;
 * `holdfast doctor` tells of others. */
#ifndef NODE_ACCESS_H
#define NODE_ACCESS_H

#include "base/bytes.h"
#include "state/state.h"

enum subject_source {
    SUBJECT_EVERYBODY, /* Loopback without TLS and without a token. */
    SUBJECT_BY_CERTIFICATE,
    SUBJECT_BY_TOKEN
};

/* A caller, as grants name him. */
struct access_subject {
    enum subject_source source;
    char name[SUBJECT_BYTES];               /* Of the certificate. */
    uint8_t secret_hash[SECRET_HASH_BYTES]; /* Of the token. */
};

/* What a method is for. Every method has one; NONE is for nobody. */
enum permission {
    PERMISSION_NONE,
    PERMISSION_ASK,      /* What concerns the caller himself. */
    PERMISSION_READ,     /* Looks. */
    PERMISSION_REHEARSE, /* Works out what would happen; changes nothing. */
    PERMISSION_WORKLOAD, /* Changes VMs or groups; may be scoped. */
    PERMISSION_OPERATE,  /* Changes what carries them, and can be undone. */
    PERMISSION_ADMINISTER,
    PERMISSION_JOIN /* No role's: the method looks at the token itself. */
};
#define PERMISSION_COUNT 8

/* "workload"; for tables. */
const char *permission_name(enum permission permission);

/* "operator"; for messages and tables. */
const char *access_role_name(enum access_role role);

/* Whether the role, without a scope, has the permission. */
bool access_role_has(enum access_role role, enum permission permission);

/* A method that is not one of the region's state (api_methods). */
struct access_method {
    const char *path;
    enum permission permission;
};

/* Those, ended by one without a path. */
extern const struct access_method access_methods[];

/* Of one of those. */
enum permission access_permission_of(const char *path);

enum access_verdict {
    ACCESS_ALLOWED,
    ACCESS_SCOPED,       /* For some VMs and groups: those of the scopes. */
    ACCESS_ROLE_MISSING, /* He is known and may not. */
    ACCESS_TOKEN_UNKNOWN,
    ACCESS_TOKEN_EXPIRED
};

/* What a caller was found to have. */
struct access {
    const struct state *state;
    const struct access_subject *subject;          /* Lent. */
    const struct grant *grants[CLIENT_GRANTS_MAX]; /* In force. */
    uint32_t count;
    const struct grant *ended; /* One that was his, the last to end; or NULL. */
    uint64_t next_end_ms;      /* When the first of `grants` ends; 0: none. */
    enum permission permission;
    enum access_verdict verdict;
    const struct grant *by; /* ALLOWED: by this grant; NULL: without any. */
};

/* What counts as now where the wall clock says `wall_ms`, ms since 1970; 0: it
 * is not asked, and the state's own time counts. */
uint64_t access_time_ms(const struct state *state, uint64_t wall_ms);

/* Whether the grant allows nothing any more. */
bool access_has_ended(const struct grant *grant, uint64_t time_ms);

/* `subject` NULL: as EVERYBODY. `wall_ms` as above. The result lasts until the
 * next change of the state, or until `next_end_ms`. */
void access_decide(const struct state *state,
                   const struct access_subject *subject,
                   enum permission permission, uint64_t wall_ms,
                   struct access *access);

/* Where it can be and what labels it has, against the scopes: true when one of
 * the grants has both. `zones`: a mask; UINT64_MAX: any. */
bool access_covers(const struct access *access, uint64_t zones,
                   struct text labels);
bool access_covers_vm(const struct access *access, const struct state *state,
                      const struct vm *vm);
/* With all its members. */
bool access_covers_group(const struct access *access, const struct state *state,
                         const struct group *group);

/* "client:anna", "token:ci"; empty for everybody. */
#define ACCESS_SUBJECT_TEXT_BYTES (SUBJECT_BYTES + 16)
void access_subject_text(const struct access *access,
                         char text[ACCESS_SUBJECT_TEXT_BYTES]);

/* Why it is refused and what would do, for a person: one line. */
void access_explain(const struct access *access, const char *method, char *text,
                    size_t size);

#endif
