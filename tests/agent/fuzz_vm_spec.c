/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever lies in a VM's directory: the decoder accepts only texts that the
 * encoder would write, byte for byte. */
#include "agent/vm_spec.h"
#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm_spec spec;
    struct bytes again;
    const char *field;

    if (vm_spec_decode(&spec, data, size) != 0) {
        return 0;
    }
    CHECK(vm_spec_check(&spec, &field) == 0);
    bytes_init(&again);
    vm_spec_encode(&spec, &again);
    CHECK(again.len == size && memcmp(again.data, data, size) == 0);
    bytes_close(&again);
    vm_spec_close(&spec);
    return 0;
}
