# The library, from src/api and every room below it:
#   lib/libnccl.so.2          and, by other names, libnccl.so and libtutti.so
#   lib/libnccl_static.a      and, by another name, libtutti.a: one object that shows only the C interface, complete but for the
#                             system's libraries. Not in sanitizer builds.
file(GLOB_RECURSE api_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/api/*.cpp ${CMAKE_SOURCE_DIR}/src/api/*.c)
if(api_sources)
  add_library(tutti_api OBJECT ${api_sources})
  target_include_directories(tutti_api PUBLIC ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(tutti_api PUBLIC tutti_comm)

  add_library(nccl SHARED $<TARGET_OBJECTS:tutti_api>)
  add_library(Tutti::nccl ALIAS nccl)
  target_include_directories(nccl PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  target_link_libraries(nccl PRIVATE $<BUILD_INTERFACE:tutti_comm>)
  set_target_properties(nccl PROPERTIES VERSION 2.32.3 SOVERSION 2 LINKER_LANGUAGE CXX
                                        LINK_DEPENDS ${CMAKE_SOURCE_DIR}/src/api/exports.map)
  target_link_options(nccl PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/src/api/exports.map)
  if(NOT TUTTI_SANITIZE)
    target_link_options(nccl PRIVATE -Wl,-z,defs)  # sanitizers' functions come from the program
  endif()
  add_custom_command(TARGET nccl POST_BUILD
                     COMMAND ${CMAKE_COMMAND} -E create_symlink libnccl.so ${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libtutti.so)

  if(NOT TUTTI_SANITIZE AND NOT CMAKE_CXX_FLAGS_DEBUG MATCHES "--coverage")
    # A partial link takes in what is needed of the rooms and of their static libraries; then everything but the interface is
    # made local, so that a program may link its own copies of those libraries beside it.
    add_executable(nccl_relocatable $<TARGET_OBJECTS:tutti_api>)
    target_link_libraries(nccl_relocatable PRIVATE tutti_comm)
    target_link_options(nccl_relocatable PRIVATE -r -nostdlib -Wl,--force-group-allocation)
    set_target_properties(nccl_relocatable PROPERTIES LINKER_LANGUAGE CXX SUFFIX .o
                                                      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/static)
    set(static_library ${CMAKE_ARCHIVE_OUTPUT_DIRECTORY}/libnccl_static.a)
    set(static_object ${CMAKE_BINARY_DIR}/static/nccl.o)
    add_custom_command(
      OUTPUT ${static_library}
      COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=nccl* --keep-global-symbol=pnccl* --keep-global-symbol=tutti*
              $<TARGET_FILE:nccl_relocatable> ${static_object}
      COMMAND ${CMAKE_COMMAND} -E rm -f ${static_library}
      COMMAND ${CMAKE_AR} qc ${static_library} ${static_object}
      COMMAND ${CMAKE_RANLIB} ${static_library}
      COMMAND ${CMAKE_COMMAND} -E create_symlink libnccl_static.a ${CMAKE_ARCHIVE_OUTPUT_DIRECTORY}/libtutti.a
      DEPENDS nccl_relocatable
      VERBATIM)
    add_custom_target(nccl_static_archive ALL DEPENDS ${static_library})
  endif()
endif()
