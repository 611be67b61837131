// hwloc, opened at run time: its view of this machine as the XML it exports, which xml_hwloc reads.
#pragma once

#include <string>

#include "core/result.hpp"

namespace tutti::topology {

Result<std::string> exportHwlocXml();

}  // namespace tutti::topology
