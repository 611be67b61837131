// Pictures: well-formed, complete, and the page's switches have something to switch.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "machines.hpp"
#include "topology/analysis.hpp"
#include "topology/render_svg.hpp"

namespace tutti::topology {
namespace {

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  std::set<std::string> found;
  const std::regex expression(pattern);
  for (std::sregex_iterator at(text.begin(), text.end(), expression), end; at != end; ++at)
    found.insert((*at)[1]);
  return found;
}

TEST(Render, SvgIsXmlAndShowsEveryDevice) {
  for (const std::string& name : machineNames()) {
    for (int nodes : {1, 2}) {
      Topology t = load(name);
      auto a = analyse(t.graph, {}, nodes, false);
      ASSERT_TRUE(a.ok());
      const std::string svg = renderSvg(t.graph, *a);
      XmlLimits limits;
      limits.maxAttributes = 32;
      auto document = parseXml(svg, name + ".svg", limits);
      ASSERT_TRUE(document.ok()) << document.error().message();
      for (int r : t.graph.ranks) {
        const Node& n = t.graph.nodes[r];
        const std::string label =
            n.type == NodeType::Gpu ? fmt::format(">GPU {}<", n.rank) : fmt::format(">{}<", n.id);
        EXPECT_NE(svg.find(label), std::string::npos) << name << " " << label;
      }
      for (int n : t.graph.nets)
        EXPECT_NE(svg.find(">" + t.graph.nodes[n].name.substr(0, 15) + "<"), std::string::npos) << name;
      EXPECT_NE(svg.find("ring"), std::string::npos);
    }
  }
}

TEST(Render, EverySwitchOfThePageHasItsPath) {
  for (const std::string& name : machineNames()) {
    Topology t = load(name);
    auto a = analyse(t.graph, {}, 1, false);
    ASSERT_TRUE(a.ok());
    const std::string html = renderHtml(t.graph, *a);
    const std::set<std::string> switches = matches(html, "data-t=\"([^\"]*)\"");
    const std::set<std::string> paths = matches(html, "<g id=\"([^\"]*)\" class=\"trace\"");
    EXPECT_EQ(switches, paths) << name;
    EXPECT_GE(paths.size(), 2u) << name;
    // One ring is on at first; the others wait.
    EXPECT_EQ(matches(html, "(data-t=\"[^\"]*\" checked)").size(), 1u) << name;
  }
}

TEST(Render, NamesFromFilesAreEscaped) {
  auto t = readTopologyText(
      "<system version=\"1\"><cpu numaid=\"0\" arch=\"arm64\"><l3 id=\"0\"><core cpu=\"0\"/><core "
      "cpu=\"1\"/></l3><nic><net name=\"&lt;script&gt;&amp;&quot;\" dev=\"0\"/></nic></cpu></system>",
      "evil");
  ASSERT_TRUE(t.ok());
  auto a = analyse(t->graph, {}, 1, false);
  ASSERT_TRUE(a.ok());
  const std::string html = renderHtml(t->graph, *a);
  EXPECT_EQ(matches(html, "(<script>&)").size(), 0u);
  EXPECT_TRUE(parseXml(renderSvg(t->graph, *a), "svg").ok());
}

}  // namespace
}  // namespace tutti::topology
