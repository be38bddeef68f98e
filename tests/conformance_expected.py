"""Backend cases that don't pass, each with its reason: every one ends in an UnsupportedOpError.

`TYPES`: what no input and no output of a model may be. `OPERATORS`: what isn't run at all; a case
that holds one is refused by the node's name. `EXPECTED`: other cases, by glob of `suite/name`; the
reason stands in the error's message. An entry that no case needs fails the tests, and so does a
case that passes in spite of one.
"""

TYPES: dict[str, str] = {
    "STRING": "elements of type STRING",
    "BFLOAT16": "elements of type BFLOAT16",
    "DOUBLE": "elements of type DOUBLE",
    "FLOAT8E4M3FN": "elements of type FLOAT8E4M3FN",
    "FLOAT8E4M3FNUZ": "elements of type FLOAT8E4M3FNUZ",
    "FLOAT8E5M2": "elements of type FLOAT8E5M2",
    "FLOAT8E5M2FNUZ": "elements of type FLOAT8E5M2FNUZ",
    "FLOAT8E8M0": "elements of type FLOAT8E8M0",
    "FLOAT4E2M1": "elements of type FLOAT4E2M1",
    "INT4": "elements of type INT4",
    "UINT4": "elements of type UINT4",
    "INT2": "elements of type INT2",
    "UINT2": "elements of type UINT2",
    "COMPLEX64": "elements of type COMPLEX64",
    "COMPLEX128": "elements of type COMPLEX128",
    "sequence": "only tensors are run",
    "optional": "only tensors are run",
}

CANCELLING = ("node/dft*", "node/stft*")
"""Cases of sums of which nothing should be left: the expected zeros are up to 1.9e-7."""

_STRINGS = _LISTS = _RANDOM = _TRAINING = _ML = "isn't run"

OPERATORS: dict[str, str] = {
    "RandomUniformLike": _RANDOM,
    "ConcatFromSequence": _LISTS,
    "Optional": _LISTS,
    "OptionalGetElement": _LISTS,
    "OptionalHasElement": _LISTS,
    "SequenceAt": _LISTS,
    "SequenceConstruct": _LISTS,
    "SequenceEmpty": _LISTS,
    "SequenceErase": _LISTS,
    "SequenceInsert": _LISTS,
    "SequenceLength": _LISTS,
    "SplitToSequence": _LISTS,
    "ImageDecoder": "isn't run",  # JPEG, PNG and others, of bytes
    "RegexFullMatch": _STRINGS,
    "StringConcat": _STRINGS,
    "StringNormalizer": _STRINGS,
    "StringSplit": _STRINGS,
    "TfIdfVectorizer": _STRINGS,
    "ai.onnx.ml.ArrayFeatureExtractor": _ML,
    "ai.onnx.ml.Binarizer": _ML,
    "ai.onnx.ml.LabelEncoder": _ML,
    "ai.onnx.ml.TreeEnsemble": _ML,
    "ai.onnx.preview.training.Adagrad": _TRAINING,
    "ai.onnx.preview.training.Adam": _TRAINING,
    "ai.onnx.preview.training.Gradient": _TRAINING,
    "ai.onnx.preview.training.Momentum": _TRAINING,
}

EXPECTED: dict[str, str] = {
    "node/bernoulli*": "isn't run",  # random numbers, which nobody can expect
    "node/batchnorm_*training_mode": "training mode isn't run",
    "node/training_dropout*": "training_mode is true",
    "node/sub_uint64": "isn't proven to fit 32 bits",
}
