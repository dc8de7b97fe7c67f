#include "base/sha256.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "xslim/error.h"

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

// Examples of FIPS 180-4 and of NIST's long test.
TEST(Sha256, OfTheStandardsTexts) {
  EXPECT_EQ(Sha256Of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(
      Sha256Of("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmn"
               "opqrsmnopqrstnopqrstu"),
      "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(Sha256Of(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, PiecesMakeNoDifference) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (size_t length : {0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 300}) {
    const std::string whole = text.substr(0, length);
    for (size_t piece : {1, 3, 64, 100}) {
      Sha256 hash;
      for (size_t at = 0; at < length; at += piece) hash.Add(whole.substr(at, piece));
      EXPECT_EQ(hash.Hex(), Sha256Of(whole)) << length << " by " << piece;
      EXPECT_EQ(hash.Hex(), Sha256Of(whole));  // asked twice
      Sha256 plain(true);
      for (size_t at = 0; at < length; at += piece) plain.Add(whole.substr(at, piece));
      EXPECT_EQ(plain.Hex(), Sha256Of(whole)) << length << " by " << piece;
    }
  }
}

TEST(Sha256, OfFilesReadAndWritten) {
  const std::string path =
      (std::filesystem::path(testing::TempDir()) / ("xslim_sha256_" + std::to_string(getpid()))).string();
  const std::string text(600000, 'x');
  {
    OutputFiles files(true), plain;
    OutputFile* file = files.Add(path);
    file->Write(text.substr(0, 1000));
    file->Write(text.substr(1000));
    EXPECT_THAT(files.Hashes(), ElementsAre(Pair(path, Sha256Of(text))));
    plain.Add(path + "2")->Write(text);
    EXPECT_THAT(plain.Hashes(), IsEmpty());
    files.Commit();
  }
  EXPECT_EQ(Sha256OfFile(path), Sha256Of(text));
  std::filesystem::remove(path);
  try {
    Sha256OfFile(path);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(path + ": cannot open the file"));
  }
}

}  // namespace
}  // namespace xslim
