// An XML file as a value: elements with attributes in file order, each with its line. Reads strictly, because
// these files come from users: sizes, depth and counts are bounded, entities are not expanded, and every
// error names file and line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"

namespace tutti::topology {

struct XmlLimits {
  size_t maxBytes = 64u << 20;
  int maxDepth = 128;
  size_t maxElements = 400'000;
  size_t maxAttributes = 64;  ///< of one element
};

struct XmlElement {
  std::string name;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<XmlElement> children;
  std::string text;  ///< character data directly inside, trimmed
  int line = 0;

  const std::string* find(std::string_view key) const;
  std::string_view get(std::string_view key, std::string_view fallback = "") const;
  void set(std::string_view key, std::string value);
  const XmlElement* child(std::string_view name) const;
};

/// REQUIRES nothing of `text`: any bytes give a document or an error. `fileName` is for messages.
Result<XmlElement> parseXml(std::string_view text, std::string_view fileName, const XmlLimits& limits = {});
Result<std::string> readFileBounded(const std::string& path, size_t maxBytes);

/// One element a line, two spaces a level, no declaration: what NCCL's own parser accepts.
std::string writeXml(const XmlElement& root);

/// Reads typed attributes of one element; errors name file, line, element and attribute.
class XmlReader {
 public:
  XmlReader(const XmlElement& element, std::string_view fileName) : element_(element), file_(fileName) {}

  Error error(const std::string& what) const;
  Result<std::string> text(std::string_view key) const;
  /// Decimal or 0x-hexadecimal, within [min, max].
  Result<int64_t> integer(std::string_view key, int64_t min, int64_t max) const;
  Result<int64_t> integerOr(std::string_view key, int64_t fallback, int64_t min, int64_t max) const;
  Result<uint64_t> hex(std::string_view key, uint64_t fallback) const;
  Result<double> realOr(std::string_view key, double fallback, double min, double max) const;

 private:
  const XmlElement& element_;
  std::string_view file_;
};

}  // namespace tutti::topology
