# cmake --install: headers, libraries, the CMake package (find_package(Tutti) -> Tutti::nccl, Tutti::nccl_static)
# and nccl.pc. Programs: perf/ and tools/. All of it may be
# moved afterwards: nothing holds the prefix.
if(NOT TARGET nccl)
  return()
endif()
include(GNUInstallDirs)

# All that is installed: see CMakeLists.txt.
add_custom_target(tutti_installed)
foreach(target nccl nccl_static_archive tutti)
  if(TARGET ${target})
    add_dependencies(tutti_installed ${target})
  endif()
endforeach()
foreach(collective ${TUTTI_PERF_PROGRAMS})
  add_dependencies(tutti_installed ${collective})
endforeach()
include(CMakePackageConfigHelpers)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Tutti)
file(RELATIVE_PATH prefix_from_pkgconfig /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" prefix_from_pkgconfig ${prefix_from_pkgconfig})

install(TARGETS nccl EXPORT TuttiTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_LIBRARY_OUTPUT_DIRECTORY}/libtutti.so DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET nccl_static_archive)
  install(FILES ${CMAKE_ARCHIVE_OUTPUT_DIRECTORY}/libnccl_static.a ${CMAKE_ARCHIVE_OUTPUT_DIRECTORY}/libtutti.a
          DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(EXPORT TuttiTargets NAMESPACE Tutti:: DESTINATION ${package_folder})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/TuttiConfig.cmake.in ${CMAKE_BINARY_DIR}/package/TuttiConfig.cmake
                              INSTALL_DESTINATION ${package_folder} PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR
                              NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/package/TuttiConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/package/TuttiConfig.cmake ${CMAKE_BINARY_DIR}/package/TuttiConfigVersion.cmake
        DESTINATION ${package_folder})
configure_file(${CMAKE_CURRENT_LIST_DIR}/nccl.pc.in ${CMAKE_BINARY_DIR}/package/nccl.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/package/nccl.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
