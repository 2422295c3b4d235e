# Warnings, sanitizers and hardening for every target of ours.
add_library(hf_flags INTERFACE)
target_compile_definitions(hf_flags INTERFACE _GNU_SOURCE)
target_include_directories(hf_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(hf_flags INTERFACE
    -Wall -Wextra -Werror -Wconversion -Wsign-conversion -Wshadow
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wpointer-arith -Wwrite-strings -Wundef -Wvla
    -Wformat=2 -Wimplicit-fallthrough -Wnull-dereference
    -fno-common -fno-strict-aliasing)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(hf_flags INTERFACE
        -Wlogical-op -Wduplicated-cond
        # Not with clang: protobuf-c's INIT macros cast const away.
        -Wcast-qual)
    # Wrong alarms of gcc 12 when it inlines across sanitizer checks.
    if(HF_SANITIZE)
        target_compile_options(hf_flags INTERFACE
            -Wno-null-dereference -Wno-maybe-uninitialized)
    endif()
endif()

# Frame pointers let a profiler and a crash report walk the stack; generated
# code takes these too, but not our warnings.
add_library(hf_codegen INTERFACE)
target_compile_options(hf_codegen INTERFACE -fno-omit-frame-pointer)
target_link_libraries(hf_flags INTERFACE hf_codegen)

if(HF_SANITIZE)
    target_compile_options(hf_codegen INTERFACE
        -fsanitize=${HF_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(hf_codegen INTERFACE
        -fsanitize=${HF_SANITIZE} -fno-sanitize-recover=all)
endif()
if(HF_COVERAGE)
    target_compile_options(hf_codegen INTERFACE --coverage)
    target_link_options(hf_codegen INTERFACE --coverage)
endif()
if(HF_FUZZ)
    target_compile_options(hf_codegen INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(HF_HARDEN)
    target_compile_options(hf_codegen INTERFACE
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong
        -fstack-clash-protection -fcf-protection=full)
    target_link_options(hf_codegen INTERFACE
        -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
    include(CheckPIESupported)
    check_pie_supported()
endif()
