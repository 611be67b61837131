// hwloc's XML (lstopo machine.xml), versions 1, 2 and 3, turned into NCCL's form with <l3> and <core> for
// host ranks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "topology/xml_document.hpp"

namespace tutti::topology {

/// REQUIRES root.name == "topology". What hwloc does not say (NIC speed, compute capability, NVLinks) is
/// named in `warnings`.
Result<XmlElement> ncclXmlFromHwloc(const XmlElement& root, std::string_view fileName,
                                    std::vector<std::string>& warnings);

/// The other way: hwloc XML, version 2, of `system` (NCCL's <system>). Reading and writing it again gives the
/// same text. An error for several machines in one file.
Result<std::string> writeHwlocXml(const XmlElement& system, std::string_view fileName);

/// A set of CPUs or NUMA nodes as hwloc and Linux write it: 32-bit words in hexadecimal, most significant
/// first.
struct BitSet {
  std::vector<uint32_t> words;  ///< least significant first
  bool has(int bit) const;
  bool intersects(const BitSet& other) const;
  bool empty() const;
  int first() const;         ///< lowest member, -1 when empty
  std::string text() const;  ///< "00000000,0000ffff": as NCCL writes it
};
Result<BitSet> parseBitSet(std::string_view text);

}  // namespace tutti::topology
