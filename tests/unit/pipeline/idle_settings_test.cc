#include "pipeline/idle_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace xslim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class IdleSettingsTest : public testing::Test {
 protected:
  std::vector<std::string> Found() const { return IdleSettings(config_, options_); }
  Config config_;
  RunOptions options_;
  QuantizationParameters& q_ = config_.quantization;
};

TEST_F(IdleSettingsTest, DefaultsAreSilentAtEveryLevel) {
  for (int level : {0, 1, 2, 3, 4, 100}) {
    q_.precision_level = level;
    EXPECT_THAT(Found(), IsEmpty()) << level;
  }
}

TEST_F(IdleSettingsTest, KeysOfOtherLevels) {
  q_.weight_bits = 4;
  q_.half_io = true;
  q_.equalization = false;
  q_.strict = true;
  q_.ignore_op_types = {"Conv"};
  config_.calibration.calibration_type = CalibrationType::kMse;
  config_.source = "c.json";
  EXPECT_THAT(Found(), ElementsAre("c.json: weight_bits, half_io have no effect at precision_level 0"));
  q_.precision_level = 3;
  EXPECT_THAT(Found(),
              ElementsAre("c.json: equalization, strict, half_io, calibration_type have no effect at "
                          "precision_level 3"));
  q_.precision_level = 4;
  EXPECT_THAT(Found(),
              ElementsAre("c.json: equalization, strict, weight_bits, calibration_type have no effect at "
                          "precision_level 4"));
  q_.precision_level = 100;
  EXPECT_THAT(Found(), ElementsAre("c.json: ignore_op_types, equalization, weight_bits, half_io, "
                                   "calibration_type have no effect at precision_level 100, which "
                                   "simplifies the model and leaves it float"));
  config_.source.clear();
  config_.calibration.calibration_type = CalibrationType::kDefault;
  q_ = {};
  q_.precision_level = 100;
  q_.ignore_op_types = {"Conv"};
  EXPECT_THAT(Found(), ElementsAre("ignore_op_types has no effect without -c, --dynq, --fp16 or --bf16: the "
                                   "model is simplified and stays float"));
}

TEST_F(IdleSettingsTest, ToleranceOfNoBaseline) {
  q_.baseline_tolerance = 0.2;
  EXPECT_THAT(Found(), ElementsAre("baseline_tolerance has no effect without baseline"));
  q_.baseline = "v.json";
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(IdleSettingsTest, StagesOfOtherFinetuneLevels) {
  q_.keep_means = q_.weight_rounding = q_.learning = false;
  EXPECT_THAT(Found(), ElementsAre("learning has no effect at finetune_level 1"));
  q_.finetune_level = 0;
  EXPECT_THAT(Found(), ElementsAre("weight_rounding, learning have no effect at finetune_level 0"));
  q_.finetune_level = 2;
  EXPECT_THAT(Found(), ElementsAre("learning has no effect at finetune_level 2"));
  q_.precision_level = 3;
  EXPECT_THAT(Found(), ElementsAre("finetune_level, keep_means, weight_rounding, learning have no effect at "
                                   "precision_level 3"));
}

TEST_F(IdleSettingsTest, DataThatNobodyReads) {
  config_.calibration.input_parameters.resize(1);
  config_.calibration.input_parameters[0].data_list_path = "list.txt";
  q_.precision_level = 3;
  EXPECT_THAT(Found(), ElementsAre("data_list_path has no effect at precision_level 3"));
  q_.precision_level = 4;
  EXPECT_THAT(Found(), IsEmpty());
  q_.half_type = HalfType::kBFloat16;
  EXPECT_THAT(Found(),
              ElementsAre("data_list_path has no effect at precision_level 4 with half_type bfloat16"));
}

TEST_F(IdleSettingsTest, FourBitSettingsNeedFourBits) {
  q_.precision_level = 3;
  q_.weight_block = 64;
  EXPECT_THAT(Found(), ElementsAre("weight_block has no effect without weight_bits 4"));
  q_.weight_bits = 4;
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(IdleSettingsTest, ThePercentileNeedsATypeThatLooksAtIt) {
  q_.max_percentile = 0.995;
  config_.calibration.calibration_type = CalibrationType::kMinMax;
  EXPECT_THAT(Found(), IsEmpty());  // tuning tries other types
  q_.finetune_level = 0;
  EXPECT_THAT(Found(), ElementsAre("max_percentile has no effect with calibration_type minmax or kl at "
                                   "finetune_level 0"));
  CustomSetting entry;
  entry.calibration_type = CalibrationType::kPercentile;
  q_.custom_setting = {entry};
  EXPECT_THAT(Found(), IsEmpty());
  q_.custom_setting[0].max_percentile = 0.99;
  EXPECT_EQ(Found().size(), 1u);  // the entry has its own
}

TEST_F(IdleSettingsTest, EntriesOfCustomSetting) {
  CustomSetting nothing, floating;
  floating.precision_level = 3;
  floating.calibration_type = CalibrationType::kMse;
  q_.custom_setting = {nothing, floating};
  EXPECT_THAT(Found(),
              ElementsAre("custom_setting[0] has no effect without precision_level, max_percentile or "
                          "calibration_type",
                          "custom_setting[1].calibration_type has no effect beside its precision_level 3"));
}

TEST_F(IdleSettingsTest, NamesTheOptionThatSetAKey) {
  q_.weight_bits = 4;
  q_.half_io = true;
  config_.source = "c.json";
  options_.option_of_key = {{"weight_bits", "--weight-bits"}};
  EXPECT_THAT(Found(), ElementsAre("c.json: half_io has no effect at precision_level 0",
                                   "--weight-bits has no effect at precision_level 0"));
}

TEST_F(IdleSettingsTest, OptionsWithoutWhatTheyActOn) {
  options_.save_stats = "s";
  options_.max_memory = 1;
  config_.model.skip_onnxsim = true;
  config_.model.skip_passes = {"fuse-pad"};
  config_.model.verify = false;
  q_.precision_level = 100;
  EXPECT_THAT(Found(), ElementsAre("--save-stats, --max-memory have no effect without calibration",
                                   "--skip-pass has no effect with skip_onnxsim"));
}

TEST_F(IdleSettingsTest, EveryStageAppliesSomewhereAndIsSilentThere) {
  for (const Stage& stage : Stages()) {
    bool applies = false;
    for (int level : {0, 1, 2, 3}) {
      q_ = QuantizationParameters();
      q_.finetune_level = level;
      q_.*stage.on = false;
      EXPECT_EQ(Found().empty(), stage.AppliesAt(level)) << stage.key << " at " << level;
      applies = applies || stage.AppliesAt(level);
    }
    EXPECT_TRUE(applies) << stage.key;
  }
}

}  // namespace
}  // namespace xslim
