"""The registry against ONNX's schemas: names, opsets, attributes with their defaults."""

import onnx.defs
import pytest
from onnx.helper import get_attribute_value

from webrt.frontend.onnx import NEWEST_OPSET, OLDEST_OPSET
from webrt.graph.ir import Attribute
from webrt.ops.registry import OpDef, all_operators, find
from webrt.ops.table import rows

ON_TRIAL = "Affine", "Crop", "ImageScaler", "ParametricSoftplus", "Scale", "ScaledTanh"
RUNTIME_S = {
    "LayerNormalization": 17, "SimplifiedLayerNormalization": NEWEST_OPSET + 1,
    **dict.fromkeys(ON_TRIAL, 10),
}  # fmt: skip
"""What ONNX Runtime alone has in ONNX's domain, and the opset from which ONNX tells of it."""

OPERATORS = [d for d in all_operators() if d.domain == ""]

REGISTERED = {
    "views": "Flatten Identity Reshape Shape Size Squeeze Unsqueeze",
    "elementwise":
        "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot "
        "BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp "
        "Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish IsInf IsNaN LeakyRelu "
        "Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal "
        "Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum "
        "Swish Tan Tanh ThresholdedRelu Where Xor",
    "movement": "Concat Expand Slice Split Tile Transpose",
    "gather": "Gather GatherElements GatherND OneHot ReverseSequence",
    "generate": "ConstantOfShape EyeLike Range Trilu",
    "reduce":
        "ArgMax ArgMin LogSoftmax ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
        "ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Softmax",
    "norm":
        "BatchNormalization GroupNormalization InstanceNormalization LayerNormalization "
        "RMSNormalization",
    "matmul": "Gemm MatMul",
    "conv": "Conv",
    "blocks": "DepthToSpace SpaceToDepth",
    "pad": "CenterCropPad Pad",
    "resize": "Resize Upsample",
    "sampling": "AffineGrid GridSample",
    "regions": "MaxRoiPool RoiAlign",
    "transposed": "Col2Im ConvTranspose",
    "deform": "DeformConv",
    "pool":
        "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool "
        "MaxUnpool",
    "scatter": "Scatter ScatterElements ScatterND",
    "sort": "TopK",
    "scan": "CumProd CumSum",
    "einsum": "Einsum",
    "fourier": "DFT STFT",
    "spectral": "BlackmanWindow HammingWindow HannWindow MelWeightMatrix",
    "bitwise": "BitCast",
    "rescale": "Det Hardmax LRN LpNormalization MeanVarianceNormalization",
    "heads": "Attention",
    "losses": "NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss",
    "rotary": "RotaryEmbedding TensorScatter",
    "quantise": "DequantizeLinear QuantizeLinear",
    "qlinear":
        "ConvInteger DynamicQuantizeLinear MatMulInteger QLinearConv QLinearMatMul "
        "com.microsoft.DequantizeLinear com.microsoft.DynamicQuantizeLSTM "
        "com.microsoft.DynamicQuantizeMatMul com.microsoft.MatMulIntegerToFloat "
        "com.microsoft.QGemm com.microsoft.QLinearAdd com.microsoft.QLinearAveragePool "
        "com.microsoft.QLinearConcat com.microsoft.QLinearGlobalAveragePool "
        "com.microsoft.QLinearLeakyRelu com.microsoft.QLinearMul "
        "com.microsoft.QLinearReduceMean com.microsoft.QLinearSigmoid com.microsoft.QLinearSoftmax "
        "com.microsoft.QLinearWhere com.microsoft.QuantizeLinear",
    "control": "If Loop Scan",
    "dynamic": "Compress NonMaxSuppression NonZero Unique",
    "recurrent": "GRU LSTM RNN",
    "contrib":
        "SimplifiedLayerNormalization com.microsoft.BiasAdd com.microsoft.BiasGelu "
        "com.microsoft.BiasSplitGelu com.microsoft.EmbedLayerNormalization "
        "com.microsoft.FastGelu com.microsoft.FusedConv com.microsoft.FusedGemm "
        "com.microsoft.FusedMatMul com.microsoft.Gelu com.microsoft.NhwcConv "
        "com.microsoft.NhwcFusedConv com.microsoft.QuickGelu "
        "com.microsoft.SimplifiedLayerNormalization com.microsoft.SkipLayerNormalization "
        "com.microsoft.SkipSimplifiedLayerNormalization",
    "nbits": "com.microsoft.MatMulNBits",
    "contrib_attention":
        "com.microsoft.Attention com.microsoft.DecoderMaskedMultiHeadAttention "
        "com.microsoft.MultiHeadAttention com.microsoft.RotaryEmbedding",
    "contrib_grouped": "com.microsoft.GroupQueryAttention com.microsoft.SparseAttention",
    "contrib_branches":
        "com.microsoft.BranchwiseRMSNorm com.microsoft.EngramGate "
        "com.microsoft.HyperConnectionPostMix com.microsoft.HyperConnectionPreMix",
    "contrib_optimised":
        "com.microsoft.ConvTransposeWithDynamicPads com.microsoft.MatMulNBitsMlp "
        "com.microsoft.MatMulNBitsQkv com.microsoft.MulInteger com.microsoft.NhwcMaxPool "
        "com.microsoft.QLinearConv",
    "inverse": "com.microsoft.Inverse",
    "legacy": "Affine Crop ImageScaler ParametricSoftplus Scale ScaledTanh",
    "contrib_linear":
        "LinearAttention com.microsoft.LinearAttention com.microsoft.LinearAttentionGate",
    "contrib_quantised":
        "com.microsoft.GatherBlockQuantized com.microsoft.MatMulBnb4 com.microsoft.QAttention "
        "com.microsoft.QEmbedLayerNormalization",
    "contrib_norm":
        "com.microsoft.BiasDropout com.microsoft.BiasSoftmax com.microsoft.BitmaskDropout "
        "com.microsoft.FusedMatMulActivation "
        "com.microsoft.GatedAdd com.microsoft.GatedRMSNorm com.microsoft.GemmFastGelu "
        "com.microsoft.GroupNorm com.microsoft.ScaledSiLU com.microsoft.SkipGroupNorm "
        "com.microsoft.TransposeMatMul",
    "contrib_moe": "com.microsoft.MoE com.microsoft.QMoE",
    "contrib_positions":
        "com.microsoft.CausalConvWithState com.microsoft.GatedRelativePositionBias "
        "com.microsoft.GemmaRotaryEmbedding com.microsoft.MRotaryEmbedding "
        "com.microsoft.RelativePositionBias",
    "contrib_tensors":
        "com.microsoft.CDist com.microsoft.CropAndResize com.microsoft.ExpandDims "
        "com.microsoft.GatherND com.microsoft.GridSample com.microsoft.Irfft com.microsoft.Pad "
        "com.microsoft.Range com.microsoft.Rfft com.microsoft.Trilu com.microsoft.UnfoldTensor "
        "com.microsoft.Unique",
    "training":
        "ai.onnx.preview.training.Adagrad ai.onnx.preview.training.Adam "
        "ai.onnx.preview.training.Momentum",
    "features": "TfIdfVectorizer ai.onnx.ml.ArrayFeatureExtractor ai.onnx.ml.Binarizer",
    "encode":
        "ai.onnx.ml.FeatureVectorizer ai.onnx.ml.Imputer ai.onnx.ml.LabelEncoder "
        "ai.onnx.ml.Normalizer ai.onnx.ml.OneHotEncoder ai.onnx.ml.Scaler",
    "linear":
        "ai.onnx.ml.LinearClassifier ai.onnx.ml.LinearRegressor ai.onnx.ml.SVMClassifier "
        "ai.onnx.ml.SVMRegressor",
    "trees": "ai.onnx.ml.TreeEnsembleClassifier ai.onnx.ml.TreeEnsembleRegressor",
    "tree_sets": "ai.onnx.ml.TreeEnsemble",
    "draw":
        "Bernoulli Dropout Multinomial RandomNormal RandomNormalLike RandomUniform "
        "RandomUniformLike",
}  # fmt: skip
"""Every operator, by family: a new one is named here."""


