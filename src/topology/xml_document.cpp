#include "topology/xml_document.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <pugixml.hpp>

namespace tutti::topology {

const std::string* XmlElement::find(std::string_view key) const {
  for (const auto& [k, v] : attributes)
    if (k == key) return &v;
  return nullptr;
}

std::string_view XmlElement::get(std::string_view key, std::string_view fallback) const {
  const std::string* value = find(key);
  return value ? std::string_view(*value) : fallback;
}

void XmlElement::set(std::string_view key, std::string value) {
  for (auto& [k, v] : attributes) {
    if (k == key) {
      v = std::move(value);
      return;
    }
  }
  attributes.emplace_back(key, std::move(value));
}

const XmlElement* XmlElement::child(std::string_view childName) const {
  for (const XmlElement& c : children)
    if (c.name == childName) return &c;
  return nullptr;
}

namespace {

class LineTable {
 public:
  explicit LineTable(std::string_view text) {
    for (size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n') ends_.push_back(i);
  }
  int lineOf(size_t offset) const {
    return 1 + static_cast<int>(std::lower_bound(ends_.begin(), ends_.end(), offset) - ends_.begin());
  }

 private:
  std::vector<size_t> ends_;
};

std::string trimmed(std::string_view text) {
  size_t from = text.find_first_not_of(" \t\r\n");
  if (from == std::string_view::npos) return {};
  return std::string(text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1));
}

class Converter {
 public:
  Converter(std::string_view file, const LineTable& lines, const XmlLimits& limits)
      : file_(file), lines_(lines), limits_(limits) {}

  // Depth is bounded by limits_.maxDepth before each descent, so the recursion is.
  Status convert(const pugi::xml_node& from, XmlElement& to, int depth) {
    to.line = lines_.lineOf(static_cast<size_t>(std::max<ptrdiff_t>(from.offset_debug(), 0)));
    to.name = from.name();
    if (depth > limits_.maxDepth)
      return makeError(Code::InvalidArgument, "{}:{}: elements are nested more than {} deep", file_, to.line,
                       limits_.maxDepth);
    if (++elements_ > limits_.maxElements)
      return makeError(Code::InvalidArgument, "{}:{}: more than {} elements", file_, to.line,
                       limits_.maxElements);
    for (const pugi::xml_attribute& a : from.attributes()) {
      if (to.attributes.size() >= limits_.maxAttributes)
        return makeError(Code::InvalidArgument, "{}:{}: <{}> has more than {} attributes", file_, to.line,
                         to.name, limits_.maxAttributes);
      if (to.find(a.name()))
        return makeError(Code::InvalidArgument, "{}:{}: <{}> has attribute {} twice", file_, to.line, to.name,
                         a.name());
      to.attributes.emplace_back(a.name(), a.value());
    }
    for (const pugi::xml_node& c : from.children()) {
      if (c.type() == pugi::node_pcdata || c.type() == pugi::node_cdata) {
        to.text += trimmed(c.value());
      } else if (c.type() == pugi::node_element) {
        to.children.emplace_back();
        TUTTI_TRY(convert(c, to.children.back(), depth + 1));
      }
    }
    return {};
  }

 private:
  std::string_view file_;
  const LineTable& lines_;
  const XmlLimits& limits_;
  size_t elements_ = 0;
};

void escapeInto(std::string& out, std::string_view text) {
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\n':
        out += "&#10;";
        break;
      case '\r':
        out += "&#13;";
        break;
      case '\t':
        out += "&#9;";
        break;
      default:
        out += c;
    }
  }
}

void writeElement(std::string& out, const XmlElement& e, int indent) {
  out.append(static_cast<size_t>(indent), ' ');
  out += '<';
  out += e.name;
  for (const auto& [k, v] : e.attributes) {
    out += ' ';
    out += k;
    out += "=\"";
    escapeInto(out, v);
    out += '"';
  }
  if (e.children.empty() && e.text.empty()) {
    out += "/>\n";
    return;
  }
  out += '>';
  if (e.children.empty()) {
    escapeInto(out, e.text);
  } else {
    out += '\n';
    for (const XmlElement& c : e.children) writeElement(out, c, indent + 2);
    out.append(static_cast<size_t>(indent), ' ');
  }
  out += "</" + e.name + ">\n";
}

}  // namespace

