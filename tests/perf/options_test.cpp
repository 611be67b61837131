#include "common/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tutti::perf {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<Options> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "all_reduce_perf");
  words.push_back(nullptr);
  return parseOptions(static_cast<int>(words.size()) - 1, words.data());
}

std::string errorOf(std::vector<const char*> words) {
  auto options = parse(std::move(words));
  return options.ok() ? "accepted" : options.error().message();
}

TEST(Options, DefaultsAreThoseOfNcclTests) {
  auto o = parse({});
  ASSERT_TRUE(o.ok());
  EXPECT_EQ(o->threads, 1);
  EXPECT_EQ(o->ranksPerThread, 1);
  EXPECT_EQ(o->minBytes, 32u << 20);
  EXPECT_EQ(o->maxBytes, 32u << 20);
  EXPECT_EQ(o->stepBytes, 1u << 20);
  EXPECT_EQ(o->stepFactor, 1u);
  EXPECT_EQ(o->iterations, 20);
  EXPECT_EQ(o->aggregated, 1);
  EXPECT_EQ(o->warmups, 1);
  EXPECT_EQ(o->cycles, 1);
  EXPECT_EQ(o->checks, 1);
  EXPECT_EQ(o->op, ReduceOp::Sum);
  EXPECT_EQ(o->type, DataType::Float32);
  EXPECT_EQ(o->root, 0);
  EXPECT_EQ(o->average, Average::Mean);
  EXPECT_FALSE(o->usesStreams());
  EXPECT_EQ(o->reuse, Reuse::Shift);
}

TEST(Options, ShortAndLongNames) {
  auto o = parse({"-t", "2", "-g", "3", "-b", "8", "-e", "128M", "-f", "2",   "-n",     "7",      "-m", "4",
                  "-w", "0", "-N", "0", "-p", "1", "-c", "5",    "-o", "all", "-d",     "all",    "-r", "all",
                  "-z", "1", "-y", "0", "-T", "9", "-C", "1",    "-S", "1",   "-J",     "x.json", "-a", "3",
                  "-R", "2", "-M", "1", "-u", "3", "-I", "1",    "-K", "2",   "--cold", "1"});
  ASSERT_TRUE(o.ok()) << o.error().message();
  EXPECT_EQ(o->threads, 2);
  EXPECT_EQ(o->ranksPerThread, 3);
  EXPECT_EQ(o->maxBytes, 128u << 20);
  EXPECT_EQ(o->stepFactor, 2u);
  EXPECT_EQ(o->cycles, 0);
  EXPECT_FALSE(o->op.has_value());
  EXPECT_FALSE(o->type.has_value());
  EXPECT_EQ(o->root, -1);
  EXPECT_TRUE(o->usesStreams());
  EXPECT_EQ(o->average, Average::Max);
  EXPECT_EQ(o->registration, 2);
  EXPECT_EQ(o->perIterationSkip, 2);
  EXPECT_EQ(o->reuse, Reuse::Cold);

  o = parse({"--nthreads=4", "--minbytes", "1K", "--maxbytes=1.5K", "--stepbytes", "512", "--datatype",
             "bfloat16", "--op=prod", "--check=0", "--cold=0"});
  ASSERT_TRUE(o.ok()) << o.error().message();
  EXPECT_EQ(o->threads, 4);
  EXPECT_EQ(o->maxBytes, 1536u);
  EXPECT_EQ(o->type, DataType::Bfloat16);
  EXPECT_EQ(o->op, ReduceOp::Prod);
  EXPECT_EQ(o->reuse, Reuse::Same);
}