def _schema_defaults(name: str, version: int) -> dict[str, Attribute | None] | None:
    """None where the operator isn't in that opset."""
    try:
        schema = onnx.defs.get_schema(name, version)
    except onnx.defs.SchemaError:
        return None
    found: dict[str, Attribute | None] = {}
    for attribute in schema.attributes.values():
        given = attribute.default_value
        value = get_attribute_value(given) if given.name else None
        found[attribute.name] = _decoded(value)
    return found


def _decoded(value: object) -> Attribute | None:
    """As the front end gives attributes."""
    if isinstance(value, list):
        return tuple(map(_decoded, value))  # type: ignore[return-value]
    return value.decode() if isinstance(value, bytes) else value  # type: ignore[return-value]


@pytest.mark.parametrize("definition", OPERATORS, ids=lambda d: d.name)
def test_attributes_are_those_of_the_schema(definition: OpDef) -> None:
    for version in range(OLDEST_OPSET, NEWEST_OPSET + 1):
        if version < RUNTIME_S.get(definition.name, 0):
            continue
        expected = _schema_defaults(definition.name, version)
        known = find(definition.name, "", version)
        assert (known is not None) == (expected is not None), version
        if known is None or expected is None:
            continue
        found = known.defaults(version)
        assert found.keys() == expected.keys(), version
        for name, value in expected.items():
            if isinstance(value, float):
                assert found[name] == pytest.approx(value, rel=1e-6), (version, name)
            else:
                assert found[name] == value, (version, name)


def test_the_operators_are_these() -> None:
    found: dict[str, list[str]] = {}
    for row in rows():
        found.setdefault(row.family, []).append(row.name)
    assert found == {family: names.split() for family, names in REGISTERED.items()}


def test_our_own_operators() -> None:
    ours = [d.name for d in all_operators() if d.domain == "webrt"]
    assert ours == [
        "Attention", "Centre", "Dequantize", "Descend", "Different", "FromRing", "If", "Loop",
        "Need", "RMSNorm", "RotaryEmbedding", "ToRing", "Values",
    ]  # fmt: skip


def test_the_newest_opset_is_onnx_s() -> None:
    assert onnx.defs.onnx_opset_version() >= NEWEST_OPSET
