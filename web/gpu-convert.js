// Elements from ONNX's own layout in a GPU buffer to what kernels store, and back: a copy where both
// are the same, else a small kernel that also looks whether integers are in their range.

import { DeviceError, UsageError } from "./errors.js";
import { TYPES } from "./tensor.js";

/** @typedef {import("./tensor.js").Type} Type */
/** @typedef {import("./tensor.js").Storage} Storage */
/** @typedef {import("./device.js").Device} Device */
/** @typedef {import("./device.js").Pipeline} Pipeline */
/** @typedef {import("./manifest.js").Pack} Pack */
/** @typedef {import("./manifest.js").Port} Port */
/** @typedef {{buffer: GPUBuffer, offset: number}} At */
/** How an element lies in memory: `half` and `float` are float16 and float32.
 * @typedef {{bytes: number, kind: "half" | "float" | "bool" | "signed" | "unsigned"}} Layout */

const LANES = 64;
const MAX_GROUPS = 32768;

/** Bytes of an element as ONNX has it. @type {Record<Type, number>} */
export const BYTES = {
  float64: 8, int64: 8, uint64: 8, float32: 4, int32: 4, uint32: 4,
  float16: 2, int16: 2, uint16: 2, int8: 1, uint8: 1, bool: 1,
};

/** @param {Port} port @returns {Layout} */
function layoutOf({ name, type }) {
  const bytes = BYTES[type];
  if (type === "float64") {
    throw new UsageError(`'${name}' is float64, which WebGPU doesn't have: leave it on the CPU`);
  }
  if (type === "float16") return { bytes, kind: "half" };
  if (type === "float32") return { bytes, kind: "float" };
  if (type === "bool") return { bytes, kind: "bool" };
  return { bytes, kind: type.startsWith("u") ? "unsigned" : "signed" };
}

/** @type {Record<Storage, Layout>} */
const STORED = {
  f32: { bytes: 4, kind: "float" }, f16: { bytes: 2, kind: "half" },
  i32: { bytes: 4, kind: "signed" }, u32: { bytes: 4, kind: "unsigned" },
};

/** The ways between the two layouts for a pack's inputs and outputs, on one device. */
export class Convert {
  /** @param {Pack} pack @param {Device} device */
  constructor(pack, device) {
    this.pack = pack;
    this.device = device;
    /** @type {Map<string, Pipeline>} */
    this.pipelines = new Map();
    /** @type {Map<Port, Way>} */
    this.ways = new Map();
    const size = 4 * Math.max(4, pack.inputs.length);
    /** A word for every input, which isn't zero once a value was out of range. */
    this.outside = { buffer: device.allocate(size, "values out of range"), offset: 0, size };
  }

  /** From a feed to what kernels read. @param {number} index of the input @returns {Way} */
  into(index) {
    const port = this.pack.inputs[index];
    const { low, high } = TYPES[port.type];
    const bounds = [Math.max(port.low ?? low, low), Math.min(port.high ?? high, high)];
    const from = layoutOf(port);
    const integer = from.kind === "signed" || from.kind === "unsigned";
    const checks = integer && (from.bytes === 8 || bounds[0] > low || bounds[1] < high);
    const stored = STORED[this.pack.tensors[port.tensor].storage];
    return this.#way(port, () => new Way(this, from, stored, bounds, checks, index));
  }

  /** From what kernels wrote to the caller's buffer. @param {Port} port @returns {Way} */
  outOf(port) {
    const stored = STORED[this.pack.tensors[port.tensor].storage];
    return this.#way(port, () => new Way(this, stored, layoutOf(port), [0, 0], false, 0));
  }

