// Attention and rotary position embedding, as transformers use them. Attention itself is computed by
// kernels/attention.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>

#include "kernels/attention.h"
#include "kernels/base/parallel.h"
#include "models/ops.h"

namespace qb {

namespace {

/// A tensor seen as [batch, heads, positions, size]: axes of 4, or of 3 as [batch, positions, heads * size].
struct HeadView {
  std::int64_t batch = 0, heads = 0, positions = 0, size = 0;
  std::int64_t sample_stride = 0, head_stride = 0, position_stride = 0;

  Shape shape() const { return {batch, heads, positions, size}; }
};

HeadView head_view(const OpSite& site, std::size_t input, std::string_view heads_attribute) {
  site.expect_dtype(input, DType::f32);
  const Shape& shape = site.shape(input);
  if (shape.size() == 4) {
    HeadView view{shape[0], shape[1], shape[2], shape[3], 0, shape[2] * shape[3], shape[3]};
    view.sample_stride = view.heads * view.head_stride;
    return view;
  }
  const std::int64_t heads = site.node->integer_or(heads_attribute, 0);
  if (shape.size() != 3 || heads < 1 || shape[2] % heads != 0)
    site.fail(
        fmt::format("input {} has the shape {} but must have 4 axes, or 3 of which the last is a multiple of "
                    "attribute '{}', which is {}",
                    input, to_text(shape), heads_attribute, heads));
  const std::int64_t size = shape[2] / heads;
  return {shape[0], heads, shape[1], size, shape[1] * shape[2], size, shape[2]};
}

/// What one Attention node computes: everything but the data.
struct AttentionPlan {
  HeadView q, k, v, past_k, past_v, y;
  std::int64_t keys = 0;  ///< past ones included
  float scale = 1.0f, softcap = 0.0f;
  bool causal = false;
  std::int64_t left = -1, right = -1;  ///< positions that a query sees at most on each side of its own; -1: all
  bool has_past = false, has_mask = false, has_lengths = false;
  Shape mask;  ///< [batch or 1, heads or 1, queries or 1, at most keys]
  bool has_window() const { return left >= 0 || right >= 0; }
};

/// What a run of an Attention node needs besides its operands.
struct AttentionMemory {
  AttentionScratch scratch;
  std::vector<float> bias;
};

enum AttentionInput : std::size_t { kQ, kK, kV, kMask, kPastKey, kPastValue, kLengths };

void plan_mask(const OpSite& site, AttentionPlan& plan) {
  plan.has_mask = site.has(kMask);
  if (!plan.has_mask) return;
  const Shape& given = site.shape(kMask);
  if (site.dtype(kMask) != DType::boolean) site.expect_dtype(kMask, DType::f32);
  plan.mask = given;
  if (given.size() <= 4) plan.mask.insert(plan.mask.begin(), 4 - given.size(), 1);
  const std::int64_t most[] = {plan.q.batch, plan.q.heads, plan.q.positions, plan.keys};
  bool fits = given.size() <= 4 && !given.empty() && (plan.mask[3] <= plan.keys);
  for (std::size_t axis = 0; fits && axis < 3; ++axis) fits = plan.mask[axis] == 1 || plan.mask[axis] == most[axis];
  if (!fits)
    site.fail(fmt::format("input 3 of shape {} cannot be broadcast to {} heads, {} queries and {} keys", to_text(given),
                          most[1], most[2], most[3]));
}

void plan_past(const OpSite& site, AttentionPlan& plan) {
  plan.has_past = site.has(kPastKey);
  site.expect(plan.has_past == site.has(kPastValue), "past_key and past_value must be given together");
  plan.has_lengths = site.has(kLengths);
  site.expect(!plan.has_past || !plan.has_lengths, "past_key and nonpad_kv_seqlen cannot be given together");
  if (plan.has_past) {
    for (const auto input : {kPastKey, kPastValue})
      site.expect(site.shape(input).size() == 4, "a past must have 4 axes");
    plan.past_k = head_view(site, kPastKey, "");
    plan.past_v = head_view(site, kPastValue, "");
    const bool fits = plan.past_k.batch == plan.k.batch && plan.past_k.heads == plan.k.heads &&
                      plan.past_k.size == plan.k.size && plan.past_v.batch == plan.v.batch &&
                      plan.past_v.heads == plan.v.heads && plan.past_v.size == plan.v.size &&
                      plan.past_v.positions == plan.past_k.positions;
    site.expect(fits, "past_key and past_value must have the batch, heads and sizes of K and V, and equal positions");
  }
  if (plan.has_lengths) {
    site.expect_dtype(kLengths, DType::i64);
    site.expect(site.shape(kLengths) == Shape{plan.q.batch}, "nonpad_kv_seqlen must have one element per sample");
  }
  plan.keys = plan.past_k.positions + plan.k.positions;
}

AttentionPlan plan_of(const OpSite& site) {
  AttentionPlan plan;
  plan.q = head_view(site, kQ, "q_num_heads");
  plan.k = head_view(site, kK, "kv_num_heads");
  plan.v = head_view(site, kV, "kv_num_heads");
  const bool fits = plan.k.batch == plan.q.batch && plan.v.batch == plan.q.batch && plan.k.size == plan.q.size &&
                    plan.v.positions == plan.k.positions && plan.v.heads == plan.k.heads && plan.k.heads >= 1 &&
                    plan.q.heads % plan.k.heads == 0 && plan.q.size >= 1 && plan.v.size >= 1;
  if (!fits)
    site.fail(fmt::format("Q, K and V of shapes {}, {} and {} (batch, heads, positions, size) do not fit together",
                          to_text(plan.q.shape()), to_text(plan.k.shape()), to_text(plan.v.shape())));
  plan_past(site, plan);
  plan_mask(site, plan);
  plan.scale = site.node->number_or("scale", 1.0f / std::sqrt(float(plan.q.size)));
  plan.softcap = site.node->number_or("softcap", 0.0f);
  plan.causal = site.node->integer_or("is_causal", 0) != 0;
  plan.left = site.node->integer_or("left_window_size", -1);
  plan.right = site.node->integer_or("right_window_size", -1);
  site.expect(plan.softcap >= 0, "attribute 'softcap' must not be negative");
  site.expect(plan.left >= -1 && plan.right >= -1, "a window must be -1 or not negative");
  site.expect(site.node->integer_or("softmax_precision", 1) == 1, "attribute 'softmax_precision' must be 1 (float32)");
  plan.y = plan.q;
  plan.y.size = plan.v.size;
  return plan;
}

/// How many keys of a sample count, and how many of them lie before its first query.
struct Reach {
  std::int64_t keys = 0, before = 0;
};

Reach reach_of(const AttentionPlan& plan, const OpRun& run, std::int64_t sample) {
  if (!plan.has_lengths) return {plan.keys, plan.past_k.positions};
  const std::int64_t length = run.inputs[kLengths]->as<std::int64_t>()[std::size_t(sample)];
  const std::int64_t keys = std::clamp<std::int64_t>(length, 0, plan.keys);
  return {keys, keys - plan.q.positions};
}

/// Mask, shortness of the mask and window of one sample and head as numbers to be added, [queries, keys].
void fill_bias(const AttentionPlan& plan, const Tensor* mask, std::int64_t sample, std::int64_t head, Reach reach,
               std::span<float> bias) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (std::int64_t i = 0; i < plan.q.positions; ++i) {
    float* row = bias.data() + i * plan.keys;
    std::fill(row, row + plan.keys, 0.0f);
    if (mask) {
      const Shape& shape = plan.mask;
      const std::int64_t at = (((shape[0] == 1 ? 0 : sample) * shape[1] + (shape[1] == 1 ? 0 : head)) * shape[2] +
                               (shape[2] == 1 ? 0 : i)) *
                              shape[3];
      for (std::int64_t j = 0; j < shape[3]; ++j)
        row[j] = mask->dtype == DType::f32                ? mask->as<float>()[std::size_t(at + j)]
                 : mask->bytes.as<std::uint8_t>()[at + j] ? 0.0f
                                                          : kNever;
      std::fill(row + shape[3], row + plan.keys, kNever);
    }
    const std::int64_t own = reach.before + i;
    if (plan.left >= 0) std::fill(row, row + std::clamp<std::int64_t>(own - plan.left, 0, plan.keys), kNever);
    if (plan.right >= 0)
      std::fill(row + std::clamp<std::int64_t>(own + plan.right + 1, 0, plan.keys), row + plan.keys, kNever);
  }
}

KeyValues part_of(const HeadView& k, const HeadView& v, const Tensor* keys, const Tensor* values, std::int64_t sample,
                  std::int64_t positions) {
  return {positions,
          keys->as<float>().data() + sample * k.sample_stride,
          values->as<float>().data() + sample * v.sample_stride,
          k.position_stride,
          k.head_stride,
          v.position_stride,
          v.head_stride};
}

/// Points the call to the mask, as it lies where it can be used so, else as numbers in `memory`.
void set_mask(const AttentionPlan& plan, const OpRun& run, std::int64_t sample, Reach reach, AttentionMemory& memory,
              AttentionCall& call) {
  const Tensor* mask = plan.has_mask ? run.inputs[kMask] : nullptr;
  if (!mask && !plan.has_window()) return;
  const Shape shape = mask ? plan.mask : Shape{1, 1, plan.q.positions, plan.keys};
  const std::int64_t heads = shape[1];
  if (mask && mask->dtype == DType::f32 && shape[3] == plan.keys && !plan.has_window()) {
    const std::int64_t plane = shape[2] * shape[3];
    call.mask = mask->as<float>().data() + (shape[0] == 1 ? 0 : sample) * heads * plane;
    call.mask_head = heads == 1 ? 0 : plane;
    call.mask_query = shape[2] == 1 ? 0 : plan.keys;
    return;
  }
  const std::int64_t plane = plan.q.positions * plan.keys;
  memory.bias.resize(std::max(memory.bias.size(), std::size_t(heads * plane)));
  for (std::int64_t h = 0; h < heads; ++h)
    fill_bias(plan, mask, sample, h, reach, std::span(memory.bias).subspan(std::size_t(h * plane), std::size_t(plane)));
  call.mask = memory.bias.data();
  call.mask_head = heads == 1 ? 0 : plane;
  call.mask_query = plan.keys;
}

void attend(const AttentionPlan& plan, const OpRun& run, std::int64_t sample, AttentionMemory& memory) {
  const Reach reach = reach_of(plan, run, sample);
  AttentionCall call;
  call.queries = plan.q.positions;
  call.heads = plan.q.heads;
  call.kv_heads = plan.k.heads;
  call.key_size = plan.q.size;
  call.value_size = plan.v.size;
  call.q = run.inputs[kQ]->as<float>().data() + sample * plan.q.sample_stride;
  call.q_position = plan.q.position_stride;
  call.q_head = plan.q.head_stride;
  if (plan.has_past)
    call.parts[0] =
        part_of(plan.past_k, plan.past_v, run.inputs[kPastKey], run.inputs[kPastValue], sample, plan.past_k.positions);
  call.parts[1] = part_of(plan.k, plan.v, run.inputs[kK], run.inputs[kV], sample, reach.keys - plan.past_k.positions);
  call.first_unseen = plan.causal ? reach.before + 1 : plan.keys;
  call.scale = plan.scale;
  call.softcap = plan.softcap;
  set_mask(plan, run, sample, reach, memory, call);
  call.y = run.outputs[0]->as<float>().data() + sample * plan.y.sample_stride;
  call.y_position = plan.y.position_stride;
  call.y_head = plan.y.head_stride;
  call.threads = run.threads;
  attention(call, run.isa, memory.scratch);
}

/// y = the past followed by what is new, [batch, heads, positions, size].
void join_positions(const HeadView& past, const Tensor* before, const HeadView& now, const Tensor* after, float* y) {
  for (std::int64_t sample = 0; sample < now.batch; ++sample)
    for (std::int64_t head = 0; head < now.heads; ++head) {
      if (before) {
        const float* from = before->as<float>().data() + sample * past.sample_stride + head * past.head_stride;
        y = std::copy(from, from + past.positions * past.size, y);
      }
      const float* from = after->as<float>().data() + sample * now.sample_stride + head * now.head_stride;
      for (std::int64_t p = 0; p < now.positions; ++p, from += now.position_stride)
        y = std::copy(from, from + now.size, y);
    }
}

/// Source: ONNX, Attention (opsets 23 to 25), without the fourth output and softmax in other types than float32.
PlannedOp plan_attention(const OpSite& site) {
  AttentionPlan plan = plan_of(site);
  const std::int64_t width = plan.q.heads * plan.v.size;
  PlannedOp planned;
  if (site.shape(kQ).size() == 4) {
    planned.outputs = {{DType::f32, {plan.q.batch, plan.q.heads, plan.q.positions, plan.v.size}}};
    plan.y.position_stride = plan.v.size;
    plan.y.head_stride = plan.q.positions * plan.v.size;
  } else {
    planned.outputs = {{DType::f32, {plan.q.batch, plan.q.positions, width}}};
    plan.y.position_stride = width;
    plan.y.head_stride = plan.v.size;
  }
  plan.y.sample_stride = plan.q.positions * width;
  planned.outputs.push_back({DType::f32, {plan.q.batch, plan.k.heads, plan.keys, plan.k.size}});
  planned.outputs.push_back({DType::f32, {plan.q.batch, plan.v.heads, plan.keys, plan.v.size}});
  const auto memory = std::make_shared<AttentionMemory>();
  planned.run = [plan, memory](const OpRun& run) {
    for (std::int64_t sample = 0; sample < plan.q.batch; ++sample) attend(plan, run, sample, *memory);
    const Tensor *past_key = plan.has_past ? run.inputs[kPastKey] : nullptr,
                 *past_value = plan.has_past ? run.inputs[kPastValue] : nullptr;
    if (run.outputs.size() > 1 && run.outputs[1])
      join_positions(plan.past_k, past_key, plan.k, run.inputs[kK], run.outputs[1]->as<float>().data());
    if (run.outputs.size() > 2 && run.outputs[2])
      join_positions(plan.past_v, past_value, plan.v, run.inputs[kV], run.outputs[2]->as<float>().data());
  };
  planned.workspace_bytes = [memory] { return memory->scratch.bytes() + std::int64_t(4 * memory->bias.capacity()); };
  return planned;
}

/// What a RotaryEmbedding node turns.
struct RotaryPlan {
  HeadView x;
  std::int64_t half = 0;     ///< pairs per head that are turned
  std::int64_t angles = 0;   ///< rows of the tables of sines and cosines
  bool by_position = false;  ///< rows are named by position_ids; else one per sample and position
  bool interleaved = false;  ///< pairs are neighbours; else half a head apart
};

/// Position p of one sample, all heads; x and y point to its first head.
void turn_heads(const RotaryPlan& plan, const float* x, const float* cosine, const float* sine, float* y) {
  const std::int64_t step = plan.interleaved ? 2 : 1, other = plan.interleaved ? 1 : plan.half;
  for (std::int64_t head = 0; head < plan.x.heads; ++head) {
    for (std::int64_t i = 0; i < plan.half; ++i) {
      const float first = x[i * step], second = x[i * step + other];
      y[i * step] = cosine[i] * first - sine[i] * second;
      y[i * step + other] = sine[i] * first + cosine[i] * second;
    }
    std::copy(x + 2 * plan.half, x + plan.x.size, y + 2 * plan.half);
    x += plan.x.head_stride;
    y += plan.x.head_stride;
  }
}

/// Source: Su et al. (arXiv:2104.09864), section 3.2; ONNX, RotaryEmbedding (opset 23).
PlannedOp plan_rotary_embedding(const OpSite& site) {
  RotaryPlan plan;
  plan.x = head_view(site, 0, "num_heads");
  const std::int64_t turned = site.node->integer_or("rotary_embedding_dim", 0);
  plan.half = (turned > 0 ? turned : plan.x.size) / 2;
  plan.interleaved = site.node->integer_or("interleaved", 0) != 0;
  plan.by_position = site.has(3);
  for (const std::size_t input : {1, 2}) site.expect_dtype(input, DType::f32);
  const Shape& table = site.shape(1);
  site.expect(turned >= 0 && 2 * plan.half <= plan.x.size,
              "attribute 'rotary_embedding_dim' exceeds the size of a head");
  site.expect(table == site.shape(2), "the tables of cosines and sines must have equal shapes");
  if (plan.by_position) {
    site.expect_dtype(3, DType::i64);
    site.expect(site.shape(3) == Shape{plan.x.batch, plan.x.positions}, "position_ids must be [batch, positions]");
    site.expect(table.size() == 2 && table[0] >= 1 && table[1] == plan.half,
                "with position_ids the tables must be [positions, half of what is turned]");
  } else {
    site.expect(table == Shape{plan.x.batch, plan.x.positions, plan.half},
                "without position_ids the tables must be [batch, positions, half of what is turned]");
  }
  plan.angles = plan.by_position ? table[0] : plan.x.batch * plan.x.positions;
  PlannedOp planned;
  planned.outputs = {{DType::f32, site.shape(0)}};
  planned.overwrites = 1;
  planned.run = [plan](const OpRun& run) {
    const auto part = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t at = begin; at < end; ++at) {
        const std::int64_t row =
            plan.by_position
                ? std::clamp<std::int64_t>(run.inputs[3]->as<std::int64_t>()[std::size_t(at)], 0, plan.angles - 1)
                : at;
        const std::int64_t place =
            at / plan.x.positions * plan.x.sample_stride + at % plan.x.positions * plan.x.position_stride;
        turn_heads(plan, run.inputs[0]->as<float>().data() + place, run.inputs[1]->as<float>().data() + row * plan.half,
                   run.inputs[2]->as<float>().data() + row * plan.half, run.outputs[0]->as<float>().data() + place);
      }
    };
    parallel_for(plan.x.batch * plan.x.positions, run.threads, 1, std::cref(part));
  };
  return planned;
}

constexpr OperatorInfo kTable[] = {
    {"Attention", 3, 7, 3, plan_attention},
    {"RotaryEmbedding", 3, 4, 1, plan_rotary_embedding},
};

}  // namespace

std::span<const OperatorInfo> attention_operators() { return kTable; }

}  // namespace qb
