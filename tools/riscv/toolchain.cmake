# CMake toolchain: clang-19 and lld-19 for riscv64 Linux on a Debian sysroot, tests under qemu-user.
#   cmake -DCMAKE_TOOLCHAIN_FILE=tools/riscv/toolchain.cmake -DRISCV_SYSROOT=DIR -DRISCV_QEMU=FILE ...
# Everything is built for rv64gc; only the kernel tables add the vector extension (src/kernels/kernels.cmake).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(CMAKE_LIBRARY_ARCHITECTURE riscv64-linux-gnu)
set(RISCV_SYSROOT "" CACHE PATH "riscv64 sysroot made by tools/riscv/setup.sh")
set(RISCV_QEMU "" CACHE FILEPATH "qemu-riscv64, version 10 or newer")
if(NOT EXISTS "${RISCV_SYSROOT}/usr/include")
  message(FATAL_ERROR "RISCV_SYSROOT ('${RISCV_SYSROOT}') is no sysroot: run tools/riscv/setup.sh")
endif()
# try_compile reads this file anew.
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES RISCV_SYSROOT RISCV_QEMU)

set(CMAKE_SYSROOT "${RISCV_SYSROOT}")
set(CMAKE_C_COMPILER clang-19)
set(CMAKE_CXX_COMPILER clang++-19)
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER_TARGET riscv64-linux-gnu)
  set(CMAKE_${language}_FLAGS_INIT "-march=rv64gc -mabi=lp64d")
endforeach()
foreach(kind EXE SHARED MODULE)
  set(CMAKE_${kind}_LINKER_FLAGS_INIT "-fuse-ld=lld-19")
endforeach()

set(CMAKE_FIND_ROOT_PATH "${RISCV_SYSROOT}")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Programs that ctest starts run in qemu; the CPU that it shows is chosen by QEMU_CPU in the environment.
set(CMAKE_CROSSCOMPILING_EMULATOR "${RISCV_QEMU};-L;${RISCV_SYSROOT}")