  /** @param {Port} port @param {() => Way} make */
  #way(port, make) {
    const way = this.ways.get(port) ?? make();
    this.ways.set(port, way);
    return way;
  }

  /** @param {readonly Way[]} ways */
  async compile(ways) {
    const missing = new Map(ways.filter(({ name }) => !this.pipelines.has(name)).map((w) => [w.name, w]));
    const bindings = [{ writable: false }, { writable: true }, { writable: true }];
    const made = await this.device.compile([...missing].map(([name, { from, to, checks }]) => (
      { name, source: wgsl(from, to, checks), bindings })));
    [...missing.keys()].forEach((name, j) => this.pipelines.set(name, made[j]));
  }

  /** @param {GPUCommandEncoder} encoder */
  clear(encoder) {
    encoder.clearBuffer(this.outside.buffer);
  }

  /** Why this device can't use a buffer; null where it can. @param {GPUBuffer} buffer
   * @returns {Promise<string | null>} */
  async refusal(buffer) {
    const { gpu } = this.device;
    const own = this.outside.buffer;
    gpu.pushErrorScope("validation");
    const encoder = gpu.createCommandEncoder();
    if (buffer.usage & GPUBufferUsage.COPY_SRC) encoder.copyBufferToBuffer(buffer, 0, own, 0, 0);
    else if (buffer.usage & GPUBufferUsage.COPY_DST) encoder.copyBufferToBuffer(own, 0, buffer, 0, 0);
    gpu.queue.submit([encoder.finish()]);
    const error = await gpu.popErrorScope().catch(() => null);
    return error?.message ?? null;
  }
}

/** From one layout to the other. */
class Way {
  /** @param {Convert} convert @param {Layout} from @param {Layout} to @param {number[]} bounds
   * @param {boolean} checks whether values may be out of their bounds @param {number} index of the input */
  constructor(convert, from, to, [low, high], checks, index) {
    this.convert = convert;
    this.from = from;
    this.to = to;
    this.low = low;
    this.high = high;
    this.checks = checks;
    this.index = index;
    /** Whether elements lie there as they lie here. */
    this.same = from.bytes === to.bytes && from.kind !== "bool" && !checks;
    this.name = `${from.kind}${8 * from.bytes}_${to.kind}${8 * to.bytes}${checks ? "_checked" : ""}`;
    /** @type {GPUBuffer | null} */
    this.params = null;
  }

  /** @param {GPUCommandEncoder} encoder @param {At} source @param {At} target
   * @param {number} length elements */
  encode(encoder, source, target, length) {
    const bytes = length * this.to.bytes;
    if (!bytes) return;
    const copies = (source.buffer.usage & GPUBufferUsage.COPY_SRC)
      && (target.buffer.usage & GPUBufferUsage.COPY_DST);
    if (this.same && copies && bytes % 4 === 0) {
      encoder.copyBufferToBuffer(source.buffer, source.offset, target.buffer, target.offset, bytes);
      return;
    }
    this.#dispatch(encoder, source, target, length);
  }

  /** @param {GPUCommandEncoder} encoder @param {At} source @param {At} target @param {number} length */
  #dispatch(encoder, source, target, length) {
    const { device, outside, pipelines } = this.convert;
    const { pipeline, layout } = /** @type {Pipeline} */ (pipelines.get(this.name));
    const params = this.params ??= device.allocate(16, "a conversion");
    const values = Uint32Array.of(length, this.low, this.high, this.index);
    device.gpu.queue.writeBuffer(params, 0, values);
    /** @param {At} at @param {number} width */
    const bound = ({ buffer, offset }, width) => ({ buffer, offset, size: 4 * Math.ceil(length * width / 4) });
    const resources = [bound(source, this.from.bytes), bound(target, this.to.bytes), outside, { buffer: params }];
    const group = device.gpu.createBindGroup({
      layout, entries: resources.map((resource, binding) => ({ binding, resource })) });
    const groups = Math.ceil(length / elementsPerLane(this.to) / LANES);
    const x = Math.min(groups, MAX_GROUPS);
    const y = Math.ceil(groups / x);
    if (y > device.info.limits.maxComputeWorkgroupsPerDimension) {
      throw new DeviceError(`a tensor of ${length} elements is too large to be converted on the GPU`);
    }
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(x, y);
    pass.end();
  }
}

/** @param {Layout} to */
const elementsPerLane = ({ bytes }) => Math.max(1, 4 / bytes);

