"""Backend cases that don't pass, each with its reason: every one ends in an UnsupportedOpError.

`TYPES`: what no input and no output of a model may be. `OPERATORS`: what isn't run at all; a case
that holds one is refused by the node's name. `EXPECTED`: other cases, by glob of `suite/name`; the
reason stands in the error's message. An entry that no case needs fails the tests, and so does a
case that passes in spite of one.
"""

TYPES: dict[str, str] = {
    "STRING": "elements of type STRING",
    "BFLOAT16": "elements of type BFLOAT16",
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
    "sequence": "only tensors are run",
    "optional": "only tensors are run",
}

CANCELLING = ("node/dft*", "node/stft*")
"""Cases of sums of which nothing should be left: the expected zeros are up to 1.9e-7."""

OPERATORS: dict[str, str] = dict.fromkeys(
    [
        "ImageDecoder",  # JPEG, PNG and others, out of bytes
        "RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit",
        "ai.onnx.preview.training.Gradient",
    ],
    "isn't run",
)  # fmt: skip

DRAWN = "draws numbers, which nobody can expect"
"""Such a case isn't refused, and its answers are its own: `test_ops_draw.py` looks at them."""

EXPECTED: dict[str, str] = {
    "node/bernoulli*": DRAWN,
    "node/training_dropout": DRAWN,
    "node/training_dropout_mask": DRAWN,
    "node/training_dropout_default*": DRAWN,
    "node/if_seq": "a sequence or an optional in control flow",
    "node/if_opt": "a sequence or an optional in control flow",
    "node/split_to_sequence_[12]": "split depends on data",
    "node/sub_uint64": "int64 arithmetic",
    "node/bitcast_*64*": "isn't run",  # no device holds 64 bits
    # Their inputs are up to 1e223, and float64 is computed in float32.
    "pytorch-operator/operator_add_broadcast": "outside of float32",
    "pytorch-operator/operator_add_size1_right_broadcast": "outside of float32",
    "pytorch-operator/operator_add_size1_singleton_broadcast": "outside of float32",
    "pytorch-operator/operator_addconstant": "outside of float32",
}