TEST(Options, ErrorsNameTheOptionAndWhatItTakes) {
  EXPECT_THAT(errorOf({"-t", "two"}), HasSubstr("-t (--nthreads)"));
  EXPECT_THAT(errorOf({"-n", "0"}), HasSubstr("1 or more"));
  EXPECT_THAT(errorOf({"-n", "99999999999"}), HasSubstr("-n"));
  EXPECT_THAT(errorOf({"-b", "8X"}), HasSubstr("-b (--minbytes)"));
  EXPECT_THAT(errorOf({"-d", "complex"}), HasSubstr("'complex'"));
  EXPECT_THAT(errorOf({"-o", "xor"}), HasSubstr("sum/prod"));
  EXPECT_THAT(errorOf({"-a", "4"}), HasSubstr("0 to 3"));
  EXPECT_THAT(errorOf({"-q"}), HasSubstr("'-q'"));
  EXPECT_THAT(errorOf({"--nosuch"}), HasSubstr("--nosuch"));
  EXPECT_THAT(errorOf({"-n"}), HasSubstr("needs a value"));
  EXPECT_THAT(errorOf({"stray"}), HasSubstr("'stray'"));
  EXPECT_THAT(errorOf({"-b", "2M", "-e", "1M"}), HasSubstr("above"));
  EXPECT_THAT(errorOf({"-b", "1", "-e", "2", "-i", "0"}), HasSubstr("-i"));
  EXPECT_THAT(errorOf({"-D", "1"}), HasSubstr("GPU"));
  EXPECT_THAT(errorOf({"-K", "1"}), HasSubstr("-I 1"));
  EXPECT_THAT(errorOf({"-I", "1", "-K", "20"}), HasSubstr("below the 20"));
  EXPECT_THAT(errorOf({"-J", "out.txt"}), HasSubstr(".json"));
  EXPECT_THAT(errorOf({"-G", "1", "-z", "3"}), HasSubstr("-z 3"));
}

TEST(Options, WhatMeansNothingOnHostMemoryIsSaid) {
  auto o = parse({"-G", "3", "-x", "1", "-V", "8", "-D", "0"});
  ASSERT_TRUE(o.ok()) << o.error().message();
  EXPECT_EQ(o->notes.size(), 3u);
  EXPECT_EQ(o->timedIterations(), 60);
}

TEST(Options, Sizes) {
  EXPECT_EQ(*parseSize("0"), 0u);
  EXPECT_EQ(*parseSize("8"), 8u);
  EXPECT_EQ(*parseSize("2k"), 2048u);
  EXPECT_EQ(*parseSize("3G"), 3ull << 30);
  EXPECT_EQ(*parseSize("0.5M"), 512u << 10);
  for (const char* bad : {"", "K", "-1", "8KB", "1e300", "nan", "inf", "8 M x"})
    EXPECT_FALSE(parseSize(bad).ok()) << bad;
}

TEST(Options, SizeSequences) {
  Options o;
  o.minBytes = 8;
  o.maxBytes = 64;
  o.stepFactor = 2;
  EXPECT_THAT(sizesOf(o, 4), ElementsAre(8, 16, 32, 64));
  o.stepFactor = 3;
  EXPECT_THAT(sizesOf(o, 4), ElementsAre(8, 24));
  o.minBytes = 0;
  o.maxBytes = 20;
  o.stepFactor = 2;
  EXPECT_THAT(sizesOf(o, 4), ElementsAre(0, 4, 8, 16));
  o.stepFactor = 1;
  o.stepBytes = 8;
  EXPECT_THAT(sizesOf(o, 4), ElementsAre(0, 8, 16));
  o.minBytes = o.maxBytes = 5;
  o.stepBytes = 0;
  EXPECT_THAT(sizesOf(o, 4), ElementsAre(5));
}

TEST(Options, UsageListsEveryOption) {
  std::string text = usage("all_reduce_perf");
  for (const char* name :
       {"--nthreads", "--ngpus", "--stepfactor", "--agg_iters", "--parallel_init", "--stream_null",
        "--cudagraph", "--report_timestamps", "--local_register", "--unalign", "--per_iter_skip", "--cold"}) {
    EXPECT_THAT(text, HasSubstr(name));
  }
}

}  // namespace
}  // namespace tutti::perf
