# Every library comes from a Debian package through pkg-config; deploy/packages
# installs them. Nothing is vendored or downloaded here.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4>=1.9)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c>=1.4)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2>=1.52)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash>=0.8)
pkg_check_modules(LIBRAFT IMPORTED_TARGET raft>=0.22.1 raft<0.23)
if(NOT LIBRAFT_FOUND)
    message(FATAL_ERROR
        "libraft 0.22 (0.22.1 or later) was not found.\n"
        "Debian 12's own libraft 0.15 acknowledges entries that it never "
        "checked and can lose them, so Holdfast refuses it. Run "
        "deploy/packages as root: it installs libraft from "
        "bookworm-backports. On Debian 13, apt-get install libraft-dev.")
endif()
if(HF_TESTS)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()
find_program(PROTOC protoc REQUIRED)
find_program(PROTOC_C protoc-gen-c REQUIRED)
