# hf_floor(state SOURCES a.c b.c USES hf_base hf_proto)
# makes the static library hf_state from one top-level folder.
function(hf_floor name)
    cmake_parse_arguments(FLOOR "" "" "SOURCES;USES;PRIVATE" ${ARGN})
    add_library(hf_${name} STATIC ${FLOOR_SOURCES})
    target_link_libraries(hf_${name}
        PUBLIC ${FLOOR_USES}
        PRIVATE hf_flags ${FLOOR_PRIVATE})
    target_include_directories(hf_${name} PUBLIC
        $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
endfunction()

# All that is installed and run, without tests.
add_custom_target(programs)

# hf_program(holdfastd SOURCES main.c USES hf_node)
function(hf_program name)
    cmake_parse_arguments(PROGRAM "" "" "SOURCES;USES" ${ARGN})
    add_executable(${name} ${PROGRAM_SOURCES})
    target_link_libraries(${name} PRIVATE hf_flags ${PROGRAM_USES})
    set_target_properties(${name} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    add_dependencies(programs ${name})
endfunction()