Result<XmlElement> parseXml(std::string_view text, std::string_view fileName, const XmlLimits& limits) {
  if (text.size() > limits.maxBytes)
    return makeError(Code::InvalidArgument, "{}: {} bytes, more than the {} that a topology file may have",
                     fileName, text.size(), limits.maxBytes);
  LineTable lines(text);
  size_t nul = text.find('\0');
  if (nul != std::string_view::npos)
    return makeError(Code::InvalidArgument, "{}:{}: a zero byte: this is not an XML file", fileName,
                     lines.lineOf(nul));
  // Entity declarations are refused rather than ignored: a file that has them does not mean what it would
  // then say.
  size_t entity = text.find("<!ENTITY");
  if (entity != std::string_view::npos)
    return makeError(Code::InvalidArgument, "{}:{}: entity declarations are not accepted", fileName,
                     lines.lineOf(entity));

  pugi::xml_document document;
  pugi::xml_parse_result parsed =
      document.load_buffer(text.data(), text.size(),
                           (pugi::parse_default & ~pugi::parse_eol) | pugi::parse_eol, pugi::encoding_utf8);
  if (!parsed)
    return makeError(Code::InvalidArgument, "{}:{}: {}", fileName,
                     lines.lineOf(static_cast<size_t>(std::max<ptrdiff_t>(parsed.offset, 0))),
                     parsed.description());
  XmlElement root;
  bool found = false;
  Converter converter(fileName, lines, limits);
  for (const pugi::xml_node& n : document.children()) {
    if (n.type() != pugi::node_element) continue;
    if (found)
      return makeError(Code::InvalidArgument, "{}:{}: a second top-level element <{}>", fileName,
                       lines.lineOf(static_cast<size_t>(n.offset_debug())), n.name());
    TUTTI_TRY(converter.convert(n, root, 1));
    found = true;
  }
  if (!found) return makeError(Code::InvalidArgument, "{}:1: no XML element", fileName);
  return root;
}

Result<std::string> readFileBounded(const std::string& path, size_t maxBytes) {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) return makeSystemError(errno, "{}: cannot be opened", path);
  std::string text;
  char buffer[65536];
  size_t got = 0;
  while ((got = std::fread(buffer, 1, sizeof buffer, file.get())) > 0) {
    text.append(buffer, got);
    if (text.size() > maxBytes)
      return makeError(Code::InvalidArgument, "{}: more than {} bytes", path, maxBytes);
  }
  if (std::ferror(file.get())) return makeSystemError(errno, "{}: cannot be read", path);
  return text;
}

std::string writeXml(const XmlElement& root) {
  std::string out;
  writeElement(out, root, 0);
  return out;
}

Error XmlReader::error(const std::string& what) const {
  return makeError(Code::InvalidArgument, "{}:{}: <{}>: {}", file_, element_.line, element_.name, what);
}

Result<std::string> XmlReader::text(std::string_view key) const {
  const std::string* value = element_.find(key);
  if (!value) return error(fmt::format("attribute {} is missing", key));
  return *value;
}

Result<int64_t> XmlReader::integer(std::string_view key, int64_t min, int64_t max) const {
  const Result<std::string> found = text(key);
  if (!found.ok()) return Error(found.error());
  const std::string& value = *found;
  std::string_view digits = value;
  bool negative = !digits.empty() && digits[0] == '-';
  if (negative) digits.remove_prefix(1);
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) {
    digits.remove_prefix(2);
    base = 16;
  }
  uint64_t magnitude = 0;
  auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  if (digits.empty() || failure == std::errc::invalid_argument || end != digits.data() + digits.size())
    return error(fmt::format("{}=\"{}\" is not a whole number", key, value));
  bool tooLarge = failure == std::errc::result_out_of_range || magnitude > static_cast<uint64_t>(INT64_MAX);
  int64_t number = tooLarge ? 0 : static_cast<int64_t>(magnitude) * (negative ? -1 : 1);
  if (tooLarge || number < min || number > max)
    return error(fmt::format("{}=\"{}\" is not between {} and {}", key, value, min, max));
  return number;
}

Result<int64_t> XmlReader::integerOr(std::string_view key, int64_t fallback, int64_t min, int64_t max) const {
  if (!element_.find(key)) return fallback;
  return integer(key, min, max);
}

Result<uint64_t> XmlReader::hex(std::string_view key, uint64_t fallback) const {
  const std::string* value = element_.find(key);
  if (!value || value->empty()) return fallback;
  std::string_view digits = *value;
  if (digits.size() > 2 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'))
    digits.remove_prefix(2);
  uint64_t number = 0;
  auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  if (failure != std::errc() || end != digits.data() + digits.size())
    return error(fmt::format("{}=\"{}\" is not a 64-bit hexadecimal number", key, *value));
  return number;
}

Result<double> XmlReader::realOr(std::string_view key, double fallback, double min, double max) const {
  const std::string* value = element_.find(key);
  if (!value) return fallback;
  char* end = nullptr;
  double number = std::strtod(value->c_str(), &end);
  if (value->empty() || *end != '\0' || !std::isfinite(number))
    return error(fmt::format("{}=\"{}\" is not a number", key, *value));
  if (number < min || number > max)
    return error(fmt::format("{}=\"{}\" is not between {} and {}", key, *value, min, max));
  return number;
}

}  // namespace tutti::topology
