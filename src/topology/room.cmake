# pugixml is linked statically; hwloc, NVML and libibverbs are opened at run time (drivers/), so nothing is linked for them.
find_library(TUTTI_PUGIXML_STATIC NAMES libpugixml.a REQUIRED)
find_path(TUTTI_PUGIXML_INCLUDE pugixml.hpp REQUIRED)
get_target_property(topology_type tutti_topology TYPE)
if(topology_type STREQUAL "STATIC_LIBRARY")
  target_include_directories(tutti_topology PRIVATE ${TUTTI_PUGIXML_INCLUDE})
  target_link_libraries(tutti_topology PRIVATE ${TUTTI_PUGIXML_STATIC} ${CMAKE_DL_LIBS})
endif()