/** @param {Layout} from @param {Layout} to @param {boolean} checks */
function wgsl(from, to, checks) {
  const each = elementsPerLane(to);
  const store = to.bytes === 8
    ? `results[2u * lane] = word;
  results[2u * lane + 1u] = ${to.kind === "signed" ? "select(0u, 0xffffffffu, (word >> 31u) == 1u)" : "0u"};`
    : "results[lane] = word;";
  return `// ${from.kind} of ${from.bytes} bytes to ${to.kind} of ${to.bytes}
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> results: array<u32>;
@group(0) @binding(2) var<storage, read_write> outside: array<atomic<u32>>;
@group(0) @binding(3) var<uniform> params: vec4<u32>; // elements, lowest, highest, the input

${from.kind === "half" && to.kind === "float" ? WIDEN : ""}${from.kind === "float" && to.kind === "half" ? NARROW : ""}
fn element(i: u32) -> u32 {
${load(from, to)}${checks ? check(from) : ""}
  return value;
}

@compute @workgroup_size(${LANES})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let lane = id.x + id.y * groups.x * ${LANES}u;
  let first = lane * ${each}u;
  if (first >= params.x) { return; }
  ${each === 1 ? "let word = element(first);" : pack(to)}
  ${store}
}
`;
}

/** As many elements as a word holds. @param {Layout} to */
function pack({ bytes }) {
  const bits = 8 * bytes;
  return `var word = 0u;
  for (var j = 0u; j < ${32 / bits}u && first + j < params.x; j++) {
    word |= (element(first + j) & ${2 ** bits - 1}u) << (${bits}u * j);
  }`;
}

/** The element `i` as a word. @param {Layout} from @param {Layout} to */
function load({ bytes, kind }, to) {
  if (bytes === 8) return "  var value = source[2u * i];\n";
  const bits = 8 * bytes, each = 4 / bytes;
  if (bytes === 4) {
    if (to.kind === "bool") return "  let value = select(0u, 1u, source[i] != 0u);\n";
    return `  var value = ${kind === "float" && to.kind === "half" ? "narrowed(source[i])" : "source[i]"};\n`;
  }
  const raw = `(source[i / ${each}u] >> (${bits}u * (i % ${each}u))) & ${2 ** bits - 1}u`;
  if (kind === "bool") return `  let value = select(0u, 1u, (${raw}) != 0u);\n`;
  if (kind === "half" && to.kind === "float") return `  let value = widened(${raw});\n`;
  if (kind === "signed") {
    return `  var value = bitcast<u32>(bitcast<i32>((${raw}) << ${32 - bits}u) >> ${32 - bits}u);\n`;
  }
  return `  var value = ${raw};\n`;
}

/** A value out of its bounds is told of, and isn't used. @param {Layout} from */
function check({ bytes, kind }) {
  const signed = kind === "signed";
  const high = signed ? "select(0u, 0xffffffffu, (value >> 31u) == 1u)" : "0u";
  const wide = bytes === 8 ? `source[2u * i + 1u] != ${high} || ` : "";
  /** @param {string} word */
  const as = (word) => (signed ? `bitcast<i32>(${word})` : word);
  return `  if (${wide}${as("value")} < ${as("params.y")} || ${as("value")} > ${as("params.z")}) {
    atomicOr(&outside[params.w], 1u);
    value = params.y;
  }
`;
}

// By their bits, as in halves.js: WGSL's own conversions may take liberties with what isn't finite.

const WIDEN = `fn widened(half: u32) -> u32 {
  let sign = (half & 0x8000u) << 16u;
  let exponent = (half >> 10u) & 31u;
  let fraction = half & 1023u;
  if (exponent == 0u) { return sign | bitcast<u32>(f32(fraction) * 0x1p-24f); }
  return sign | (select(exponent + 112u, 255u, exponent == 31u) << 23u) | (fraction << 13u);
}
`;

const NARROW = `fn narrowed(word: u32) -> u32 {
  let sign = (word >> 16u) & 0x8000u;
  let size = word & 0x7fffffffu;
  if (size >= 0x47800000u) { return sign | select(0x7c00u, 0x7e00u, size > 0x7f800000u); }
  if (size >= 0x38800000u) {
    return sign | ((size - 0x37fff001u + ((size >> 13u) & 1u)) >> 13u);
  }
  let shift = 126u - (size >> 23u);
  if (shift > 24u) { return sign; }
  let fraction = (size & 0x7fffffu) | 0x800000u;
  let kept = fraction >> shift;
  let rest = fraction & ((1u << shift) - 1u);
  let middle = 1u << (shift - 1u);
  return sign | (kept + select(0u, 1u, rest > middle || (rest == middle && (kept & 1u) == 1u)));
}
`;
