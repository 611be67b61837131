# HMAC and random bytes come from libsodium, linked statically: libnccl.so.2 gets no run-time dependency on it. Debian's
# archive is built for executables (-fPIE), which links into a shared library where its symbols stay hidden: hence exclude-libs.
find_path(TUTTI_SODIUM_INCLUDE sodium.h REQUIRED)
find_library(TUTTI_SODIUM_LIBRARY NAMES libsodium.a REQUIRED)
get_target_property(control_type tutti_control TYPE)
if(NOT control_type STREQUAL "INTERFACE_LIBRARY")
  target_include_directories(tutti_control PRIVATE ${TUTTI_SODIUM_INCLUDE})
  target_link_libraries(tutti_control PRIVATE ${TUTTI_SODIUM_LIBRARY})
  target_link_options(tutti_control INTERFACE -Wl,--exclude-libs,libsodium.a)
endif()
