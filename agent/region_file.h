/* SPDX-License-Identifier: Apache-2.0
 *
 * The id of the region whose VMs a run directory holds. Uids alone do not tell
 * two regions' VMs apart, and a host may be pointed at another region, or its
 * own may be wiped and begun again. The file lies beside what it describes and
 * ends with the boot as that does. */
#ifndef AGENT_REGION_FILE_H
#define AGENT_REGION_FILE_H

#include "agent/run_dir.h"

#define REGION_ID_BYTES 33 /* 32 hexadecimal digits and a NUL. */

/* Whether it is an id as Welcome says it. */
bool region_id_is_valid(const char *id);

/* Empty when no Welcome was kept yet. INVALID: the file holds something else;
 * IO. */
int region_file_read(const struct run_dir *run, char id[REGION_ID_BYTES]);

/* Replaces the id; synced when this returns 0. IO. */
int region_file_write(const struct run_dir *run, const char *id);

/* The highest generation of that region that was met; 0: none was kept. As
 * above. */
int generation_file_read(const struct run_dir *run, uint32_t *generation);
int generation_file_write(const struct run_dir *run, uint32_t generation);

#endif
